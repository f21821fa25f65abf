#!/bin/sh
# Make .venv and install detkit in it. Every downloaded file has to match a SHA-256 of
# requirements.lock, including the tools that build mmcv and mmdet, which have no wheels. No
# compiler is used. With the word 'docs' it adds what requirements-docs.lock lists to that .venv.
# Environment variables:
#   PYTHON=python3.12     the interpreter
#   VENV=.venv            the virtual environment
#   UNVERIFIED=1          install the same versions without checking hashes, for a package index
#                         that repacks its files or has other builds of PyTorch
set -eu
PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}
UNVERIFIED=${UNVERIFIED:-}
cd "$(dirname "$0")/.."

"$PYTHON" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || {
    echo "error: $PYTHON is $("$PYTHON" --version 2>&1), expected Python 3.10 to 3.13;" \
         "choose another with: make PYTHON=python3.11" >&2
    exit 2
}
[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"

pip() { "$VENV/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }

SCRATCH=$(mktemp -d)
trap 'rm -rf "$SCRATCH"' EXIT
trap 'exit 1' HUP INT TERM  # not every sh runs the line above when it is interrupted

LOCK=requirements.lock
[ "${1:-}" != docs ] || LOCK=requirements-docs.lock
if [ -n "$UNVERIFIED" ]; then
    echo "warning: UNVERIFIED=$UNVERIFIED: the hashes of $LOCK are not checked" >&2
    # Any hash in the file turns the check on.
    sed -e '/^ *--hash=/d' -e 's/ *\\$//' "$LOCK" >"$SCRATCH/all.txt"
    CHECK=
else
    cp "$LOCK" "$SCRATCH/all.txt"
    CHECK=--require-hashes
fi
if [ "$LOCK" = requirements-docs.lock ]; then
    pip install $CHECK --no-deps --requirement "$SCRATCH/all.txt"
    touch "$VENV/.installed-docs"
    exit 0
fi
echo "installing into $VENV (PyTorch is large: about 5 GB, a few minutes)" >&2
awk '/^[^ #]/ { keep = /^(setuptools|packaging)==/ } keep' \
    "$SCRATCH/all.txt" >"$SCRATCH/build.txt"

# The lock file is complete. --no-deps prevents the OpenCV build that mmcv requires, which needs
# libGL and installs the same files as the headless one. If it is installed, both are removed.
if pip show opencv-python >/dev/null 2>&1; then
    pip uninstall --yes opencv-python opencv-python-headless
fi
# With build isolation, pip would download build tools without checking hashes. Without it, mmcv's
# setup.py finds PyTorch in a .venv that is being updated, and compiles its operators, which are
# not used. With FORCE_MLU it tries to import a missing extension, and compiles nothing.
export FORCE_MLU=1
{
    pip install $CHECK --no-deps --requirement "$SCRATCH/build.txt" &&
    pip install $CHECK --no-deps --no-build-isolation --requirement "$SCRATCH/all.txt" &&
    pip install --no-deps --no-build-isolation --editable .
} || {
    echo "error: the installation failed, see pip's message above. If a hash does not match, the" \
         "package index has a different file than the tested one: find out why. Only if you trust" \
         "that index: UNVERIFIED=1 sh tools/install.sh" >&2
    exit 1
}
touch "$VENV/.installed"
