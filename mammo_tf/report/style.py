"""The look of the figures of reports: SVG that follows the page from light to dark."""

import base64
import io
import re

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as MatplotlibFigure

# The page's own two backgrounds. Each colour of the palette has a contrast of at least 3 to 1 on
# both (WCAG 2.1, 1.4.11), so that a figure needs no second set of colours.
BACKGROUNDS = {"light": "#ffffff", "dark": "#14181d"}
PALETTE = ("#2a7fc4", "#d55e00", "#0a8f6a", "#c0649b", "#9a6b00", "#8a6fd1")
NEUTRAL = "#767676"
MARKERS = "os^Dv<>PX*p"
DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
# Text, axes and grid: drawn in the light page's colours, replaced by these on a dark page.
INK = "#1d2530"
FAINT = "#d8dee6"
_DARK = {INK: "#e6e9ee", FAINT: "#38414d"}
_SETTINGS = {
    "svg.fonttype": "path",
    "svg.hashsalt": "mammo_tf",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
}


# A decorator: what the function draws has the page's colours.
styled = matplotlib.rc_context(_SETTINGS)


def new_figure(width: float, height: float) -> MatplotlibFigure:
    """Returns an empty figure with a transparent ground, sized in inches."""
    return MatplotlibFigure(figsize=(width, height), layout="constrained", facecolor="none")


def new_axes(width: float, height: float):
    """Returns a figure and its one pair of axes, with a grid behind what is drawn."""
    figure = new_figure(width, height)
    axes = figure.add_subplot(facecolor="none")
    add_grid(axes)
    return figure, axes


def add_grid(axes) -> None:
    """Draws a faint grid behind what the axes hold, and no frame above and at the right."""
    axes.grid(color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def line_style(index: int) -> dict:
    """Returns colour, dashes and mark of a line; no two of the first thirty are alike."""
    return {
        "color": PALETTE[index % len(PALETTE)],
        "linestyle": DASHES[index % len(DASHES)],
        "marker": MARKERS[index % len(MARKERS)],
    }


def data_uri_of(figure: MatplotlibFigure) -> str:
    """Returns a figure as an SVG data URI; text and axes turn light on a dark page."""
    stream = io.StringIO()
    FigureCanvasSVG(figure).print_svg(stream, metadata={"Date": None, "Creator": None})
    return svg_uri(_follow_page(stream.getvalue()))


def svg_uri(svg: str) -> str:
    """Returns an SVG's text as a data URI."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode("utf-8")).decode("ascii")


def _follow_page(svg: str) -> str:
    names = {INK: "--ink", FAINT: "--faint"}
    for colour, name in names.items():
        svg = svg.replace(colour, f"var({name})")
    light, dark = (
        ";".join(f"{name}:{colours[colour]}" for colour, name in names.items())
        for colours in ({INK: INK, FAINT: FAINT}, _DARK)
    )
    style = f"<style>:root{{{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}</style>"
    return re.sub(r"(<svg[^>]*>)", lambda found: found[1] + style, svg, count=1)
