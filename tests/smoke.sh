#!/usr/bin/env bash
# Does with a built binary what the README does first: `cfimages dev`, and one picture on its whole way.
#
# usage: tests/smoke.sh BINARY
set -euo pipefail

binary=$(realpath "${1:?usage: tests/smoke.sh BINARY}")
project=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")
# shellcheck source=tests/ports.sh
source "$project/tests/ports.sh"
folder=$(mktemp -d "${TMPDIR:-/tmp}/cfimages-smoke.XXXXXX")
server=

clean_up() {
    local status=$?
    [ -z "$server" ] || has_stopped || kill -KILL "$server"
    if [ "$status" -ne 0 ] && [ -s "$folder/server.log" ]; then
        printf '\nthe server said:\n' >&2
        hide_secrets <"$folder/server.log" >&2
    fi
    rm -rf -- "$folder"
}
trap clean_up EXIT

fail() {
    echo "smoke run failed: $*" >&2
    exit 1
}

hide_secrets() {
    sed -E 's/[0-9a-f]{40}/(token)/g; s/([Pp]assword[: ]+).*/\1(hidden)/'
}

# eventually SECONDS COMMAND...: repeats a command until it succeeds.
eventually() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || fail "waited in vain for: $*"
        sleep 0.1
    done
}

# member KEY: the value of a string in the JSON on standard input.
member() {
    sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" | head -n 1
}

fetch() {
    curl --silent --show-error --fail-with-body --max-time 10 "$@"
}

api() {
    local path=$1
    shift
    fetch -H "Authorization: Token $token" "$@" "$origin/cloudflare-images/api/$path"
}

is_ready() {
    ! has_stopped || fail "the server has stopped"
    fetch "$origin/readyz" >/dev/null 2>&1
}

has_stopped() {
    ! kill -0 "$server" 2>/dev/null
}

# expect_image NAME URL: fails unless the URL answers with a picture.
expect_image() {
    [ -n "$2" ] || fail "the image has no $1"
    fetch -o "$folder/$1" "$2"
    case $(head -c 12 "$folder/$1" | od -An -tx1 | tr -d ' \n') in
        ffd8ff* | 89504e470d0a1a0a* | 47494638* | 52494646????????57454250) ;;
        *) fail "the $1 is not an image" ;;
    esac
    echo "$1: $(wc -c <"$folder/$1") bytes"
}

listen=127.0.0.1:$(free_port)
emulator_listen=127.0.0.1:$(free_port)
origin=http://$listen
cd "$folder" # Nothing of it may depend on the folder it starts in.
ln -s "$project/tests" tests
"$binary" dev --listen "$listen" --emulator-listen "$emulator_listen" >"$folder/server.log" 2>&1 &
server=$!
eventually 30 is_ready
token=$(member token <cfimages-dev/credentials.json)
[[ $token =~ ^[0-9a-f]{40}$ ]] || fail "credentials.json holds no token"
echo "ready"

# The README's own commands, from the line that sets API to the end of its block, with the ports of this run.
sed -n '/^API=/,/^```/p' "$project/README.md" | sed '$d' | sed "s/127\.0\.0\.1:8000/$listen/" >readme.sh
grep -q 'thumbnail.jpg' readme.sh || fail "the README has no upload to try"
timeout 60 bash -euo pipefail readme.sh >readme.log || fail "the README's upload does not work: $(hide_secrets <readme.log)"
expect_image thumbnail.jpg "file://$folder/thumbnail.jpg"
id=$(member id <upload.json)
echo "uploaded"

image=$(api "images/$id/")
expect_image public_url "$(member public_url <<<"$image")"
expect_image thumbnail_url "$(member thumbnail_url <<<"$image")"

kill -TERM "$server"
eventually 15 has_stopped
wait "$server" || fail "the server stopped with exit code $?"
echo "stopped"
