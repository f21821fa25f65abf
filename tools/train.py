"""``python tools/train.py``: the same as ``detkit train``."""

import sys

from detkit.cli.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("train", sys.argv[1:], prog="tools/train.py"))
