#!/usr/bin/env bash
# Points Cloudflare's own SDKs for Python and for Node.js at the emulator of a built cfimages.
#
# usage: tests/sdk/run.sh BINARY [python|node]
#
# The SDKs are installed from the index of pip and from npm's registry, into a folder of the target folder that is used again while
# requirements.txt and package-lock.json stay the same. Each SDK gets an emulator of its own.
set -euo pipefail

binary=$(realpath "${1:?usage: tests/sdk/run.sh BINARY [python|node]}")
only=${2:-}
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
target=$(realpath -m "${CARGO_TARGET_DIR:-$here/../../target}")/sdk
# shellcheck source=tests/python.sh
source "$here/../python.sh"
folder=$(mktemp -d "${TMPDIR:-/tmp}/cfimages-sdk.XXXXXX")
emulator=

clean_up() {
    stop_emulator
    rm -rf -- "$folder"
}
trap clean_up EXIT

fail() {
    echo "cannot try Cloudflare's SDKs: $*" >&2
    exit 1
}

install_node_sdk() {
    packages=$target/node-$(cksum "$here/package-lock.json" | cut -d ' ' -f 1)
    [ ! -e "$packages/complete" ] || return 0
    rm -rf -- "$packages"
    mkdir -p -- "$packages"
    cp -- "$here/package.json" "$here/package-lock.json" "$packages"
    npm ci --prefix "$packages" --ignore-scripts --no-audit --no-fund --silent ||
        fail "npm could not install what tests/sdk/package-lock.json names; it needs its registry, or a mirror of it"
    touch "$packages/complete"
}

# setting NAME: one of those that the emulator printed.
setting() {
    sed -n "s/^  $1  *//p" "$folder/settings"
}

start_emulator() {
    local deadline=$((SECONDS + 30))
    "$binary" emulator --memory --listen 127.0.0.1:0 --token reader=images-read >"$folder/settings" 2>"$folder/log" &
    emulator=$!
    until grep -q '^Ctrl-C' "$folder/settings"; do
        kill -0 "$emulator" 2>/dev/null || fail "the emulator has stopped: $(cat "$folder/log")"
        [ "$SECONDS" -lt "$deadline" ] || fail "the emulator does not say where it listens"
        sleep 0.05
    done
    EMULATOR=$(setting 'API base URL')
    export EMULATOR=${EMULATOR%/client/v4} ACCOUNT TOKEN HASH
    ACCOUNT=$(setting 'Account id') TOKEN=$(setting 'API token') HASH=$(setting 'Account hash')
}

stop_emulator() {
    [ -n "$emulator" ] || return 0
    kill -TERM "$emulator" 2>/dev/null || true
    wait "$emulator" || true
    emulator=
}

[ -x "$binary" ] || fail "$binary is no program"
export PYTHONDONTWRITEBYTECODE=1 # The sources stay as they are.
status=0
if [ "$only" != node ]; then
    install_python_packages "$target"
    start_emulator
    echo "Cloudflare's SDK for Python, $(grep -o '[0-9.]*$' "$here/requirements.txt")"
    "$environment/bin/python" "$here/sdk.py" || status=1
    stop_emulator
fi
if [ "$only" != python ]; then
    node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' 2>/dev/null || fail "it needs Node.js 20 or later"
    install_node_sdk
    start_emulator
    echo "Cloudflare's SDK for Node.js, $(sed -n 's/.*"cloudflare": "\(.*\)".*/\1/p' "$here/package.json")"
    PACKAGES=$packages/ node --test --test-reporter=spec --test-timeout=60000 "$here/sdk.mjs" || status=1
    stop_emulator
fi
exit "$status"
