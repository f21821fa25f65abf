"""``python tools/benchmark.py``: the same as ``detkit benchmark``."""

import sys

from detkit.cli.main import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("benchmark", sys.argv[1:], prog="tools/benchmark.py"))
