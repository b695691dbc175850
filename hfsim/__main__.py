"""`python -m hfsim`: the command line, also installed as `hfsim`."""

import sys

from hfsim.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
