"""``python tools/video.py``: the same as ``detkit video``."""

import sys

from detkit.cli.main import run_command

if __name__ == "__main__":
    sys.exit(run_command("video", sys.argv[1:], prog="tools/video.py"))
