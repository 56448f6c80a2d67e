"""Columns in words: what a menu or an axis calls them, and under which heading they stand.

A table of atoms has eighty columns, whose names are short for those who compute with them. A reader of a
page finds them in groups and in words; the names stay in the tables, where they are those of the file, and
as titles in menus. A name that is not here is shown as it is.
"""

from atomfit.io.tables import TENSOR

_ESD, _OTHER = "Standard uncertainties", "Other numbers"

_GROUPS: dict[str, dict[str, str]] = {
    "Position": {axis: f"position, {axis}" for axis in "xyz"},
    "Displacement": {
        "u_iso": "displacement U_iso",
        "u_maj": "largest displacement",
        "u_med": "middle displacement",
        "u_min": "smallest displacement",
        "doi": "degree of isotropy",
        "doi_debiased": "degree of isotropy, debiased",
        "u_maj_angle": "largest displacement to radius",
        **{f"u{i}": f"matrix U, {ij}" for i, ij in zip((11, 22, 33, 12, 13, 23), TENSOR, strict=True)},
    },
    "Neighbours": {
        "cn": "coordination number",
        "cn_expected": "expected coordination number",
        "gcn": "generalised coordination",
        "gcn_max": "generalised coordination (max)",
        "nn_distance": "distance to nearest atom",
        "mean_bond_length": "mean bond length",
    },
    "Place in the particle": {
        "radius": "distance from the centre",
        "radial_depth": "depth, radial",
        "hull_depth": "depth below convex hull",
        "grain": "grain",
    },
    "Crystal and strain": {
        **{f"lattice_d{axis}": f"offset from lattice, {axis}" for axis in "xyz"},
        **{f"strain_{ij}": f"strain, {ij}" for ij in TENSOR},
        **{f"e_{ij}": f"strain, {ij}" for ij in ("xx", "yy", "xy")},
        "rotation": "rotation of the lattice",
        "cell_a": "cell, a",
        "cell_b": "cell, b",
        "cell_gamma": "cell, γ",
        "h": "site, h",
        "k": "site, k",
        "strain_radial": "radial strain",
        "strain_radial_bulk": "radial strain, from bulk",
    },
    "Brightness": {
        "amplitude": "amplitude",
        "relative_amplitude": "relative amplitude",
        "occupancy": "occupancy",
        "peak_intensity": "peak intensity",
        "max_intensity": "highest voxel",
        "max_intensity_z": "highest voxel, z (own voxels)",
        "max_intensity_map_z": "highest voxel, z (all voxels)",
        "validation_correlation": "correlation with simulation",
    },
    "Evidence": {
        "score": "standing out (score)",
        "evidence": "evidence (chi-square)",
        "q_value": "false-discovery rate q",
        "element_probability": "probability of the element",
        "flags": "remarks (flags)",
    },
    "Counts": {
        "count": "atoms in the column",
        "count_low": "atoms, at least",
        "count_high": "atoms, at most",
        "count_low_68": "atoms, at least (68 %)",
        "count_high_68": "atoms, at most (68 %)",
        "count_expected": "atoms, expected",
        "count_probability": "probability of the count",
    },
    "Heights": {
        "height": "atoms in the column",
        "height_low": "height, at least",
        "height_high": "height, at most",
        "height_expected": "height, expected",
        "presence": "probability that it is occupied",
        "set_size": "heights that it may have",
        "start": "where it begins along the beam",
        "on_lattice": "at a site of the crystal",
        "frames": "frames that show it",
    },
    "At detection, and log-fit": {
        **{f"com_{axis}": f"centre of mass, {axis}" for axis in "xyz"},
        "logfit_u_iso": "log-fit: U_iso",
        "logfit_u_maj": "log-fit: largest displacement",
        "logfit_u_med": "log-fit: middle displacement",
        "logfit_u_min": "log-fit: smallest displacement",
        "logfit_doi": "log-fit: degree of isotropy",
    },
    "Change": {
        **{f"d{axis}": f"displacement along {axis}" for axis in "xyz"},
        "distance": "distance from A to B",
        "distance_common": "distance, common atoms",
        "distance_z": "distance in its uncertainties",
        "u_iso_difference": "change of U_iso",
        "u_iso_z": "change of U_iso in uncertainties",
        "difference": "change of cross-section",
        **{f"e_{ij}_difference": f"change of strain, {ij}" for ij in ("xx", "yy", "xy")},
        "rotation_difference": "change of the lattice's rotation",
        "ordered_difference": "change of the probability of order",
        "contrast_difference": "change of contrast to neighbours",
        "atoms_gained": "atoms gained",
        "atoms_gained_expected": "atoms gained, expected",
    },
    "Significance": {
        "chi_square": "chi-square of the move",
        "p_value": "p of the move",
        "p_calibrated": "p of the move, calibrated",
        "q_calibrated": "false-discovery rate q, calibrated",
        "moved": "moved",
        "changed": "changed",
        "p_moved": "p of the move alone",
        "p_changed": "p of the change of cross-section",
        "probability": "probability of what became of it",
        "moved_probability": "probability that it moved",
        "changed_probability": "probability that it changed",
    },
    "In time": {
        "models": "models that have it",
        "first": "first model that has it",
        "last": "last model that has it",
        "present": "probability to be there at the end",
        "position_z": "drift, in its uncertainties",
        "position_p": "p of the drift",
        "position_q": "false-discovery rate q of the drift",
        **{f"velocity_{axis}": f"drift along {axis}" for axis in "xyz"},
    },
    "Views": {
        "view": "number of the view",
        "tilt": "tilt",
        "shift_u": "drift along u",
        "shift_v": "drift along v",
        "turn": "turn",
        "gain": "gain",
        "background": "background",
        "correlation": "correlation",
        "r_factor": "R-factor",
        "held_out": "held out",
    },
    "Order": {
        "ordered": "probability of order",
        "variant_probability": "probability of the variant",
        "brighter": "probability of a site of the brighter element",
        "antisite": "probability of an antisite",
        "contrast": "contrast to neighbours",
    },
    "Columns": {
        "cross_section": "cross-section",
        "width": "width",
        "background": "background",
        "xy_covariance": "covariance of x and y",
        "false": "as good ones from noise alone",
    },
    "Kinds": {
        "element": "element",
        "structure": "local structure",
        "status": "what became of it",
        "place": "place in the particle",
        "changes": "what changes",
        "domain": "domain",
        "facet": "facet",
        "variant": "variant",
        "sublattice": "sublattice",
        "order_domain": "part of one variant",
    },
}
#: Endings of what is said of a number's trend.
_OF_TRENDS = {
    "_own": "own",
    "_slope": "change in time",
    "_z": "change in its uncertainties",
    "_p": "p of the change",
    "_q": "q of the change",
}
_LABELS = {name: (group, words) for group, names in _GROUPS.items() for name, words in names.items()}


def label_of(name: str) -> tuple[str, str]:
    """The group of a column and its name in words.

    Names as `p_3` are probabilities of so many atoms. Names that end in `_slope`, `_z`, `_p` or `_q` are of
    a trend; in `_esd`, standard uncertainties; in `_a` and `_b`, of the models of a comparison.
    """
    if name in _LABELS:
        return _LABELS[name]
    if name.removeprefix("p_").isdigit():
        return "Heights", f"probability of {name[2:]} atoms"
    if name.endswith("_esd"):
        return _ESD, f"± {label_of(name.removesuffix('_esd'))[1]}"
    for ending, words in _OF_TRENDS.items():
        if name.endswith(ending) and name.removesuffix(ending) in _LABELS:
            return "In time", f"{_LABELS[name.removesuffix(ending)][1]}: {words}"
    for ending, model in (("_a", "A"), ("_b", "B")):
        if name.endswith(ending):
            group, words = label_of(name.removesuffix(ending))
            return group, f"{words} in {model}"
    return _OTHER, name
