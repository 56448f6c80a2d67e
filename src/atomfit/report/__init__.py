"""What is told to a person: `check` in a few lines of text, `page` on pages that any browser opens.

Nothing here is for others to rely on. It imports `atomfit.results` and what lies below.
"""
