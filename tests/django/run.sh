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
python=${PYTHON:-python3}

fail() {
    echo "cannot check Django beside cfimages: $*" >&2
    exit 1
}

# A folder that was restored from elsewhere may name a Python that is not there.
is_installed() {
    [ -e "$environment/complete" ] && "$environment/bin/python" -c 'import django' 2>/dev/null
}

install_site() {
    rm -rf -- "$environment"
    mkdir -p -- "$environment"
    "$python" -m venv "$environment" ||
        fail "$python makes no virtual environments (on Debian: apt-get install python3-venv)"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$here/requirements.txt" ||
        fail "pip could not install what tests/django/requirements.txt names; it needs its index, or a mirror of it (PIP_INDEX_URL)"
    touch "$environment/complete"
}

[ -x "$binary" ] || fail "$binary is no program"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || fail "Django 5.2 needs Python 3.10 or later, as \$PYTHON or python3"
version=$({ "$python" -VV; cat "$here/requirements.txt"; } | cksum | cut -d ' ' -f 1)
environment=$target/django/$version
is_installed || install_site

cd "$here"
export PYTHONDONTWRITEBYTECODE=1 # The sources stay as they are.
exec "$environment/bin/python" -m interop "$binary" "$@"
