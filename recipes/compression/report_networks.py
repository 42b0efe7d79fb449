"""The report's part on several networks: the paper's Table 1, a row for each."""

import dataclasses
from collections.abc import Mapping, Sequence

from mammo_tf.recipes.compression import paper_numbers
from mammo_tf.recipes.compression.summarise import Row, main_rows
from mammo_tf.report import Figure, Section, Table, figures


def networks_sections(networks: Mapping[str, Sequence[Row]]) -> list[Section]:
    """Returns the section that sets networks side by side; none where "single" was not run.

    Args:
        networks: {name: its rows of all experiments}.
    """
    single = {name: main_rows(rows) for name, rows in networks.items()}
    single = {name: rows for name, rows in single.items() if rows}
    if not single:
        return []
    parts = []
    for metric in ("auroc", "auprc"):
        series = {
            name: {row.test_cr: getattr(row, metric) for row in rows}
            for name, rows in single.items()
        }
        parts += [_table(series, metric), _figure(series, metric)]
    text = "All networks were trained and tested on the same divisions, with the same settings."
    return [Section("The networks side by side", [text], parts)]


def titled(section: Section | None, name: str) -> Section | None:
    """Returns a section with a network's name in its heading."""
    return section and dataclasses.replace(section, heading=f"{name}: {section.heading}")


def _table(series: Mapping[str, Mapping], metric: str) -> Table:
    ratios = sorted({cratio for points in series.values() for cratio in points})
    body = []
    for name, points in series.items():
        body.append([name, *(str(points.get(cratio, "–")) for cratio in ratios)])
        paper = {cratio: paper_numbers.single(name, metric, cratio) for cratio in ratios}
        if any(paper.values()):
            body.append([f"{name}, Jo et al. 2021", *(_cell(paper[cratio]) for cratio in ratios)])
    header = ["Network", *(figures.cratio_name(cratio) for cratio in ratios)]
    caption = (
        f"{metric.upper()} (95 % CI) of each network, trained and tested at one compression ratio; "
        "after the paper's Table 1, whose numbers are of its own images."
    )
    return Table(header, body, caption)


def _figure(series: Mapping[str, Mapping], metric: str) -> Figure:
    name = metric.upper()
    words = (
        f"{network}: "
        + "; ".join(f"{figures.cratio_name(cratio)} {value}" for cratio, value in points.items())
        for network, points in series.items()
    )
    return Figure(
        figures.metric_figure(series, name),
        f"{name} with 95 % interval of each network against the compression ratio.",
        alt=f"{name}. {'. '.join(words)}.",
    )


def _cell(value) -> str:
    return f"{value[0]:.2f} ({value[1]:.2f}, {value[2]:.2f})" if value else "–"
