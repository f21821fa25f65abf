"""``python tools/evaluate.py``: the same as ``detkit evaluate``."""

import sys

from detkit.cli.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("evaluate", sys.argv[1:], prog="tools/evaluate.py"))
