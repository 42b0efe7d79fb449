"""The report's sections on experiments other than "single"."""

from collections.abc import Mapping, Sequence

import numpy as np

from mammo_tf.evaluation import (
    Estimate,
    largest_non_inferior,
    mean_auroc_difference_over_repeats,
)
from mammo_tf.recipes.compression import paper_numbers
from mammo_tf.recipes.compression.conclusion import LEVEL
from mammo_tf.recipes.compression.summarise import Row
from mammo_tf.report import Figure, Section, Table, figures

THREE_WAYS = {
    "single": "compressed in training and test",
    "training_only": "compressed in training only",
    "test_only": "compressed in test only",
}


# Experiments that test the network of the first ratio alone at others.
PLAIN = ("test_only", "cross", "mixture")


def experiment_sections(rows: Sequence[Row]) -> list[Section]:
    """Returns the sections of what was run.

    Args:
        rows: Rows of all experiments.
    """
    of = {name: [row for row in rows if row.experiment == name] for name in _SECTIONS}
    ways = {name: [row for row in rows if row.experiment == name] for name in THREE_WAYS}
    sections = [_three_ways(ways)] if ways["training_only"] or ways["test_only"] else []
    sections += [make(of[name]) for name, make in _SECTIONS.items() if of[name]]
    drawn = [row for row in rows if row.experiment == "augmented"]
    return sections + ([_augmented(drawn, rows)] if drawn else [])


def network_name(train_crs: tuple[float, ...]) -> str:
    """Names a network by what it learnt from, as the paper does: M-CR15, M-CR1toCR11K.

    One that was not trained here is "given".
    """
    if not train_crs:
        return "given"
    first, last = figures.cratio_name(train_crs[0]), figures.cratio_name(train_crs[-1])
    return f"M-{first}" if len(train_crs) == 1 else f"M-{first}to{last}"


def _three_ways(ways: dict[str, Sequence[Row]]) -> Section:
    shown = {
        THREE_WAYS[name]: {_compressed_at(row): row for row in rows}
        for name, rows in ways.items()
        if rows
    }
    ratios = sorted({cratio for points in shown.values() for cratio in points})
    header = ["CR", *(f"AUROC {text} (95 % CI), change" for text in shown)]
    body = [
        [
            figures.cratio_name(cratio),
            *(_with_change(points.get(cratio), beside_paper=True) for points in shown.values()),
        ]
        for cratio in ratios
    ]
    series = {
        text: {cratio: row.auroc for cratio, row in points.items()}
        for text, points in shown.items()
    }
    printed = " In brackets the paper's (Tables 1 and 2)." if "[" in str(body) else ""
    return Section(
        "Compressed in training, in test, or in both",
        [how_far(text, list(points.values())) for text, points in shown.items()],
        [
            Table(
                header,
                body,
                f"Change: of AUROC, paired, against the first row.{printed}",
            ),
            Figure(
                figures.metric_figure(series, "AUROC"),
                "AUROC with 95 % interval against the compression ratio of what is compressed.",
                alt=" ".join(_points(text, values) for text, values in series.items()),
            ),
        ],
    )


def how_far(way: str, rows: Sequence[Row]) -> str:
    """Says how far one may compress in one way.

    Args:
        way: What is compressed.
        rows: By rising compression ratio, the reference first.
    """
    others = [row for row in rows if row.comparison]
    if not others:
        return f"{way.capitalize()}: there is one compression ratio only."
    passed = largest_non_inferior([row.comparison for row in others])
    loss = f"the loss of AUROC is shown to be at most {others[0].comparison.margin:g}"
    if passed is None:
        return f"{way.capitalize()}: at no compression ratio {loss}."
    name = figures.cratio_name(_compressed_at(others[passed]))
    return f"{way.capitalize()}: up to {name} {loss}."


def _points(name: str, values: Mapping[float, Estimate]) -> str:
    """A line of a figure in words."""
    points = (f"{figures.cratio_name(cratio)} {value}" for cratio, value in values.items())
    return f"{name}: {'; '.join(points)}."


def _compressed_at(row: Row) -> float:
    return row.train_crs[0] if row.experiment == "training_only" else row.test_cr


def _with_change(row: Row | None, *, beside_paper: bool = False) -> str:
    if row is None:
        return "–"
    cell = f"{row.auroc}" if row.change is None else f"{row.auroc}, {signed(row.change)}"
    return cell + (_paper(row, "auroc") if beside_paper else "")


def signed(change: Estimate) -> str:
    """A change and its interval: "-0.021 (-0.043, +0.001)"."""
    if np.isnan(change.low) or np.isnan(change.high):
        return "no interval"
    return f"{change.value:+.3f} ({change.low:+.3f}, {change.high:+.3f})"


