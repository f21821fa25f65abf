"""``python tools/test.py``: the same as ``detkit test``."""

import sys

from detkit.cli.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("test", sys.argv[1:], prog="tools/test.py"))
