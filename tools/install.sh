#!/bin/sh
# Make .venv and install detkit in it, with the versions of constraints.txt. No compiler is used.
set -eu
PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}
cd "$(dirname "$0")/.."

"$PYTHON" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || {
    echo "error: $PYTHON is $("$PYTHON" --version 2>&1), expected Python 3.10 to 3.13;" \
         "name another: make PYTHON=python3.11" >&2
    exit 2
}
[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
echo "installing into $VENV (PyTorch is large: about 5 GB, a few minutes)" >&2
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check \
    --constraint constraints.txt --editable '.[test]'
# mmcv asks for the OpenCV build that needs libGL; the headless one has the same name inside and
# both write the same files, so the one must go and the other be written again.
if "$VENV/bin/python" -m pip show --quiet opencv-python 2>/dev/null; then
    "$VENV/bin/python" -m pip uninstall --quiet --yes opencv-python opencv-python-headless
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check \
        --constraint constraints.txt --no-deps opencv-python-headless
fi
touch "$VENV/.installed"
