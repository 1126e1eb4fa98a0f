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
# shellcheck source=tests/python.sh
source "$here/../python.sh"

fail() {
    echo "cannot check what is shipped: $*" >&2
    exit 1
}

[ -x "$binary" ] || fail "$binary is no program"
install_python_packages "$target"

export PYTHONDONTWRITEBYTECODE=1 # The sources stay as they are.
export PATH=$environment/bin:$PATH
[ "$only" = operations ] || "$environment/bin/python" "$here/files.py" "$binary"
[ "$only" = files ] || "$environment/bin/python" "$here/operations.py" "$binary"
