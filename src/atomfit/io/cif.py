"""Atoms of CIF files of all kinds: crystals as ase, VESTA and databases write them, and mmCIF.

Tags differ by a dot alone (`_atom_site_fract_x` of core CIF, `_atom_site.Cartn_x` of mmCIF), and any
program leaves out what it does not need, so both are read by one set of rules:

- Positions are `Cartn_x`, `Cartn_y`, `Cartn_z`, or `fract_x`, ... with a cell. Core CIF says the latter
  of its asymmetric unit, which its symmetry makes the whole cell; what mmCIF has is the whole model.
- Elements are `type_symbol`, or begin the `label`.
- Standard uncertainties stand in parentheses (1.234(5)), or in items that end in `_esd` or `_su`.
- Of several blocks with atoms, and of several models in one, the first is read.

Fractional coordinates x lie at M x + T: M by the cell, T by `_atom_sites_Cartn_tran_vector_1` to `_3`, with
which a particle keeps its frame in a cell that has to begin elsewhere.
"""

import logging
import re

import numpy as np
from jaxtyping import Float

from atomfit.io.text import not_a_number
from atomfit.statistics.comparison import Model
from atomfit.structure.elements import symbols_in
from atomfit.support.errors import InputError
from atomfit.support.units import u_from_b

log = logging.getLogger("atomfit")

_CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
_NUMBER = re.compile(r"([+-]?(?:\d+\.?(\d*)|\.(\d+)))(?:[eEdD]([+-]?\d+))?(?:\((\d+)\))?")
#: Images of an atom that are nearer to each other than this are one (Å).
_SAME = 0.1
_LACKING = (
    "it needs _atom_site_fract_x, _y, _z with _cell_length_a, ..., or _atom_site_Cartn_x, _y, _z "
    "(in mmCIF _atom_site.Cartn_x, ...)"
)


def from_cif(text: str, name: str) -> Model:
    """A model of the first block that has atoms.

    **Raises:** `InputError` for what is no CIF, and for items that are lacking or cannot be read.
    """
    from gemmi import cif

    try:
        document = cif.read_string(text)
    except (RuntimeError, ValueError) as error:
        reason = re.sub(r"^string:(\d+):\S* ", r"line \1: ", str(error).splitlines()[0]).rstrip(".")
        raise InputError(f"the CIF cannot be read ({reason})", "write the file again") from None
    blocks = [items for items in (_Items(block) for block in document) if items.has_atoms]
    if not blocks:
        raise InputError("there are no atoms in this file", _LACKING)
    if len(blocks) > 1:
        log.warning("the file has atoms in %d blocks, of which the first is read", len(blocks))
    return _model(blocks[0], name)


class _Items:
    """The items of a block by their tags, whatever case they are in, and with or without a dot."""

    def __init__(self, block: object) -> None:
        self._values: dict[str, list[str]] = {}
        for item in block:  # type: ignore[attr-defined]
            if item.pair is not None:
                self._values[item.pair[0].lower()] = [item.pair[1]]
            elif item.loop is not None:
                values, width = list(item.loop.values), len(item.loop.tags)
                for k, tag in enumerate(item.loop.tags):
                    self._values[tag.lower()] = values[k::width]
        #: Whether this is mmCIF.
        self.dotted = any(tag.startswith("_atom_site.") for tag in self._values)

    @property
    def has_atoms(self) -> bool:
        return any(
            f"_atom_site{mark}{kind}_x" in self._values for mark in "._" for kind in ("fract", "cartn")
        )

    def texts(self, category: str, *names: str) -> list[str] | None:
        """What the first of some items says, without quotes; None if there is none of them."""
        from gemmi import cif

        for name in names:
            for mark in "._":
                values = self._values.get(f"_{category}{mark}{name}".lower())
                if values is not None:
                    return [cif.as_string(value) if not _missing(value) else "" for value in values]
        return None

    def numbers(self, category: str, name: str) -> tuple[np.ndarray, np.ndarray] | None:
        """An item's numbers and their standard uncertainties, NaN where unknown; None if there is no such.

        **Raises:** `InputError` for what is no number.
        """
        texts = self.texts(category, name)
        if texts is None:
            return None
        values, esds = np.full(len(texts), np.nan), np.full(len(texts), np.nan)
        for i, text in enumerate(texts):
            if text:
                found = _with_esd(text)
                if found is None:
                    raise InputError(f"_{category}_{name}, {i + 1}: {not_a_number(text)}", "correct it")
                values[i], esds[i] = found
        apart = self.texts(category, f"{name}_esd", f"{name}_su")
        if apart is not None and len(apart) == len(esds):
            pairs = (_with_esd(text) for text in apart)
            esds = np.array([np.nan if pair is None else pair[0] for pair in pairs])
        return values, esds


