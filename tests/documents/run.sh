#!/usr/bin/env bash
# Carries out the commands and programs of the README and of docs/, beside the `dev` of a built cfimages.
#
# usage: tests/documents/run.sh BINARY [DOCUMENT...]
#
# The packages that the Python of the documents imports are installed from the index of pip, into a folder of the target folder that is used
# again while requirements.txt stays the same.
set -euo pipefail

binary=$(realpath "${1:?usage: tests/documents/run.sh BINARY [DOCUMENT...]}")
shift
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
project=$(realpath "$here/../..")
target=$(realpath -m "${CARGO_TARGET_DIR:-$project/target}")
# shellcheck source=tests/python.sh
source "$here/../python.sh"

fail() {
    echo "cannot carry out the documents: $*" >&2
    exit 1
}

[ -x "$binary" ] || fail "$binary is no program"
command -v node >/dev/null || fail "Node.js is not installed (on Debian: apt-get install nodejs)"
install_python_packages "$target/documents"
# In the debug profile: the tests build the same library.
(cd "$project" && CARGO_TARGET_DIR=$target cargo build --quiet --locked --example upload)

export PYTHONDONTWRITEBYTECODE=1 # The sources stay as they are.
export UPLOAD_EXAMPLE=$target/debug/examples/upload
exec "$environment/bin/python" "$here/run.py" "$binary" "$@"
