"""The jobs, each reading top to bottom: build, tilt, columns, heights, compare, series.

Their functions are names of atomfit itself (`atomfit.build`), and nothing else here is for others to rely
on. It imports everything but the command line and `atomfit.simulation`.
"""
