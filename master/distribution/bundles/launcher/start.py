"""Starts the node with the packages of this folder."""

import sys
from os.path import abspath, dirname, join

sys.path.insert(0, join(dirname(abspath(__file__)), "lib"))

if __name__ == "__main__":
    from node.__main__ import main

    main()
