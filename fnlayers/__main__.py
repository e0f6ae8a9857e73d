"""`python -m fnlayers`: see `fnlayers.command_line`."""

import sys

from fnlayers.command_line import main

if __name__ == "__main__":
    sys.exit(main())
