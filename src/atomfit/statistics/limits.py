"""Where statistics say yes or no: their thresholds, in one place.

How wide a kernel is, or how much a far atom counts, are no thresholds and stay with what they are used for.
`experiments/thresholds` tells what each of these moves; one without a source was set when its test was
made.
"""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class StatisticsLimits:
    """Thresholds of statistics.

    **Fields:**

    Structure, grains and lattices:

    - `inside`: atoms with fewer neighbours are at the surface.
    - `grain_tolerance`, `grain_loose`: a bond is a crystal's if it ends so near to where that one does, in
        bond lengths; and beside a grain.
    - `grain_explained`: a grain explains an atom if so many of its bonds are the grain's; a twin plane's
        atoms have 9 of 12.
    - `grain_misfit`: bonds of a proposing atom are off by less, in bond lengths (root mean square).
    - `grain_worth`: a structure is taken before others that explain more, up to this part of theirs.
    - `grain_atoms`: fewer make no grain.
    - `grain_part`: of many atoms, grains hold at least this part: a glass has fragments without end.
    - `grain_fragment`: an open network has fragments of a crystal as large as this part of it (15 % in
        amorphous silicon of 208 atoms, which was in view).
    - `twin_bonds`: grains touch if so many bonds cross from one to the other.
    - `twin_tolerance`: a turn is that of a twin if it differs by no more (degrees).
    - `lattice_atoms`: fewer determine no lattice with errors.
    - `one_lattice`: one describes a particle if so large a part of the atoms inside lies on it.

    Strain and depth:

    - `strain_error`: strain that is known worse is not given.
    - `strain_atoms`: fewer determine no linear field with an error.
    - `depth_atoms`: fewer are not fitted.

    Displacements:

    - `isotropy_step`: a matrix of the map alone that is farther from the fitted one, in its logarithm, has
        no degree of isotropy without bias: nothing is linear so far.

    Lattices of an image's columns (lengths in roots of the area of a column, if nothing else is said):

    - `plane_near`: a column is at the end of a vector if it is so near.
    - `plane_opposite`: a vector is the lattice's if so large a part of the columns around that have another
        one at one of its ends have them at both.
    - `plane_across`: two vectors span a cell if the sine of their angle is larger.
    - `plane_seed`: how far from a seed columns show the sublattices, in cells.
    - `plane_occupied`: a sublattice has a column in so many of the cells.
    - `plane_site`: a column has a site if it is so near, in distances of sites.
    - `plane_step`: columns so near say each other's site, in the longer edge of the cell.
    - `plane_bond`, `plane_matched`: of the columns nearer than the first so large a part are where the
        lattice has them; on the boundary of a twin four of six are.
    - `plane_columns`: fewer make no domain.
    - `plane_evidence`: logarithm of how much likelier a domain is than columns at random.
    - `plane_part`, `plane_patch`: the same for domains that hold, with larger ones, less than so large
        a part of all columns (patches of simulated liquids had up to 42, 85 columns of crystals 200).
    - `plane_open`: area of a site, in that of a column, beyond which a lattice leaves most columns out.
    - `plane_metric`, `plane_angle`: lengths are equal and angles right within so much (a part of them, and
        degrees); images are distorted by as much.

    - `vacancy_part`: a site is empty if so large a part of the neighbours that it would have expect it.
    - `vacancy_left`: a vacancy is a column that was not found if the image has so large a part of it.
    - `core`, `core_hole`: triangles so near each other are of one dislocation; and are no longer than
        this, in the longer diagonal of the cell.
    - `boundary_strain`, `boundary_angle`, `boundary_trace`: lattices are alike if they differ by less
        strain; lie alike (degrees); and a twin's boundary runs along its row (degrees).
    - `outline_edge`: columns that are farther apart are no neighbours along an outline.
    - `facet_straight`: columns of a facet lie no farther beside its line.
    - `facet_columns`, `facet_indices`, `facet_angle`: fewer make none; its largest index; and how far it
        may be turned from its row (degrees).
    - `gpa_amplitude`: waves weaker than so, in the strongest, have no phase.
    - `gpa_moved`, `gpa_across`: reflections are where they were said to be (part of g), and not parallel
        (sine of their angle).
    - `order_columns`: fewer say nothing of order.
    - `order_part`: a variant is there if it has so large a part of the columns.
    - `order_contrast`: order differs from chance in composition if its contrast is larger, in the spread of
        columns of a disordered alloy.

    Models compared:

    - `frames_agree`: frames agree if so large a part of the smaller model's atoms is near one of the other.
    - `spacing_unlike`: neighbour distances of one particle do not differ by this factor.
    - `near`: pairs lie nearer than this, in neighbour distances.
    - `by_noise`: a pair whose displacement noise has with less probability is left out of the motion.
    - `equal_atoms`, `equal_noise`: differences of logarithms, and of noise in its standard errors, up to
        which orientations are equal (Vuong 1989).
    - `displaced`: how far an atom may have moved, in neighbour distances.
    - `size_worth`: logarithm of a ratio of neighbours' distances below which no other size is tried.
    - `size_chance`: models of another size lie on each other by chance with less probability.
    - `size_pairs`: pairs that a ratio follows from, at least.

    Models followed in time:

    - `atom_stays`: an atom is the one that was seen last if it is nearer, in neighbour distances: what is
        farther is nearer to another site.
    - `trend_inner`: so many atoms inside set what all atoms have in common; of fewer all do.
    - `trend_models`: fewer models do not say how much one differs from another by itself.
    - `trend_outlier`: values farther off, in standard deviations, count for less in what is common (Huber).

    Columns of two images compared:

    - `map_step`: maps of one rotation that lay the middle farther apart than this (Å) are not one.
    - `map_unusual`: no map distorts more than so many standard deviations of what is usual.
    - `column_moved`: a column that moved farther, in neighbour distances, is lost and another gained: it is
        nearer to another site.
    - `column_border`: nearer to an image's border, in widths of a column, it may not be seen.
    - `column_beyond`: without an image's extent it reaches so many neighbour distances beyond its columns.
    - `column_box`, `column_box_columns`: columns without an image's extent fill a rectangle if their convex
        hull has so large a part of it (a disc has 0.785), and they are as many.
    - `column_pairs`: fewer pairs do not say how bright one image is beside the other.

    Atoms in columns:

    - `count_most`: no column has more atoms; one that would has other units than the library.
    - `count_unknown`: the same without a library.
    - `count_faint`: a brightest column below this part of an atom has other units than the library.
    - `count_columns`: fewer are not counted without a library.
    - `count_lattice`: without a library columns are counted if so large a part of them has a lattice.
    - `count_neighbours`: fewer say nothing of how slowly thickness changes.
    - `count_listed`: counts and alternatives that are less probable are not listed.
    - `count_fainter`: columns are told that are so much fainter than an atom that one of all columns would
        be so by noise with less probability.
    - `count_none`: without a library columns may be none that are fainter than so many of their standard
        uncertainties, and do not say what an atom scatters.
    - `count_smudges`: if they are no larger a part of all columns.
    - `count_sure`: the scale of counts is open if the likeliest alternative is less probable.
    - `count_scale`: a scale farther from one, in standard deviations of what was known of it, is told.
    - `count_laws`: a mean over fewer laws is rough, which is told.
    - `count_scatter`: columns that scatter more among themselves are told (mean steps).
    """

    inside: int = 10
    grain_tolerance: float = 0.2
    grain_loose: float = 0.35
    grain_explained: float = 0.8
    grain_misfit: float = 0.15
    grain_worth: float = 0.1
    grain_atoms: int = 4
    grain_part: float = 0.005
    grain_fragment: float = 0.2
    twin_bonds: int = 6
    twin_tolerance: float = 8.0
    lattice_atoms: int = 8
    one_lattice: float = 0.9

    isotropy_step: float = 2.0
    strain_error: float = 0.02
    strain_atoms: int = 8
    depth_atoms: int = 20

    plane_near: float = 0.2
    plane_opposite: float = 0.3
    plane_across: float = 0.35
    plane_seed: float = 3.2
    plane_occupied: float = 0.5
    plane_site: float = 0.25
    plane_step: float = 1.25
    plane_bond: float = 1.6
    plane_matched: float = 0.5
    plane_columns: int = 7
    plane_evidence: float = 10.0
    plane_part: float = 0.5
    plane_patch: float = 60.0
    plane_open: float = 2.5
    plane_metric: float = 0.03
    vacancy_part: float = 0.75
    vacancy_left: float = 0.3
    core: float = 3.0
    core_hole: float = 2.0
    boundary_strain: float = 0.08
    boundary_angle: float = 4.0
    boundary_trace: float = 20.0
    outline_edge: float = 2.2
    facet_straight: float = 0.35
    facet_columns: int = 3
    facet_indices: int = 3
    facet_angle: float = 3.0
    gpa_amplitude: float = 0.2
    gpa_moved: float = 0.1
    gpa_across: float = 0.1
    order_columns: int = 20
    order_part: float = 0.02
    order_contrast: float = 1.5
    plane_angle: float = 2.0

    frames_agree: float = 0.5
    spacing_unlike: float = 1.8
    near: float = 0.3
    by_noise: float = 1e-3
    equal_atoms: float = 3.0
    equal_noise: float = 2.5
    displaced: float = 1.2
    size_worth: float = 0.02
    size_chance: float = 1e-3
    size_pairs: int = 4

    atom_stays: float = 0.5
    trend_inner: int = 20
    trend_models: int = 6
    trend_outlier: float = 2.0

    map_step: float = 0.7
    map_unusual: float = 5.0
    column_moved: float = 0.5
    column_border: float = 2.0
    column_beyond: float = 1.5
    column_pairs: int = 5
    column_box: float = 0.9
    column_box_columns: int = 30

    count_most: int = 200
    count_unknown: int = 50
    count_faint: float = 0.3
    count_columns: int = 8
    count_lattice: float = 0.5
    count_neighbours: int = 12
    count_listed: float = 1e-3
    count_fainter: float = 0.01
    count_none: float = 5.0
    count_smudges: float = 0.1
    count_sure: float = 0.95
    count_scale: float = 3.0
    count_laws: float = 4.0
    count_scatter: float = 0.35


LIMITS = StatisticsLimits()
