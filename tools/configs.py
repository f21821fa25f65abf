"""``python tools/configs.py``: the same as ``detkit configs``."""

import sys

from detkit.cli.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("configs", sys.argv[1:], prog="tools/configs.py"))