def _model(items: _Items, name: str) -> Model:
    cartesian = _coordinates(items, "Cartn")
    fractional = _coordinates(items, "fract")
    labels = items.texts("atom_site", "type_symbol")
    if labels is None or not any(labels):
        labels = items.texts("atom_site", "label", "label_atom_id", "auth_atom_id")
    if cartesian is not None and (items.dotted or fractional is None):
        positions, esds = cartesian
        source = np.arange(len(positions))
    elif fractional is not None:
        positions, esds, source = _from_fractional(items, *fractional)
    else:
        raise InputError("positions are incomplete in this file", _LACKING)
    models = items.texts("atom_site", "pdbx_PDB_model_num")
    if models is not None and len(set(models)) > 1:
        log.warning("the file has %d models, of which the first is read", len(set(models)))
        kept = np.array(models)[source] == models[0]
        positions, esds, source = positions[kept], esds[kept], source[kept]
    symbols = symbols_in(labels or [""] * (int(source.max(initial=-1)) + 1), lambda i: f"atom {i + 1}")
    return Model(
        name,
        np.arange(1, len(source) + 1),
        tuple(symbols[i] for i in source),
        positions,
        esds,
        {key: values[source] for key, values in _displacements(items).items()},
    )


def _coordinates(
    items: _Items, kind: str
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]] | None:
    axes = [items.numbers("atom_site", f"{kind}_{axis}") for axis in "xyz"]
    found = [axis for axis in axes if axis is not None]
    if len(found) < 3:
        return None
    values, esds = (np.stack(columns, axis=1) for columns in zip(*found, strict=True))
    unknown = np.argwhere(np.isnan(values))
    if len(unknown):
        i, axis = unknown[0]
        raise InputError(
            f"atom {i + 1}: _atom_site_{kind}_{'xyz'[axis]} is not known",
            "correct it or leave the atom out",
        )
    return values, esds


def _from_fractional(
    items: _Items, fractional: Float[np.ndarray, "n 3"], esds: Float[np.ndarray, "n 3"]
) -> tuple[Float[np.ndarray, "m 3"], Float[np.ndarray, "m 3"], np.ndarray]:
    """Positions and their standard uncertainties (Å), and which atom of the file each is."""
    to_cartesian = _orthogonalisation(items)
    shift = [_single(items, "atom_sites", f"Cartn_tran_vector_{k}") or 0.0 for k in (1, 2, 3)]
    turns, shifts = [np.eye(3)], [np.zeros(3)]
    if not items.dotted:
        for rotation, translation in _operations(items):
            turns.append(rotation)
            shifts.append(translation)
    positions, errors, source = [], [], []
    for i, (place, esd) in enumerate(zip(fractional, esds, strict=True)):
        images: list[np.ndarray] = []
        for k, (rotation, translation) in enumerate(zip(turns, shifts, strict=True)):
            # The atom itself stays where it is, its images are brought into the cell.
            image = place if k == 0 else np.mod(rotation @ place + translation, 1.0)
            apart = [(image - other) - np.rint(image - other) for other in images]
            if any(np.linalg.norm(to_cartesian @ d) < _SAME for d in apart):
                continue
            images.append(image)
            positions.append(to_cartesian @ image + shift)
            squares = (to_cartesian @ rotation) ** 2
            unknown = np.any(np.isnan(esd) & (squares > 0), axis=1)
            errors.append(np.where(unknown, np.nan, np.sqrt(squares @ np.nan_to_num(esd) ** 2)))
            source.append(i)
    if len(source) > len(fractional):
        log.info("%d atoms of the file are %d in its cell, by symmetry", len(fractional), len(source))
    return np.array(positions).reshape(-1, 3), np.array(errors).reshape(-1, 3), np.array(source, int)


