#!/usr/bin/env bash
# Has Schemathesis try the emulator of a built cfimages by Cloudflare's own description of the API.
#
# usage: tests/openapi/run.sh BINARY [OPTION...]
#
# Options go to `schemathesis run`. Schemathesis is installed from the index of pip, into a folder of the target folder that is used again
# while requirements.txt stays the same.
set -euo pipefail

binary=$(realpath "${1:?usage: tests/openapi/run.sh BINARY [OPTION...]}")
shift
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
target=$(realpath -m "${CARGO_TARGET_DIR:-$here/../../target}")
python=${PYTHON:-python3}
folder=$(mktemp -d "${TMPDIR:-/tmp}/cfimages-openapi.XXXXXX")
emulator=

clean_up() {
    if [ -n "$emulator" ] && kill -TERM "$emulator" 2>/dev/null; then
        wait "$emulator" || true
    fi
    rm -rf -- "$folder"
}
trap clean_up EXIT

fail() {
    echo "cannot try the emulator by its description: $*" >&2
    exit 1
}

install_schemathesis() {
    rm -rf -- "$environment"
    mkdir -p -- "$environment"
    "$python" -m venv "$environment" ||
        fail "$python makes no virtual environments (on Debian: apt-get install python3-venv)"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$here/requirements.txt" ||
        fail "pip could not install what tests/openapi/requirements.txt names; it needs its index, or a mirror of it (PIP_INDEX_URL)"
    touch "$environment/complete"
}

# setting NAME: one of those that the emulator printed.
setting() {
    sed -n "s/^  $1  *//p" "$folder/settings"
}

start_emulator() {
    local deadline=$((SECONDS + 30))
    "$binary" emulator --memory --listen 127.0.0.1:0 >"$folder/settings" 2>"$folder/log" &
    emulator=$!
    until grep -q '^Ctrl-C' "$folder/settings"; do
        kill -0 "$emulator" 2>/dev/null || fail "the emulator has stopped: $(cat "$folder/log")"
        [ "$SECONDS" -lt "$deadline" ] || fail "the emulator does not say where it listens"
        sleep 0.05
    done
}

[ -x "$binary" ] || fail "$binary is no program"
version=$({ "$python" -VV; cat "$here/requirements.txt"; } | cksum | cut -d ' ' -f 1)
environment=$target/openapi/$version
[ -e "$environment/complete" ] || install_schemathesis
start_emulator

export PYTHONDONTWRITEBYTECODE=1 # The sources stay as they are.
export ACCOUNT TOKEN EMULATOR
ACCOUNT=$(setting 'Account id') TOKEN=$(setting 'API token') EMULATOR=$(setting 'API base URL')
EMULATOR=${EMULATOR%/client/v4}
"$environment/bin/python" "$here/document.py" >"$folder/openapi.json"
cd "$here"
"$environment/bin/schemathesis" --config-file "$here/schemathesis.toml" run "$folder/openapi.json" --url "$EMULATOR/client/v4" "$@" || status=$?
grep -q 'panicked at' "$folder/log" && fail "the emulator has panicked: $(cat "$folder/log")"
exit "${status:-0}"
