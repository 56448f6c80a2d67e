"""What is known of an element before its map is seen: its names and the lengths to expect.

Programs write an element in many ways: Pt, PT, Pt1 (a site), Pt2+ (an ion), 78, platinum. All of these
name it, here and on the command line; what names none is refused, and X is an element that is not known.

Detection needs one length, the distance between nearest neighbours in the bulk element, and takes
everything else as a fixed part of it. Unlike the covalent radii that are usual in this place it is
right for metals (Ta: 2.87 Å, where twice the covalent radius is 3.40 Å). The theoretical atomic
radius of the paper is 0.4 of it, which for Pt is the 1.10 Å that SINGLE uses.

Bulk structures and covalent radii (Cordero 2008) come from ase's tables.
"""

import logging
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from atomfit.support.errors import InputError

log = logging.getLogger("atomfit")

#: Theoretical atomic radius as a part of the nearest-neighbour distance (Pt: 1.10 Å of 2.77 Å).
RADIUS_PER_NEIGHBOUR_DISTANCE = 0.4
#: Mean of eight nearest and six next neighbours of bcc, which are 2/√3 as far, in nearest ones.
_BCC_SHELL = (8 + 6 * 2 / 3**0.5) / 14

#: Symbol of an atom whose element is not known, as ase and gemmi have it.
UNKNOWN = "X"
_NOT_SAID = frozenset(("", "x", "xx", "?", ".", "*", "0"))
#: A symbol, after a mass number and before what no letter begins: a site, a charge, a remark.
_LABEL = re.compile(r"\d*([A-Za-z]{1,2})(?![A-Za-z])")


@dataclass(frozen=True)
class Element:
    """A chemical element and its bulk nearest-neighbour distance.

    **Fields:**

    - `symbol`, `number`: as in the periodic table.
    - `neighbour_distance`: between nearest neighbours in the bulk (Å).
    """

    symbol: str
    number: int
    neighbour_distance: float

    @property
    def radius(self) -> float:
        """Theoretical atomic radius r_th (Å)."""
        return RADIUS_PER_NEIGHBOUR_DISTANCE * self.neighbour_distance

    @property
    def shell_distance(self) -> float:
        """Mean distance of what counts as neighbours in the bulk (Å): in bcc those of two shells."""
        return self.neighbour_distance * (_BCC_SHELL if bulk_structure(self.symbol) == "bcc" else 1.0)


def symbol_in(text: str) -> str | None:
    """The chemical symbol of the element that a text names.

    **Arguments:**

    - `text`: a symbol, a label, an ion, an English name or an atomic number; case does not matter.

    **Returns:** the symbol; `UNKNOWN` for a text that says the element is not known, None for any other.
    """
    from ase.data import atomic_names, atomic_numbers, chemical_symbols

    name = text.strip()
    if name.lower() in _NOT_SAID:
        return UNKNOWN
    if re.fullmatch(r"\d{1,3}(\.0*)?", name):
        number = int(float(name))
        return str(chemical_symbols[number]) if number < len(chemical_symbols) else None
    if name.capitalize() in atomic_names:
        return str(chemical_symbols[atomic_names.index(name.capitalize())])
    found = _LABEL.match(name)
    symbol = found[1].capitalize() if found else ""
    if symbol in ("D", "T"):
        return "H"
    return symbol if symbol in atomic_numbers else None


def symbols_in(texts: Sequence[str], place: Callable[[int], str]) -> tuple[str, ...]:
    """The symbols of all atoms of a file.

    Numbers are atomic numbers, unless they are 1, 2, ... without a gap: so LAMMPS and OVITO number kinds of
    atoms whose elements they do not know, and no particle of hydrogen and helium is ever imaged.

    **Arguments:**

    - `texts`: what the file has for the element of each atom.
    - `place`: says where in the file an atom's is, by its index.

    **Raises:** `InputError` for a text that names no element.
    """
    kinds = {text.strip() for text in texts}
    if _are_types(kinds):
        log.warning(
            "the elements are numbers from 1 to %d, which are no atomic numbers: they are not known",
            len(kinds),
        )
        return (UNKNOWN,) * len(texts)
    known = {text: symbol_in(text) for text in set(texts)}
    symbols = [symbol for text in texts if (symbol := known[text]) is not None]
    if len(symbols) < len(texts):
        i = next(i for i, text in enumerate(texts) if known[text] is None)
        raise InputError(
            f"{place(i)}: {texts[i].strip()[:20]!r} is no element",
            "write its symbol, or X if it is not known",
        )
    return tuple(symbols)


