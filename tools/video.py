"""``python tools/video.py``: the same as ``detkit video``."""

import sys

from detkit.cli.main import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("video", sys.argv[1:], prog="tools/video.py"))
