#!/bin/sh
# Write requirements.lock from setup.cfg and constraints.txt: every package that is installed, also
# those that others ask for, for Python 3.10 to 3.13 and every platform, with the SHA-256 of each
# file that the package index has. Needs uv (pip install uv). Versions that still fit are kept;
# with --upgrade the newest are taken.
set -eu
cd "$(dirname "$0")/.."
exec "${UV:-uv}" pip compile setup.cfg --extra test --constraint constraints.txt \
    --universal --python-version 3.10 --generate-hashes --no-emit-index-url \
    --custom-compile-command 'sh tools/lock.sh' --output-file requirements.lock --quiet "$@"
