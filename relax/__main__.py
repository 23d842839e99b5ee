"""`python -m relax` is the command `relax`."""

from relax.cli.app import main

main()
