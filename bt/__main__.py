"""``python -m bt``: the same as the command ``bt``."""

import sys

from bt.cli import main

sys.exit(main())
