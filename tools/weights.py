"""``python tools/weights.py``: the same as ``detkit weights``."""

import sys

from detkit.cli.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("weights", sys.argv[1:], prog="tools/weights.py"))
