#!/usr/bin/env bash
# Puts a built cfimages beside a real Django, on one database: each has to find the other's rows its own.
#
# usage: tests/django/run.sh BINARY [NAME...]
#
# Names choose the checks whose names hold one of them, as `sqlite:` or `figures` do. Django and the toolkit are installed from the
# index of pip, into a folder of the target folder that is used again while requirements.txt stays the same.
set -euo pipefail

binary=$(realpath "${1:?usage: tests/django/run.sh BINARY [NAME...]}")
shift
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
target=$(realpath -m "${CARGO_TARGET_DIR:-$here/../../target}")
# shellcheck source=tests/python.sh
source "$here/../python.sh"

fail() {
    echo "cannot check Django beside cfimages: $*" >&2
    exit 1
}

[ -x "$binary" ] || fail "$binary is no program"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || fail "Django 5.2 needs Python 3.10 or later, as \$PYTHON or python3"
install_python_packages "$target/django"

cd "$here"
export PYTHONDONTWRITEBYTECODE=1 # The sources stay as they are.
exec "$environment/bin/python" -m interop "$binary" "$@"
