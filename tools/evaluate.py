"""``python tools/evaluate.py``: the same as ``detkit evaluate``."""

import sys

from detkit.cli.main import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("evaluate", sys.argv[1:], prog="tools/evaluate.py"))
