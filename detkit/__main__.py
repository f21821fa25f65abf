"""``python -m detkit``: the same as ``detkit``."""

import sys

from detkit.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
