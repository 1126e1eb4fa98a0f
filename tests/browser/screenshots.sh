#!/usr/bin/env bash
# Makes the pictures of the admin site that the README and docs/admin.md show, in docs/images/: `BINARY dev` is filled with landscapes that
# the browser draws, and its pages are looked at as on a desk and on a phone, in light and dark.
#
# Beside what run.sh needs it takes Python, which moves some uploads into the past.
#
# usage: tests/browser/screenshots.sh BINARY
set -euo pipefail

binary=$(realpath "${1:?usage: tests/browser/screenshots.sh BINARY}")
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
# shellcheck source=tests/browser/support/dev.sh
source "$here/support/dev.sh"

DOCS_IMAGES=$(realpath "$here/../../docs")/images node "$here/screenshots.js"
