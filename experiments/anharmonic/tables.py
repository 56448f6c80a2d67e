"""Errors of atoms, and of ratios of surface to core, as tables."""

from collections.abc import Iterator, Sequence

import numpy as np

from experiments.anharmonic.fits import ALONG, DOI, LONGEST, SHORTEST, U_ISO, Compared
from experiments.recording import markdown
from experiments.single_pt.measures import surface_to_core
from experiments.single_pt.particles import FRAMES, TEMPERATURE

#: What has a ratio, and what has an error.
RATIOS = {"U_iso": U_ISO, "DOI": DOI, "DOI along true axes": ALONG}
ERRORS = {"U_iso": U_ISO, "U, shortest": SHORTEST, "U, longest": LONGEST, "DOI": DOI, "along axes": ALONG}
KINDS = ("Gaussian", "anharmonic")


def tables(compared: Sequence[Compared], seed: int) -> Iterator[str]:
    """All of the record."""
    yield (
        f"{FRAMES} frames of EMT dynamics at {TEMPERATURE:g} K, seed {seed}; atoms that never leave home, "
        "by their true coordination number. Biases to second order are taken off."
    )
    yield "**Errors of atoms**: mean ± standard deviation (Å²; of DOI, a ratio), and root mean square z."
    yield markdown(
        ("particle", "atoms", *(f"{kind} {x}" for x in ERRORS for kind in KINDS)), _errors(compared)
    )
    what = "root mean square z, and median of |z| over what it should be"
    yield f"**Displacements**, all six elements: {what}."
    yield markdown(("particle", "atoms", *KINDS), list(_elements(compared)))
    yield "**Surface to core**: true, found ± S/√N; z by S/√N, z by propagated standard uncertainties."
    yield markdown(
        ("particle", *(f"{kind} {x}" for x in RATIOS for kind in KINDS)), list(_ratios(compared))
    )
    yield "**Within 1.96 error bars**: by S/√N; by propagated standard uncertainties."
    yield markdown(("of", *KINDS), list(_within(compared)))
    yield "**Spreads** that the prior ends with: root mean square of C (Å³) and D (Å⁴)."
    yield markdown(("particle", "core", "surface", "hopping"), list(_spreads(compared)))


def _groups(one: Compared) -> Iterator[tuple[str, np.ndarray]]:
    yield "core", one.core
    yield "surface", ~one.core


def _errors(compared: Sequence[Compared]) -> Iterator[tuple[str, ...]]:
    for one in compared:
        for where, these in _groups(one):
            cells = []
            for column in ERRORS.values():
                for kind in KINDS:
                    values, esd = (x[these, column] for x in one.found[kind])
                    away = values - one.true[these, column]
                    z = np.sqrt(np.mean((away / esd) ** 2))
                    cells.append(f"{away.mean():+.4f} ± {away.std():.4f}; {z:.2f}")
            yield (one.name, f"{where}, {these.sum()}", *cells)


def _elements(compared: Sequence[Compared]) -> Iterator[tuple[str, ...]]:
    for one in compared:
        for where, these in _groups(one):
            cells = []
            for kind in KINDS:
                values, esd = (x[these, 3:9] for x in one.found[kind])
                z = (values - one.true[these, 3:9]) / esd
                cells.append(f"{np.sqrt(np.mean(z**2)):.2f}; {np.median(np.abs(z)) / 0.6745:.2f}")
            yield (one.name, where, *cells)


def _quotients(one: Compared, kind: str, column: int) -> tuple[float, float, float, float, float]:
    """The true ratio, the found one, its S/√N, and its error in either error bar."""
    neighbours = np.where(one.core, 12, 0)
    values, esd = (x[:, column] for x in one.found[kind])
    ratio = surface_to_core({"x": values, "x_esd": esd, "cn": neighbours}, "x")
    true = surface_to_core({"x": one.true[:, column], "cn": neighbours}, "x").value
    away = ratio.value - true
    return true, ratio.value, ratio.scatter, away / ratio.scatter, away / ratio.propagated


def _ratios(compared: Sequence[Compared]) -> Iterator[tuple[str, ...]]:
    for one in compared:
        cells = []
        for column in RATIOS.values():
            for kind in KINDS:
                true, found, scatter, *z = _quotients(one, kind, column)
                cells.append(f"{true:.3f}, {found:.3f} ± {scatter:.3f}; {z[0]:+.1f}, {z[1]:+.1f}")
        yield (one.name, *cells)


def _within(compared: Sequence[Compared]) -> Iterator[tuple[str, ...]]:
    for name, column in RATIOS.items():
        cells = []
        for kind in KINDS:
            z = np.abs([_quotients(one, kind, column)[3:] for one in compared])
            cells.append("; ".join(f"{count} of {len(compared)}" for count in np.sum(z < 1.96, axis=0)))
        yield (name, *cells)


def _spreads(compared: Sequence[Compared]) -> Iterator[tuple[str, ...]]:
    for one in compared:
        parts = ((s[:10], s[10:]) for s in one.spreads)
        yield (one.name, *(", ".join(f"{np.sqrt(np.mean(x**2)):.4f}" for x in both) for both in parts))
