#!/usr/bin/env bash
# Tries the uploader, the admin site and the page of the emulator in a real Chromium. The pages of the uploader are of another origin, its
# uploads go to the emulator of a built binary.
#
# usage: tests/browser/run.sh BINARY [PATTERN]
#
# A pattern chooses the tests whose names match it. The packages of package-lock.json are installed into a folder of the target
# folder that is used again while the list stays the same. With SCREENSHOTS=FOLDER pictures of both are left there.
set -euo pipefail

binary=$(realpath "${1:?usage: tests/browser/run.sh BINARY [PATTERN]}")
pattern=${2:-}
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
# shellcheck source=tests/browser/support/dev.sh
source "$here/support/dev.sh"

run_tests() {
    node --test --test-reporter=spec --test-concurrency=3 --test-timeout=300000 ${pattern:+"--test-name-pattern=$pattern"} "$@"
}

# The admin site tells how many images there are: nobody uploads any meanwhile.
run_tests "$here/admin.test.js"
others=()
for file in "$here"/*.test.js; do
    [ "$file" = "$here/admin.test.js" ] || others+=("$file")
done
run_tests "${others[@]}"
