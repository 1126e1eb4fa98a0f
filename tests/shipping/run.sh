#!/usr/bin/env bash
# Checks what cfimages is shipped with (Dockerfile, compose.yaml, contrib/), and does what docs/deployment.md says, with a built binary.
#
# usage: tests/shipping/run.sh BINARY [files|operations]
#
# hadolint and PyYAML are installed from the index of pip, into a folder of the target folder that is used again while requirements.txt
# stays the same. README.md says which programs it takes besides.
set -euo pipefail

binary=$(realpath "${1:?usage: tests/shipping/run.sh BINARY [files|operations]}")
only=${2:-}
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
target=$(realpath -m "${CARGO_TARGET_DIR:-$here/../../target}")/shipping
python=${PYTHON:-python3}

fail() {
    echo "cannot check what is shipped: $*" >&2
    exit 1
}

[ -x "$binary" ] || fail "$binary is no program"
environment=$target/python-$({ "$python" -VV; cat "$here/requirements.txt"; } | cksum | cut -d ' ' -f 1)
if [ ! -e "$environment/complete" ]; then
    rm -rf -- "$environment"
    mkdir -p -- "$environment"
    "$python" -m venv "$environment" ||
        fail "$python makes no virtual environments (on Debian: apt-get install python3-venv)"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$here/requirements.txt" ||
        fail "pip could not install what tests/shipping/requirements.txt names; it needs its index, or a mirror of it (PIP_INDEX_URL)"
    touch "$environment/complete"
fi

export PYTHONDONTWRITEBYTECODE=1 # The sources stay as they are.
export PATH=$environment/bin:$PATH
[ "$only" = operations ] || "$environment/bin/python" "$here/files.py" "$binary"
[ "$only" = files ] || "$environment/bin/python" "$here/operations.py" "$binary"
