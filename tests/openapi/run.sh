#!/usr/bin/env bash
# Has Schemathesis try a built cfimages by the description of an API: the server by its own, the emulator by Cloudflare's.
#
# usage: tests/openapi/run.sh BINARY server|emulator [OPTION...]
#
# Options go to `schemathesis run`. Schemathesis is installed from the index of pip, into a folder of the target folder that is used again
# while requirements.txt stays the same.
set -euo pipefail

usage='usage: tests/openapi/run.sh BINARY server|emulator [OPTION...]'
binary=$(realpath "${1:?$usage}")
what=${2:?$usage}
shift 2
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
target=$(realpath -m "${CARGO_TARGET_DIR:-$here/../../target}")
# shellcheck source=tests/python.sh
source "$here/../python.sh"
folder=$(mktemp -d "${TMPDIR:-/tmp}/cfimages-openapi.XXXXXX")
started=()

clean_up() {
    local process
    for process in ${started[@]+"${started[@]}"}; do
        if kill -TERM "$process" 2>/dev/null; then
            wait "$process" || true
        fi
    done
    rm -rf -- "$folder"
}
trap clean_up EXIT

fail() {
    echo "cannot try the $what by its description: $*" >&2
    exit 1
}

# wait_for TEXT FILE: until the process that was started last has written a line with it.
wait_for() {
    local process=${started[-1]} deadline=$((SECONDS + 30))
    until grep -qs "$1" "$2"; do
        kill -0 "$process" 2>/dev/null || fail "it has stopped: $(cat "$folder"/*.log)"
        [ "$SECONDS" -lt "$deadline" ] || fail "it does not say where it listens"
        sleep 0.05
    done
}

# setting NAME: one of those that the emulator printed.
setting() {
    sed -n "s/^  $1  *//p" "$folder/settings"
}

start_emulator() {
    "$binary" emulator --memory --listen 127.0.0.1:0 >"$folder/settings" 2>"$folder/emulator.log" &
    started+=("$!")
    wait_for '^Ctrl-C' "$folder/settings"
    ACCOUNT=$(setting 'Account id') TOKEN=$(setting 'API token') EMULATOR=$(setting 'API base URL')
}

# The server, on a new SQLite database unless DATABASE_URL names another, with a user of the staff.
start_server() {
    start_emulator
    export DATABASE_URL=${DATABASE_URL:-sqlite://$folder/cfimages.db}
    export CLOUDFLARE_IMAGES_ACCOUNT_ID=$ACCOUNT CLOUDFLARE_IMAGES_API_TOKEN=$TOKEN CLOUDFLARE_IMAGES_BASE_URL=$EMULATOR
    CLOUDFLARE_IMAGES_ACCOUNT_HASH=$(setting 'Account hash')
    export CLOUDFLARE_IMAGES_ACCOUNT_HASH CLOUDFLARE_IMAGES_SIGNING_KEY=key CFIMAGES_LOG_FORMAT=json
    export CFIMAGES_RATE_LIMIT_UPLOADS=off CFIMAGES_RATE_LIMIT_WRITES=off # All requests are to reach the inside.
    "$binary" migrate >"$folder/migrate.log"
    CFIMAGES_ADMIN_PASSWORD=$(head -c 18 /dev/urandom | base64) "$binary" user create staff --staff >"$folder/user.log"
    TOKEN=$("$binary" token create staff)
    "$binary" serve --listen 127.0.0.1:0 >"$folder/server.log" 2>&1 &
    started+=("$!")
    wait_for 'Listening on' "$folder/server.log"
    API=$(grep -o 'http://127.0.0.1:[0-9]*' "$folder/server.log" | head -n 1)/cloudflare-images/api
}

[ -x "$binary" ] || fail "$binary is no program"
install_python_packages "$target/openapi"

export PYTHONDONTWRITEBYTECODE=1 # The sources stay as they are.
export PYTHONPATH=$here ACCOUNT TOKEN EMULATOR API
case $what in
server)
    start_server
    "$binary" openapi >"$folder/openapi.json"
    url=${API%/cloudflare-images/api}
    ;;
emulator)
    start_emulator
    "$environment/bin/python" "$here/emulator/document.py" >"$folder/openapi.json"
    url=$EMULATOR
    EMULATOR=${EMULATOR%/client/v4}
    ;;
*) fail "$usage" ;;
esac
cd "$here/$what"
"$environment/bin/schemathesis" --config-file schemathesis.toml run "$folder/openapi.json" --url "$url" "$@" || status=$?
grep -q 'panicked' "$folder"/*.log && fail "it has panicked: $(grep -h 'panicked' "$folder"/*.log)"
exit "${status:-0}"
