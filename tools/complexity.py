"""``python tools/complexity.py``: the same as ``detkit complexity``."""

import sys

from detkit.cli.main import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("complexity", sys.argv[1:], prog="tools/complexity.py"))
