# To be sourced by scripts that set $binary and $here: starts `$binary dev` in a folder of its own, and ends it when the script does.
# shellcheck shell=bash disable=SC2154
set -euo pipefail

# shellcheck source=tests/ports.sh
source "$here/../ports.sh"

target=$(realpath -m "${CARGO_TARGET_DIR:-$here/../../target}")
server=

fail() {
    echo "cannot try the browser: $*" >&2
    exit 1
}

clean_up() {
    local status=$?
    if [ -n "$server" ] && ! has_stopped; then
        kill -TERM "$server"
        wait "$server" || true
    fi
    if [ "$status" -ne 0 ] && grep -qE '"(WARN|ERROR)"|^error' "$folder/server.log"; then
        printf '\nthe server said:\n' >&2
        grep -E '"(WARN|ERROR)"|^error' "$folder/server.log" | sed -E 's/[0-9a-f]{40}/(token)/g' >&2
    fi
    rm -rf -- "$folder"
}

has_stopped() {
    ! kill -0 "$server" 2>/dev/null
}

find_chromium() {
    command -v chromium || command -v chromium-browser || command -v google-chrome ||
        fail "there is no Chromium (on Debian: apt-get install chromium); CHROMIUM may name one"
}

install_packages() {
    rm -rf -- "$packages"
    mkdir -p -- "$packages"
    cp -- "$here/package.json" "$here/package-lock.json" "$packages"
    npm ci --prefix "$packages" --ignore-scripts --no-audit --no-fund --silent ||
        fail "npm could not install what tests/browser/package-lock.json names; it needs its registry, or a mirror of it"
    touch "$packages/complete"
}

wait_until_ready() {
    local deadline=$((SECONDS + 30))
    until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && [ -s cfimages-dev/credentials.json ]; do
        ! has_stopped || fail "the server has stopped"
        [ "$SECONDS" -lt "$deadline" ] || fail "the server does not listen after 30 seconds"
        sleep 0.1
    done
}

[ -x "$binary" ] || fail "$binary is no program"
node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' 2>/dev/null || fail "it needs Node.js 20 or later"
CHROMIUM=${CHROMIUM:-$(find_chromium)}
packages=$target/browser/$(cksum "$here/package-lock.json" | cut -d ' ' -f 1)
[ -e "$packages/complete" ] || install_packages

folder=$(mktemp -d "${TMPDIR:-/tmp}/cfimages-browser.XXXXXX")
trap clean_up EXIT
[ -z "${SCREENSHOTS:-}" ] || SCREENSHOTS=$(realpath -m "$SCREENSHOTS")
cd "$folder"
port=$(free_port)
emulator_port=$(free_port)
"$binary" dev --listen "127.0.0.1:$port" --emulator-listen "127.0.0.1:$emulator_port" >server.log 2>&1 &
server=$!
wait_until_ready

export BINARY=$binary CHROMIUM SCREENSHOTS
export CFIMAGES=http://127.0.0.1:$port/cloudflare-images EMULATOR=http://127.0.0.1:$emulator_port
export CREDENTIALS=$folder/cfimages-dev/credentials.json PACKAGES=$packages/ TMPDIR=$folder
