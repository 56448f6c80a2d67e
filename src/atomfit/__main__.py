"""`python -m atomfit` is the command `atomfit`."""

from atomfit.cli import main

main()