def _are_types(kinds: Collection[str]) -> bool:
    return bool(kinds) and set(kinds) == {str(k) for k in range(1, len(kinds) + 1)}


def element(symbol: str, neighbour_distance: float | None = None) -> Element:
    """The element that a text names.

    **Arguments:**

    - `symbol`: "Pt", or whatever else `symbol_in` understands.
    - `neighbour_distance`: replaces the bulk value (Å), for compounds.

    **Raises:** `InputError` if there is no such element or the distance is not a length.

        >>> element("platinum").number
        78
    """
    from ase.data import atomic_numbers

    if not isinstance(symbol, str):
        raise InputError(f"{symbol!r} is no chemical symbol", "give one, as 'Pt'", "--element")
    name = symbol_in(symbol)
    if name is None or name == UNKNOWN:
        raise InputError(
            f"unknown element {symbol!r}", "give a chemical symbol, as in --element Pt", "--element"
        )
    number = atomic_numbers[name]
    if neighbour_distance is None:
        neighbour_distance = _bulk_neighbour_distance(number)
    elif not 0.5 <= neighbour_distance <= 10:
        raise InputError(
            f"a nearest-neighbour distance of {neighbour_distance:g} Å is not between atoms",
            "give it in Å (Pt: 2.77)",
            "--neighbour-distance",
        )
    return Element(name, number, float(neighbour_distance))


def elements_of(
    symbols: str | Sequence[str], neighbour_distance: float | None = None
) -> tuple[Element, ...]:
    """The elements of one symbol or of several, the heaviest first.

    **Arguments:**

    - `symbols`: chemical symbols, each once.
    - `neighbour_distance`: as for `element`.

    **Raises:** `InputError` if there are none, one is unknown, or one is there twice.
    """
    given = list(symbols) if isinstance(symbols, Iterable) and not isinstance(symbols, str) else [symbols]
    found = [element(symbol, neighbour_distance) for symbol in given]
    names = [one.symbol for one in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not found:
        raise InputError(
            f"{twice[0]} is given twice" if twice else "no element is given",
            "give each element of the particle once",
            "--element",
        )
    return tuple(sorted(found, key=lambda one: -one.number))


def dimmest(elements: tuple[Element, ...]) -> float:
    """How bright atoms of the lightest element are beside those of the heaviest, about.

    By their atomic numbers: in a map from dark-field images the contrast is stronger, but neighbours lend
    faint atoms some of their density.
    """
    numbers = [element.number for element in elements]
    return min(numbers) / max(numbers)


def symbol_of(number: int) -> str:
    """Chemical symbol of an atomic number.

    **Arguments:**

    - `number`: atomic number.
    """
    from ase.data import chemical_symbols

    return str(chemical_symbols[number])


def typical(elements: Sequence[Element]) -> Element:
    """What stands for all atoms where they are looked for: the heaviest, at the mean distance (Å)."""
    distance = sum(one.neighbour_distance for one in elements) / len(elements)
    return replace(max(elements, key=lambda one: one.number), neighbour_distance=distance)


def lattice_constant(symbol: str) -> float:
    """Bulk fcc lattice constant (Å) that has the element's nearest-neighbour distance.

    **Arguments:**

    - `symbol`: of the element.
    """
    return element(symbol).neighbour_distance * 2**0.5


def bulk_structure(symbol: str) -> str | None:
    """fcc, bcc, hcp, diamond: the bulk structure of an element; None if it is another.

    **Arguments:**

    - `symbol`: of the element.
    """
    from ase.data import atomic_numbers, reference_states

    number = atomic_numbers[symbol]
    state = (reference_states[number] if number < len(reference_states) else None) or {}
    name = state.get("symmetry")
    return name if name in ("fcc", "bcc", "hcp", "diamond") else None


def _bulk_neighbour_distance(number: int) -> float:
    """From the bulk structure where it is simple, else twice the covalent radius (Å)."""
    from ase.data import covalent_radii, reference_states

    state = (reference_states[number] if number < len(reference_states) else None) or {}
    a = state.get("a", 0.0)
    match state.get("symmetry"):
        case "fcc":
            return a / 2**0.5
        case "bcc":
            return a * 3**0.5 / 2
        case "diamond":
            return a * 3**0.5 / 4
        case "sc":
            return a
        case "hcp":
            c = a * state["c/a"]
            return min(a, (a**2 / 3 + c**2 / 4) ** 0.5)
        case _:
            return 2 * float(covalent_radii[number])