def _mixture(rows: Sequence[Row]) -> Section:
    """Fig. 4."""
    trained, tested = _axes_of(rows)
    at = {(row.train_crs, row.test_cr): row for row in rows}
    series = {
        network_name(crs): {cratio: at[crs, cratio].auroc for cratio in tested} for crs in trained
    }
    reference = network_name(trained[0])
    header = ["Network", *(figures.cratio_name(cratio) for cratio in tested)]
    body = [[network_name(crs), *(_with_change(at[crs, c]) for c in tested)] for crs in trained]
    return Section(
        "Trained on a mixture of compression ratios",
        [
            "Each network learns from every training image at each of its compression ratios, so "
            "that a pass of k ratios has k times as many steps as one of a single ratio.",
            mixture_in_words([at[trained[-1], cratio] for cratio in tested], reference),
        ],
        [
            Figure(
                figures.lines_figure(series, "AUROC"),
                "Mean AUROC of each network against the compression ratio of the test images; the "
                f"paper's Fig. 4. Shaded: the 95 % interval of {reference}. All see the same test "
                "images, so that changes are surer than intervals side by side: see the table.",
                alt=" ".join(_points(name, values) for name, values in series.items()),
            ),
            Table(
                header,
                body,
                f"AUROC (95 % CI), and its paired change against {reference} on the "
                "same test images. The paper prints no numbers of its Fig. 4.",
            ),
        ],
    )


def mixture_in_words(rows: Sequence[Row], reference: str) -> str:
    """Says where a network of a mixture differs from that of the first compression ratio.

    Args:
        rows: Of one network, by the compression ratio of the test images; each compared with the
            reference on the same images.
        reference: Name of the network that it is compared with.

    Returns:
        One sentence; gains are said as losses are.
    """
    name = network_name(rows[0].train_crs)
    told = [row for row in rows if row.comparison and row.comparison.adjusted_p_value < LEVEL]
    if not told:
        return (
            f"No difference between {name} and {reference} on the same test images is told from "
            "chance at 5 %, after Holm's correction for all comparisons of this experiment."
        )
    changes = (f"{figures.cratio_name(row.test_cr)} {signed(row.change)}" for row in told)
    return (
        f"Against {reference} on the same test images the AUROC of {name} changes at "
        f"{', '.join(changes)}; at other ratios no change is told from chance at 5 % (Holm)."
    )


def _augmented(rows: Sequence[Row], all_rows: Sequence[Row]) -> Section:
    """Beside the network of the first ratio on the same images, where an experiment has it."""
    first, repeats = rows[0].train_crs[:1], len(rows[0].repeats)
    plain = {
        row.test_cr: row
        for row in all_rows
        if row.experiment in PLAIN and row.train_crs == first and len(row.repeats) == repeats
    }
    reference = network_name(first)
    header = ["Tested on", "AUROC (95 % CI), change", f"Against {reference}", "AUPRC (95 % CI)"]
    body = [
        [
            figures.cratio_name(row.test_cr),
            _with_change(row),
            _gain(row, plain.get(row.test_cr)),
            str(row.auprc),
        ]
        for row in rows
    ]
    caption = (
        f"Change: of AUROC, paired, against the first row. Against {reference}: of AUROC, paired, "
        "on the same test images"
    )
    caption += "" if plain else "; --experiment test_only with as many --repeats adds it"
    return Section(
        "Trained at a random compression ratio of each image",
        [
            "In each pass every training image is shown at one of the compression ratios, all "
            "alike likely, so that a pass has as many steps as one of a single ratio."
        ],
        [Table(header, body, f"{caption}. Not in the paper.")],
    )


def _gain(row: Row, plain: Row | None) -> str:
    if plain is None:
        return "–"
    return signed(mean_auroc_difference_over_repeats(row.repeats, plain.repeats))


def _cross(rows: Sequence[Row]) -> Section:
    """Table 2."""
    parts = []
    for metric in ("auroc", "auprc"):
        parts += [_matrix(rows, metric), _cross_table(rows, metric)]
    text = "Rows: the compression ratio of the training images. Columns: that of the test images."
    return Section("Trained at one compression ratio, tested at all", [text], parts)


def _axes_of(rows: Sequence[Row]) -> tuple[list, list]:
    return (
        list(dict.fromkeys(row.train_crs for row in rows)),
        list(dict.fromkeys(row.test_cr for row in rows)),
    )


def _matrix(rows: Sequence[Row], metric: str) -> Figure:
    trained, tested = _axes_of(rows)
    values = np.full((len(trained), len(tested)), np.nan)
    for row in rows:
        place = trained.index(row.train_crs), tested.index(row.test_cr)
        values[place] = getattr(row, metric).value
    names = [network_name(crs) for crs in trained]
    columns = [figures.cratio_name(cratio) for cratio in tested]
    picture = figures.matrix_figure(values, names, columns, metric.upper())
    return Figure(picture, f"Mean {metric.upper()} over folds.")


def _cross_table(rows: Sequence[Row], metric: str) -> Table:
    trained, tested = _axes_of(rows)
    cells: dict[tuple, str] = {}
    for row in rows:
        value: Estimate = getattr(row, metric)
        cells[row.train_crs, row.test_cr] = f"{value}" + _paper(row, metric)
    body = [[network_name(t), *(cells.get((t, c), "–") for c in tested)] for t in trained]
    header = ["Model", *(figures.cratio_name(cratio) for cratio in tested)]
    return Table(header, body, f"{metric.upper()} (95 % CI), in brackets the paper's (Table 2).")


def _paper(row: Row, metric: str) -> str:
    """The paper's number in brackets, where it prints one."""
    if len(row.train_crs) != 1:
        return ""
    paper = paper_numbers.cross(metric, row.train_crs[0], row.test_cr)
    return f" [{paper[0]:.2f}]" if paper else ""


_SECTIONS = {"cross": _cross, "mixture": _mixture}
