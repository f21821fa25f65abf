#!/bin/sh
# Write requirements.lock from setup.cfg and constraints.txt: every package that is installed, also
# indirectly required ones, for Python 3.10 to 3.13 and every platform, with the SHA-256 of each
# file that the package index has; and requirements-docs.lock, what 'make docs' adds to it. Needs
# uv (pip install uv). Versions that still fit are kept; with --upgrade the newest are taken.
set -eu
cd "$(dirname "$0")/.."

# Usage: compile OUTPUT FLAGS..., with requirements as the last words.
compile() {
    lock=$1
    shift
    "${UV:-uv}" pip compile --universal --python-version 3.10 --generate-hashes \
        --no-emit-index-url --custom-compile-command 'sh tools/lock.sh' --output-file "$lock" \
        --quiet "$@"
}

compile requirements.lock "$@" --constraint constraints.txt --extra test setup.cfg
# The extra alone, without what detkit requires: packages of both locks have the same version.
awk '/^\[/ { inside = 0 } inside && /^[^ ]/ { inside = 0 } inside { print $1 }
     $0 == "docs =" { inside = 1 }' setup.cfg |
    compile requirements-docs.lock "$@" --constraint requirements.lock -
