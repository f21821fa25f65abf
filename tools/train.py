"""``python tools/train.py``: the same as ``detkit train``."""

import sys

from detkit.cli.main import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("train", sys.argv[1:], prog="tools/train.py"))
