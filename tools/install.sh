#!/bin/sh
# Make .venv and install detkit in it. Every file that is installed has to have a SHA-256 of
# requirements.lock, the tools that build the two packages without a wheel too. No compiler is used.
#   PYTHON=python3.12     the interpreter
#   VENV=.venv            where to
#   UNVERIFIED=1          the same versions without a look at the hashes, for a package index that
#                         repacks its files or has other builds of PyTorch
set -eu
PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}
UNVERIFIED=${UNVERIFIED:-}
cd "$(dirname "$0")/.."

"$PYTHON" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || {
    echo "error: $PYTHON is $("$PYTHON" --version 2>&1), expected Python 3.10 to 3.13;" \
         "name another: make PYTHON=python3.11" >&2
    exit 2
}
[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
echo "installing into $VENV (PyTorch is large: about 5 GB, a few minutes)" >&2

pip() { "$VENV/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }

SCRATCH=$(mktemp -d)
trap 'rm -rf "$SCRATCH"' EXIT
if [ -n "$UNVERIFIED" ]; then
    echo "warning: UNVERIFIED=$UNVERIFIED: the hashes of requirements.lock are not looked at" >&2
    # Any hash in the file turns the check on.
    sed -e '/^ *--hash=/d' -e 's/ *\\$//' requirements.lock >"$SCRATCH/all.txt"
    CHECK=
else
    cp requirements.lock "$SCRATCH/all.txt"
    CHECK=--require-hashes
fi
awk '/^[^ #]/ { wanted = /^(setuptools|packaging)==/ } wanted' \
    "$SCRATCH/all.txt" >"$SCRATCH/build.txt"

# The lock is complete, so that nothing has to be resolved (--no-deps) and the OpenCV build that
# mmcv asks for, which needs libGL and has the same files as the headless one, stays out.
if pip show opencv-python >/dev/null 2>&1; then
    pip uninstall --yes opencv-python opencv-python-headless
fi
# Build tools of its own (isolation) are what pip would take without a hash. And without isolation
# mmcv compiles its operators when it sees PyTorch, as in a .venv that is brought up to date; asked
# for an extension to PyTorch that is not here, its setup.py leaves them out. We have our own.
export FORCE_MLU=1
{
    pip install $CHECK --no-deps --requirement "$SCRATCH/build.txt" &&
    pip install $CHECK --no-deps --no-build-isolation --requirement "$SCRATCH/all.txt" &&
    pip install --no-deps --no-build-isolation --editable .
} || {
    echo "error: not installed; pip says why above. Where a file's hash is not the expected one," \
         "the package index gave another file than the one that was tried: find out why. Only if" \
         "you trust that index: UNVERIFIED=1 sh tools/install.sh" >&2
    exit 1
}
touch "$VENV/.installed"
