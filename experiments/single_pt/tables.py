"""The paper's Table 1, and what its figures say in numbers: truth / atomfit / the paper's procedure."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from atomfit.files.columns import Table
from atomfit.statistics.comparison import Comparison
from atomfit.statistics.depth import measure_depths
from experiments.recording import markdown
from experiments.single_pt.measures import Errors, core, errors, penetration
from experiments.single_pt.procedures import NAMES, Study, matrices_of, positions_of

DEPTHS = {"cn": "CN", "gcn_max": "GCN", "u_iso": "U_iso", "doi_debiased": "DOI"}


def overview(studies: Sequence[Study]) -> Iterator[str]:
    """Table 1."""
    cells: dict[str, Callable[[Table], str]] = {
        "atoms": lambda t: f"{len(t['x'])}",
        "diameter, Å": lambda t: f"{measure_depths(positions_of(t)).diameter:.1f}",
        "mean CN": lambda t: f"{t['cn'].mean():.2f}",
        "median NN bond, Å": lambda t: f"{np.median(t['nn_distance']):.3f}",
        "median radial strain, %": lambda t: f"{100 * np.nanmedian(t['strain_radial_bulk']):+.2f}",
        "core ratio": lambda t: f"{core(t).mean():.3f}",
    }
    rows = []
    for study in studies:
        tables = [study.whole(name) for name in NAMES]
        found = [_errors(study, name).counts for name in NAMES[1:]]
        rows.append(
            (study.case.name, *(" / ".join(cell(t) for t in tables) for cell in cells.values()))
            + (" / ".join(found),)
        )
    yield "**Table 1 of the paper**: truth / atomfit / the paper's procedure."
    yield markdown(("particle", *cells, "missing, second sites, false: atomfit / paper"), rows)


def atoms(studies: Sequence[Study]) -> Iterator[str]:
    """Errors of single atoms."""
    rows = []
    for name in NAMES[1:]:
        for where in ("core", "surface, always at home", "surface, hopping"):
            parts = [_of_atoms(study, name, where) for study in studies]
            away, u, z, *doi = (np.concatenate(one) for one in zip(*parts, strict=True))
            cells = (_spread(u, 4), _spread(z, 2), *(_spread(one, 3) for one in doi))
            rows.append((f"{name}, {where}", len(u), f"{100 * np.sqrt(np.mean(away**2)):.1f}", *cells))
    yield (
        "**Errors of atoms**, all particles, by the true coordination number; whole time series. "
        "Means ± standard deviations; z is the error of U_iso in its standard uncertainty. The last "
        "column is the ratio of U along the true shortest and longest axes, less the true DOI."
    )
    header = ("atoms", "number", "RMSD, pm", "U_iso, Å²", "z", "DOI", "DOI, debiased", "along true axes")
    yield markdown(header, rows)


def _of_atoms(study: Study, name: str, where: str) -> tuple[np.ndarray, ...]:
    """Errors of those atoms that are somewhere: distances, U_iso, the same by its uncertainty, DOIs."""
    found, known, e = study.whole(name), study.whole("truth"), _errors(study, name)
    settled = study.case.truths[0].at_home[e.pairs.known] == 1
    these = e.inner if where == "core" else ~e.inner & (settled == where.endswith("home"))
    f, k = e.pairs.found[these], e.pairs.known[these]
    u = found["u_iso"][f] - known["u_iso"][k]
    isotropies: tuple[np.ndarray, ...] = tuple(
        found[column][f] - known[column][k] for column in ("doi", "doi_debiased")
    )
    axes = np.linalg.eigh(study.case.truths[0].matrices[k])[1]
    along = np.einsum("nia,nij,nja->na", axes, matrices_of(found)[f], axes)
    isotropies = (*isotropies, along[:, 0] / along[:, 2] - known["doi"][k])
    return (e.pairs.distances[these], u, u / found["u_iso_esd"][f], *isotropies)


def _spread(values: np.ndarray, digits: int) -> str:
    known = values[np.isfinite(values)]
    return f"{known.mean():+.{digits}f} ± {known.std():.{digits}f}" if len(known) else ""


def halves(studies: Sequence[Study]) -> Iterator[str]:
    """Fig. 3: what differs between the two parts."""
    rows = []
    for study in studies:
        of = [study.halves[name] for name in NAMES]
        rows.append(
            (
                study.case.name,
                " / ".join(f"{len(c.a)}, {len(c.b)}" for c in of),
                " / ".join(f"{100 * c.count('common') / len(c.a):.1f}" for c in of),
                " / ".join(f"{c.count('displaced')}, {c.count('lost')}, {c.count('gained')}" for c in of),
                " / ".join(f"{_typical_move(c):.1f}" for c in of),
                f"{int(of[1].moved.sum())}, {of[1].scale.value:.2f}",
            )
        )
    yield "**Fig. 3**: part 2 compared with part 1; truth / atomfit / the paper's procedure."
    yield markdown(
        ("particle", "atoms of parts 1, 2", "common, %", "displaced, lost, gained")
        + ("median move of common atoms, pm",)
        + ("atomfit: moved significantly, error bars' scale",),
        rows,
    )


def _typical_move(comparison: Comparison) -> float:
    common = np.array(comparison.statuses, dtype=object) == "common"
    return 100 * float(np.median(comparison.distances[common]))


def depths(studies: Sequence[Study]) -> Iterator[str]:
    """Figs. 4 and 6: penetration depths."""
    rows = []
    for study in studies:
        cells = []
        for column in DEPTHS:
            fits = [penetration(study.whole(name), column) for name in NAMES]
            cells.append(
                " / ".join("none" if f is None else f"{f.delta:.2f} ± {f.delta_esd:.2f}" for f in fits)
            )
        rows.append((study.case.name, *cells))
    yield "**Figs. 4 and 6**: penetration depth δ (Å); truth / atomfit / the paper's procedure."
    yield markdown(("particle", *DEPTHS.values()), rows)


def _errors(study: Study, name: str) -> Errors:
    return errors(study.whole(name), study.whole("truth"), study.case.truths[0])
