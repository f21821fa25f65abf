#!/bin/sh
# Write requirements.lock from setup.cfg and constraints.txt: all packages, including indirect
# dependencies, for Python 3.10 to 3.13 and all platforms, with the SHA-256 hashes of their files
# in the package index. Needs uv (pip install uv). Versions that are still compatible are kept;
# --upgrade uses the newest.
set -eu
cd "$(dirname "$0")/.."
exec "${UV:-uv}" pip compile setup.cfg --extra test --constraint constraints.txt \
    --universal --python-version 3.10 --generate-hashes --no-emit-index-url \
    --custom-compile-command 'sh tools/lock.sh' --output-file requirements.lock --quiet "$@"