def _orthogonalisation(items: _Items) -> Float[np.ndarray, "3 3"]:
    """The matrix from fractional to Cartesian coordinates (Å)."""
    import gemmi

    lengths = [_single(items, "cell", key) for key in _CELL[:3]]
    known = [length for length in lengths if length is not None and length > 0]
    if len(known) < 3:
        raise InputError(
            "coordinates are fractional, but there is no cell", "it needs _cell_length_a, _b, _c"
        )
    angles = [_single(items, "cell", key) or 90.0 for key in _CELL[3:]]
    cell = gemmi.UnitCell(*known, *angles)
    matrix = np.array(cell.orth.mat.tolist())
    if not np.all(np.isfinite(matrix)) or not cell.volume > 0:
        raise InputError(
            "the cell's angles are those of no cell", "correct _cell_angle_alpha, _beta, _gamma"
        )
    return matrix


def _operations(items: _Items) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rotations and translations of the space group, the identity left out."""
    import gemmi

    listed = items.texts("space_group_symop", "operation_xyz") or items.texts(
        "symmetry_equiv", "pos_as_xyz"
    )
    if listed:
        try:
            operations = [gemmi.Op(text) for text in listed]
        except (RuntimeError, ValueError):
            raise InputError("an operation of symmetry cannot be read", "write it as 'x,y,z'") from None
    else:
        named = next((text for text in _group_names(items) if text), None)
        if named is None:
            return []
        alpha, gamma = (_single(items, "cell", key) or 0.0 for key in (_CELL[3], _CELL[5]))
        group = (
            gemmi.find_spacegroup_by_number(int(named))
            if named.isdigit()
            else gemmi.find_spacegroup_by_name(named, alpha, gamma)
        )
        if group is None:
            raise InputError(
                f"the space group {named[:20]!r} is not known",
                "list its operations (_space_group_symop_operation_xyz)",
            )
        operations = list(group.operations())
    pairs = [(np.array(op.rot) / op.DEN, np.array(op.tran) / op.DEN) for op in operations]
    return [pair for pair in pairs if not (np.array_equal(pair[0], np.eye(3)) and not pair[1].any())]


def _group_names(items: _Items) -> list[str]:
    names = (
        ("space_group", "name_H-M_alt"),
        ("symmetry", "space_group_name_H-M"),
        ("space_group", "IT_number"),
        ("symmetry", "Int_Tables_number"),
    )
    return [(items.texts(*name) or [""])[0] for name in names]


def _displacements(items: _Items) -> dict[str, np.ndarray]:
    """Isotropic displacements (Å²) and their standard uncertainties, as far as they are there."""
    found = items.numbers("atom_site", "U_iso_or_equiv")
    if found is None:
        b = items.numbers("atom_site", "B_iso_or_equiv")
        found = None if b is None else (u_from_b(b[0]), u_from_b(b[1]))
    if found is None or not np.any(np.isfinite(found[0])):
        return {}
    numbers = {"u_iso": found[0]}
    if np.any(np.isfinite(found[1])):
        numbers["u_iso_esd"] = found[1]
    return numbers


def _single(items: _Items, category: str, name: str) -> float | None:
    found = items.numbers(category, name)
    return float(found[0][0]) if found is not None and np.isfinite(found[0][0]) else None


def _missing(value: str) -> bool:
    return value in ("?", ".")


def _with_esd(text: str) -> tuple[float, float] | None:
    """A number and its standard uncertainty, NaN if there is none; None for what is no number."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    mantissa, after, after_point, exponent, digits = found.groups()
    power = int(exponent or 0)
    decimals = len(after or after_point or "")
    value = float(f"{mantissa}e{power}")
    return value, np.nan if digits is None else float(f"{digits}e{power - decimals}")
