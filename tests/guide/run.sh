#!/usr/bin/env bash
# Carries out docs/migrating-from-django.md with a built cfimages, as root of a machine that is thrown away.
#
# usage: tests/guide/run.sh BINARY
#
# The site's packages are those of tests/django, in the same folder of the target folder. It needs root, and a kernel that lets it make
# namespaces and overlays; with CFIMAGES_TEST_REQUIRE_NAMESPACES=0 it does nothing where they are refused.
set -euo pipefail

binary=$(realpath "${1:?usage: tests/guide/run.sh BINARY}")
tests=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")
here=$tests/django
target=$(realpath -m "${CARGO_TARGET_DIR:-$tests/../target}")
# shellcheck source=tests/python.sh
source "$tests/python.sh"

fail() {
    echo "cannot carry out the guide: $*" >&2
    exit 1
}

# in_namespaces COMMAND...: no process outlives it, and nothing that it mounts is seen outside. The shell is there to reap what is left over.
in_namespaces() {
    # shellcheck disable=SC2016
    unshare --mount --net --pid --ipc --uts --fork --kill-child bash -c '"$@"; exit $?' init "$@"
}

[ -x "$binary" ] || fail "$binary is no program"
for program in nginx openssl curl runuser setpriv ip; do
    command -v "$program" >/dev/null || fail "$program is not installed"
done
layered='mount -t tmpfs tmpfs /mnt && mkdir /mnt/{upper,work,root} &&
    mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root'
if ! in_namespaces bash -c "$layered"; then
    [ "${CFIMAGES_TEST_REQUIRE_NAMESPACES:-1}" = 0 ] || fail "it needs root, and a kernel that lets it make namespaces and overlays"
    echo "The guide is not carried out: there are no namespaces or overlays here."
    exit
fi
install_python_packages "$target/django"

in_namespaces "$python" -B "$tests/guide/run.py" "$binary" "$environment"
