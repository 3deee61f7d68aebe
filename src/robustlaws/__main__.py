"""`python -m robustlaws`: the command without an installed script."""

import sys

from robustlaws.cli import main

sys.exit(main())
