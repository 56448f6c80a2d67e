"""`python -m atomfit.cli`: the command, where it is not installed as one."""

from atomfit.cli import main

main()
