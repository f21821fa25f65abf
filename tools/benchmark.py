"""``python tools/benchmark.py``: the same as ``detkit benchmark``."""

import sys

from detkit.cli.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("benchmark", sys.argv[1:], prog="tools/benchmark.py"))
