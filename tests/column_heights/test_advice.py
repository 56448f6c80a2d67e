"""Advice on imaging: more electrons tell more, focus tells least, and what cannot be is refused."""

from pathlib import Path

import numpy as np
import pytest

from atomfit.column_heights import ImagingAdvice, ImagingSetup, imaging_advice
from atomfit.support.errors import InputError

SETUP = ImagingSetup(size=48, defocus=(-8.0, 0.0, 8.0))


@pytest.fixture(scope="module")
def advice() -> ImagingAdvice:
    return imaging_advice("CeO2", (1, 1, 0), (100.0, 1e3, 1e5), (2, 6), SETUP)


def test_more_electrons_tell_more_and_many_tell_all(advice: ImagingAdvice) -> None:
    assert np.all(np.diff(advice.exact, axis=0) >= 0)
    assert np.all(advice.exact[-1] > 0.99)
    # Of five heights one is right by chance.
    assert np.all(advice.exact[0] > 0.3)


def test_focus_tells_least_where_electrons_are_few(advice: ImagingAdvice) -> None:
    assert np.all(advice.exact[0, [0, 2]] > advice.exact[0, 1] + 3 * advice.esd[0, 1])
    assert advice.best()[0] != 0
    # Where all is told at each focus, there is no need to leave it.
    assert advice.best()[-1] == 0
    assert advice.alike[-1].all()
    assert "every defocus from -8 to +8 nm tells as much" in advice.told


def test_focuses_that_tell_as_much_are_all_told() -> None:
    exact = np.array([[0.9, 0.5, 0.898], [0.9, 0.5, 0.8]])
    found = ImagingAdvice(np.array([1e3, 3e3]), np.array([-8.0, 0.0, 6.0]), exact, np.zeros((2, 3)))
    first, second = found.told.split("; ")
    assert "2 defocuses between -8 and +6 nm tell most, of which +6 nm" in first
    assert "a defocus of -8 nm tells most" in second


def test_a_table_has_all_of_it(advice: ImagingAdvice, tmp_path: Path) -> None:
    read = np.genfromtxt(advice.write(tmp_path / "advice.csv"), delimiter=",", names=True)
    assert read.dtype.names == ("dose", "defocus", "exact", "exact_esd")
    np.testing.assert_allclose(read["exact"].reshape(3, 3), advice.exact, rtol=1e-5)
    np.testing.assert_allclose(read["defocus"].reshape(3, 3), [SETUP.defocus] * 3)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"doses": (0.0,)}, "no doses"),
        ({"doses": ()}, "no doses"),
        ({"thickness": (3, 2)}, "no thickness"),
        ({"thickness": (0, 2)}, "no thickness"),
        ({"setup": ImagingSetup(defocus=())}, "no defocus"),
        ({"name": "nonesuch"}, "neither"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict, told: str) -> None:
    with pytest.raises(InputError, match=told):
        imaging_advice(**{"name": "CeO2", "zone": (1, 1, 0), **changes})
