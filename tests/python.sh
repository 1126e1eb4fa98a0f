# To be sourced by scripts that set $here and have a function `fail`: Python packages from the index of pip.
# shellcheck shell=bash disable=SC2154
set -euo pipefail

python=${PYTHON:-python3}

# install_python_packages FOLDER: a virtual environment below FOLDER with what $here/requirements.txt names, which is used again while that
# stays the same. $environment names it then.
install_python_packages() {
    environment=$1/python-$({ "$python" -VV; cat "$here/requirements.txt"; } | cksum | cut -d ' ' -f 1)
    # A folder that was restored from elsewhere may name a Python that is not there.
    if [ -e "$environment/complete" ] && "$environment/bin/python" -c '' 2>/dev/null; then
        return
    fi
    rm -rf -- "$environment"
    mkdir -p -- "$environment"
    "$python" -m venv "$environment" ||
        fail "$python makes no virtual environments (on Debian: apt-get install python3-venv)"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$here/requirements.txt" ||
        fail "pip could not install what $here/requirements.txt names; it needs its index, or a mirror of it (PIP_INDEX_URL)"
    touch "$environment/complete"
}
