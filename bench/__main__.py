"""`python -m bench` is the command line."""

from bench.cli import main

main()
