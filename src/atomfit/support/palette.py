"""Colours that the colour-blind tell apart, for pages and figures (hexadecimal, as #rrggbb).

About one man in twenty does not tell red from green. Lines, levels and statuses have colours of Okabe and
Ito (2008); kinds of atoms, of which there may be ten, those of Tol (2021, "muted"). A test computes how far
apart they are for an eye without green cones.
"""

BLUE, ORANGE, GREEN, VERMILION = "#0072b2", "#e69f00", "#009e73", "#d55e00"

#: Of lines in one chart.
LINES = (BLUE, VERMILION, GREEN, ORANGE, "#cc79a7", "#56b4e9")

#: Of kinds of atoms, those first that differ most.
KINDS = (
    *("#332288", "#ddcc77", "#44aa99", "#cc6677", "#88ccee"),
    *("#117733", "#882255", "#999933", "#aa4499", "#dddddd"),
)

#: What became of an atom.
STATUSES = {"common": "#b3bcc4", "displaced": ORANGE, "lost": "#882255", "gained": BLUE}

#: In which state an atom is that is followed in time, and where it lies.
FOLLOWED_STATES = {"present": "#b3bcc4", "missing": "#882255", "doubtful": ORANGE}
#: Whether a column of a movie is there, and whether its frame shows it.
MOVIE_STATES = {"present": "#b3bcc4", "absent": "#e9e4c9", "interpolated": ORANGE}
PLACES = {"surface": ORANGE, "inside": BLUE, "seldom": "#b3bcc4"}

#: What became of a column of an image.
COLUMN_STATUSES = {
    "common": "#b3bcc4",
    "moved": ORANGE,
    "changed": GREEN,
    "lost": "#882255",
    "gained": BLUE,
    "unseen": "#56b4e9",
    "outside": "#e9e4c9",
}
