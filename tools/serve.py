"""``python tools/serve.py``: the same as ``detkit serve``."""

import sys

from detkit.cli.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("serve", sys.argv[1:], prog="tools/serve.py"))
