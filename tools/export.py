"""``python tools/export.py``: the same as ``detkit export``."""

import sys

from detkit.cli.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("export", sys.argv[1:], prog="tools/export.py"))
