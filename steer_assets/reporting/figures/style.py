"""Common style of all figures: sizes, colours safe for colour-blind readers, family names.

Colours are those of Okabe & Ito (2008); series never differ in colour only. Every colour used is a
key of `THEME`, so that an inline figure can follow the page between light and dark.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from steer_assets.geometry.vector_ids import ALL_SEEDS, NONE_ID, VectorId
from steer_assets.reporting.safe_text import plain

WIDTH = 4.4  # inches: a column of a paper, and legible on a telephone

INK, MUTED, GRID, BAND, PAPER = "#1f2328", "#57606a", "#d8dee4", "#e6ebf0", "#fefefe"
BLUE, VERMILLION, GREEN = "#0072b2", "#d55e00", "#009e73"
PURPLE, ORANGE, SKY, GREY = "#cc79a7", "#e69f00", "#56b4e9", "#7a7a7a"

# Colour in a file -> CSS in a page; the variables are set in templates/style.css.
THEME = {
    INK: "currentColor",
    MUTED: "var(--fig-muted)",
    GRID: "var(--fig-grid)",
    BAND: "var(--fig-band)",
    PAPER: "var(--fig-paper)",
    BLUE: "var(--fig-blue)",
    VERMILLION: "var(--fig-vermillion)",
    GREEN: "var(--fig-green)",
    PURPLE: "var(--fig-purple)",
    ORANGE: "var(--fig-orange)",
    SKY: "var(--fig-sky)",
    GREY: "var(--fig-grey)",
}

FONTS = "'Source Sans 3', 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif"
# shipped with matplotlib and wider than FONTS: text that fits in it fits in them
_MEASURED = "DejaVu Sans"

_RC = {
    "font.family": _MEASURED,
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "legend.columnspacing": 1.2,
    "text.color": INK,
    "text.parse_math": False,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.2,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "steer-assets",
    "pdf.fonttype": 42,
}


@contextmanager
def styled() -> Iterator[None]:
    """Matplotlib settings of this package, independent of the user's own."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def canvas(height: float) -> Canvas:
    """An empty figure of column width and `height` inches, with automatic layout."""
    return Canvas(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.04))


def y_label(axes: Axes, text: str) -> None:
    """Vertical axis label that stays centred in any font."""
    axes.set_ylabel(text, rotation_mode="anchor")


_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _power(value: float, _position: int = 0) -> str:
    mantissa, exponent = f"{value:.0e}".split("e")
    if -3 < int(exponent) < 4:
        return f"{value:g}"
    power = "10" + str(int(exponent)).translate(_SUPERSCRIPT)
    return power if mantissa == "1" else f"{mantissa}·{power}"


def logarithmic(axes: Axes, which: str = "xy") -> None:
    """Logarithmic axes with tick labels as plain text, so that they remain text in the SVG.

    Call it after plotting: an axis of little more than a decade also gets labels at 2 and 5.
    """
    axes.set(**{f"{name}scale": "log" for name in which})
    limits = {"x": axes.get_xlim(), "y": axes.get_ylim()}
    for name in which:
        axis, (low, high) = {"x": axes.xaxis, "y": axes.yaxis}[name], limits[name]
        subs = (1.0, 2.0, 5.0) if high < 40 * low else (1.0,)
        axis.set_major_locator(LogLocator(subs=subs, numticks=6))
        axis.set_major_formatter(FuncFormatter(_power))
        axis.set_minor_locator(NullLocator())


@dataclass(frozen=True, slots=True)
class Look:
    """Style and name of one series."""

    label: str
    colour: str
    marker: str
    dash: str | tuple[int, tuple[int, ...]] = "-"


KIND_NAMES = {
    "covariance": "covariance",
    "jacobian": "Jacobian",
    "fisher": "Fisher",
    "text": "texts",
}
KINDS = {
    "covariance": Look("covariance", BLUE, "o"),
    "jacobian": Look("Jacobian", ORANGE, "s", "--"),
    "fisher": Look("Fisher", GREEN, "D", "-."),
    "text": Look("whole texts", PURPLE, "^", ":"),
}
FAMILIES = {
    "base": Look("v", BLUE, "o"),
    "base_plus_orthogonal": Look("v + v⊥", VERMILLION, "s"),
    "base_plus_orthogonal_matched": Look("v + v⊥, norm of v", ORANGE, "D", "--"),
    "orthogonal": Look("v⊥ alone", PURPLE, "^", "-."),
    "random": Look("random", GREY, "x", ":"),
    "base_plus_null": Look("v + null", GREEN, "D", "--"),
    "base_plus_range": Look("v + range", ORANGE, "v", "-."),
    "base_null": Look("null part of v", GREEN, "D", "--"),
    "base_range": Look("range part of v", ORANGE, "v", "-."),
    "pca": Look("PCA", SKY, "P", "--"),
    "logistic": Look("logistic probe", GREEN, "X", "-."),
    "negated": Look("−v", GREY, "v", ":"),
    "other_trait": Look("other trait", PURPLE, "P", ":"),
    "multi_layer": Look("v at several blocks", BLUE, "p", "-."),
    "multi_layer_plus_orthogonal": Look("v + v⊥ at several blocks", VERMILLION, "p", ":"),
    "two_traits": Look("v with another trait", SKY, "P", "-."),
    "external": Look("brought by user", INK, "*"),
}
# Series without a fixed meaning, such as layers.
SERIES = (
    Look("", BLUE, "o"),
    Look("", VERMILLION, "s", "--"),
    Look("", GREEN, "D", "-."),
    Look("", PURPLE, "^", ":"),
    Look("", ORANGE, "v", (0, (5, 1, 1, 1, 1, 1))),
    Look("", SKY, "P", (0, (1, 1))),
)


def look(family: str) -> Look:
    """Style of a family; families without an entry are grey and keep their own name."""
    return FAMILIES.get(family) or Look(family.replace("_", " "), GREY, "x", ":")


def vector_name(vector_id: str, family: str) -> str:
    """`L15.base_plus_null.fisher.s0` -> `v + null (Fisher), seed 0`; the layer is omitted."""
    label = look(family).label
    if vector_id == NONE_ID:
        return label
    one = VectorId.parse(plain(vector_id))
    name = f"{label} ({KIND_NAMES.get(one.which, one.which)})" if one.which else label
    if one.seed is None:
        return name
    return f"{name}, all seeds" if one.seed == ALL_SEEDS else f"{name}, seed {one.seed}"
