"""``python tools/predict.py``: the same as ``detkit predict``."""

import sys

from detkit.cli.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("predict", sys.argv[1:], prog="tools/predict.py"))
