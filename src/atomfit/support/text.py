"""Words for people that may hold what cannot be written: names of files, above all.

A name on disk is bytes. Python keeps those that are no UTF-8 as lone surrogates, which no file and no
terminal takes; here they become what they are, as \\xfc.
"""

import os


def writable(text: str) -> str:
    """The same, with everything that is no UTF-8 as an escape sequence."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        try:
            return os.fsencode(text).decode("utf-8", "backslashreplace")
        except UnicodeEncodeError:
            return text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text


def is_writable(text: str) -> bool:
    """Whether it can be written as it is."""
    return writable(text) == text


def name_of_file(text: str) -> str:
    """The same as a part of a file's name."""
    return text if is_writable(text) else writable(text).replace("\\", "_")
