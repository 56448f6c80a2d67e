"""The script for ChimeraX: whatever a map is called, it names a file and says nothing else."""

import pytest

from atomfit.io.viewer import can_be_named


@pytest.mark.parametrize(
    "name",
    [
        "x\nrunscript evil.py\n#.mrc",
        'a"b.mrc',
        "a\\b.mrc",
        "a\rb.mrc",
        "a\x7fb.mrc",
        "\udcff.mrc",
        "a\u2028b.mrc",
        "a\u202eb.mrc",
    ],
)
def test_names_that_a_script_cannot_hold(name: str) -> None:
    assert not can_be_named(name)
    assert not can_be_named(f"{name}/map.mrc")


@pytest.mark.parametrize("name", ["map.mrc", "../a b/Ünïcode (1).mrc", "it's.mrc", "a;b$c.mrc", "電子.mrc"])
def test_names_that_it_can(name: str) -> None:
    assert can_be_named(name)
