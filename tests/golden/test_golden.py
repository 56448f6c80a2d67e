"""Numbers that stay as they are unless a commit says why they change (`cases`)."""

import json

import pytest

from golden.cases import CASES, VALUES, differences

pytestmark = pytest.mark.optimised

#: Of float32 on another processor or with another release of JAX, relative to a vector's norm.
TOLERANCE = 2e-3
#: The others are looked at by `make test-all`: each compiles programs of its own.
OFTEN = (
    "map, white",
    "map, spectral",
    "map, two elements",
    "series, direct",
    "series, turned and shifted",
)


@pytest.mark.parametrize(
    "name", [name if name in OFTEN else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
def test_numbers_are_as_they_were(name: str) -> None:
    known = json.loads(VALUES.read_text(encoding="utf-8"))[name]
    assert {key: x for key, x in differences(CASES[name](), known).items() if not x < TOLERANCE} == {}


def test_a_change_is_seen() -> None:
    known = {"gradient": [2.0, 0.1, -0.1, 0.3]}
    assert differences({"gradient": [2.0, 0.1, -0.1, 0.31]}, known)["gradient"] == pytest.approx(0.005)
    with pytest.raises(AssertionError, match="bias"):
        differences({"bias": [1.0]}, known)
