"""``python tools/complexity.py``: the same as ``detkit complexity``."""

import sys

from detkit.cli.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("complexity", sys.argv[1:], prog="tools/complexity.py"))
