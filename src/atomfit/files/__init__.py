"""What each job writes: the files of a result, page and figures among them.

A result writes itself (`BuildResult.write`); nothing here is for others to rely on. It imports
`atomfit.figures`, `atomfit.report` and what lies below.
"""
