"""``python tools/predict.py``: the same as ``detkit predict``."""

import sys

from detkit.cli.main import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("predict", sys.argv[1:], prog="tools/predict.py"))
