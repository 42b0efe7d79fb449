"""One self-contained HTML page: sections of text, tables and figures, nothing fetched."""

from collections.abc import Sequence
from dataclasses import dataclass

import jinja2

from mammo_tf.report import export

_WIDE = 8  # columns; a wider table is printed on a page that lies


@dataclass(frozen=True)
class Table:
    """A table of a report.

    Attributes:
        header: Names of the columns.
        rows: Cells as text, one sequence a row.
        caption: What the table shows, with the unit and the interval's meaning.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True)
class Figure:
    """A figure of a report.

    Attributes:
        data_uri: The picture itself, as "data:image/svg+xml;base64,…" or a PNG.
        caption: What the figure shows.
        alt: What a reader who cannot see it should know.
    """

    data_uri: str
    caption: str = ""
    alt: str = ""


@dataclass(frozen=True)
class Link:
    """A link to a source: its text and its address."""

    text: str
    address: str


@dataclass(frozen=True)
class Section:
    """A heading with paragraphs, then tables and figures in the order given."""

    heading: str
    paragraphs: Sequence[str] = ()
    parts: Sequence[Table | Figure] = ()


def render_page(
    *,
    title: str,
    subtitle: str,
    sections: Sequence[Section],
    answer: Sequence[str] = (),
    warnings: Sequence[str] = (),
    details: dict[str, str] | None = None,
    links: Sequence[Link | None] = (),
    made: str = "",
    files: dict[str, str] | None = None,
) -> str:
    """Renders a report.

    Args:
        title: Title of the page and its first heading.
        subtitle: One line under it.
        sections: The body; a table of contents leads to each.
        answer: What the report says, the most important sentence first; it stands at the top.
        warnings: What a reader must know before any number; they stand before the answer.
        details: What is needed to run it again: versions, seed, configuration.
        links: Sources: the paper, the data, the documentation; None is left out.
        made: When it was made, and how long that took.
        files: {name: text} of the run's tables, to be taken from the page.

    Returns:
        HTML that needs no other file. All text is escaped.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mammo_tf.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["table"] = lambda part: isinstance(part, Table)
    environment.filters |= {
        "csv": export.to_csv,
        "latex": export.to_latex,
        "data_uri": export.data_uri,
        "slug": export.slug,
        "is_wide": lambda table: len(table.header) > _WIDE,
        "picture_kind": lambda uri: "png" if uri.startswith("data:image/png") else "svg",
    }
    return environment.get_template("report.html.j2").render(
        title=title,
        subtitle=subtitle,
        sections=sections,
        contents=_contents(sections, details),
        answer=answer,
        warnings=warnings,
        details=details or {},
        links=[link for link in links if link],
        made=made,
        files=files or {},
    )


def _contents(sections: Sequence[Section], details) -> list[tuple[str, str]]:
    """(name of the place, heading) of each section; no name twice."""
    names = ["to-run-it-again"]
    for section in sections:
        name = export.slug(section.heading)
        names.append(name if name not in names else f"{name}-{len(names)}")
    contents = list(zip(names[1:], (section.heading for section in sections), strict=True))
    return [*contents, (names[0], "To run it again")] if details else contents
