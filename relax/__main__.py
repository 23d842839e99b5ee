"""`python -m relax` is the command `relax`."""

from relax.cli import main

main()
