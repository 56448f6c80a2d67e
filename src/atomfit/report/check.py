"""What `atomfit check` says of a map, in words."""

from atomfit.doubts.inspection import Inspection
from atomfit.io.mrc import MapFile
from atomfit.support.units import fwhm_from_u


def describe(file: MapFile, found: Inspection) -> str:
    """A few lines on a map: geometry, values, contrast, atoms, warnings."""
    grid, mean = file.map.grid, found.mean_atom
    extent = " x ".join(f"{edge:.1f}" for edge in grid.extent)
    lines = [
        *([str(file.path)] if file.path else []),
        *file.notes,
        f"box: {extent} Å",
        f"values: {found.minimum:.4g} to {found.maximum:.4g}, mean {found.mean:.4g}, "
        f"standard deviation {found.deviation:.4g}, {100 * found.zeros:.0f} % exactly zero",
    ]
    if found.contrast.inverted:
        lines.append("contrast: atoms are dark")
    elif not found.contrast.decided:
        lines.append("contrast: nothing stands out at the scale of atoms")
    else:
        lines.append("contrast: atoms are bright")
    if mean is not None and found.contrast.decided and not found.contrast.inverted:
        lines.append(
            f"mean atom: peak {mean.height:.4g} above {mean.background:.4g}, "
            f"{fwhm_from_u(mean.u):.2f} Å wide at half its height (U = {mean.u:.3f} Å²), "
            f"from {mean.count} maxima"
        )
    lines.append(found.resolution.describe())
    lines += [f"warning: {warning}" for warning in (*file.warnings, *found.warnings)]
    lines.append("this map can be used" if found.usable else "this map cannot be used as it is")
    return "\n".join(lines)
