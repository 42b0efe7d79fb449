"""Figures of reports against the compression ratio."""

from collections.abc import Mapping, Sequence

import numpy as np

from mammo_tf.codecs.cratios import format_cratio
from mammo_tf.codecs.measure import LOSSLESS_PSNR_DB
from mammo_tf.evaluation import Estimate
from mammo_tf.report.style import (
    NEUTRAL,
    PALETTE,
    data_uri_of,
    line_style,
    new_axes,
    styled,
)


def cratio_name(cratio: float) -> str:
    """Names a compression ratio as the paper does: CR1, CR500, CR1K, CR11K."""
    if cratio >= 1000 and cratio % 1000 == 0:
        return f"CR{format_cratio(cratio / 1000)}K"
    return f"CR{format_cratio(cratio)}"


@styled
def metric_figure(
    series: Mapping[str, Mapping[float, Estimate | tuple[float, float, float]]],
    label: str,
    *,
    chance: float | None = None,
) -> str:
    """Draws a metric with its 95 % interval against the compression ratio.

    The ratios stand side by side, equally far apart: those that matter most are often close.

    Args:
        series: {name: {cratio: estimate}}; the paper's own numbers may be one of them.
        label: Name of the vertical axis.
        chance: The metric of a model that knows nothing, drawn as a dotted line; None for none.

    Returns:
        An SVG data URI.
    """
    figure, axes = new_axes(6.4, 4.0)
    shown = _all_cratios(series)
    step = min(0.12, 0.6 / len(series))  # so that bars stand side by side
    for index, (name, points) in enumerate(series.items()):
        places = np.array([shown.index(cratio) for cratio in sorted(points)])
        values, lows, highs = np.array([_triple(points[c]) for c in sorted(points)]).T
        shift = step * (index - (len(series) - 1) / 2)
        bars = np.clip([values - lows, highs - values], 0, None)
        axes.errorbar(
            places + shift, values, bars, label=name, capsize=3, markersize=5, linewidth=1.4,
            **line_style(index),
        )  # fmt: skip
    if chance is not None:
        axes.axhline(chance, color=NEUTRAL, linewidth=1, linestyle=":", label="chance")
    _cratio_places(axes, shown)
    axes.set_ylabel(label)
    if len(series) > 1 or chance is not None:
        figure.legend(loc="outside upper left")
    return data_uri_of(figure)


@styled
def lines_figure(series: Mapping[str, Mapping[float, Estimate]], label: str) -> str:
    """Draws values against the compression ratio, one line for each name; see `metric_figure`.

    Bars for each of many lines would hide them: the first one's interval is shaded, so that a
    reader sees how much of the rest may be chance. Each line's name stands at its end.

    Args:
        series: {name: {cratio: estimate}}, the reference first.
        label: Name of the vertical axis.

    Returns:
        An SVG data URI.

    Reference:
        Jo et al. 2021, Fig. 4.
    """
    figure, axes = new_axes(7.2, 4.6)
    shown = _all_cratios(series)
    ends = []
    for index, (name, points) in enumerate(series.items()):
        places = [shown.index(cratio) for cratio in sorted(points)]
        values, lows, highs = np.array([_triple(points[c]) for c in sorted(points)]).T
        style = line_style(index)
        axes.plot(places, values, label=name, markersize=5, linewidth=1.2, **style)
        ends.append((values[-1], places[-1], name, style["color"]))
        if index == 0:
            axes.fill_between(places, lows, highs, color=style["color"], alpha=0.15, linewidth=0)
    _cratio_places(axes, shown)
    axes.set_ylabel(label)
    _label_ends(axes, ends)
    return data_uri_of(figure)


@styled
def psnr_figure(psnr_db: Mapping[float, Sequence[float]]) -> str:
    """Draws PSNR against the compression ratio: the mean, with the range over images shaded.

    Where every image comes back as it was, "identical" is written in place of the 100 dB that
    stand for it: the line would rise to a number that is none.

    Args:
        psnr_db: {cratio: PSNR of each image in dB}.

    Returns:
        An SVG data URI.
    """
    figure, axes = new_axes(6.4, 3.6)
    cratios = sorted(psnr_db)
    lossy = [c for c in cratios if np.min(psnr_db[c]) < LOSSLESS_PSNR_DB]
    places = [cratios.index(c) for c in lossy]
    means, lows, highs = ([pick(psnr_db[c]) for c in lossy] for pick in (np.mean, np.min, np.max))
    axes.fill_between(places, lows, highs, alpha=0.2, color=PALETTE[0], linewidth=0)
    axes.plot(places, means, "o-", color=PALETTE[0], markersize=5)
    for place, cratio in enumerate(cratios):
        if cratio not in lossy:
            axes.text(
                place, 0.97, "identical", rotation=90, ha="center", va="top", fontsize=9,
                transform=axes.get_xaxis_transform(),
            )  # fmt: skip
    _cratio_places(axes, cratios)
    axes.set_ylabel("PSNR [dB]")
    return data_uri_of(figure)


@styled
def matrix_figure(
    values: np.ndarray, rows: Sequence[str], columns: Sequence[str], label: str
) -> str:
    """Draws a matrix of a metric: models (rows) against test compression ratios (columns).

    Args:
        values: (rows, columns) float; NaN where there is none.
        rows: Names of the rows.
        columns: Names of the columns.
        label: What the values are.

    Returns:
        An SVG data URI.

    Reference:
        Jo et al. 2021, Table 2.
    """
    figure, axes = new_axes(1.6 + 0.58 * len(columns), 1.2 + 0.42 * len(rows))
    picture = axes.imshow(values, cmap="viridis", aspect="auto")
    middle = np.nanmean([np.nanmin(values), np.nanmax(values)])
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "black" if value > middle else "white"
            axes.text(
                column, row, f"{value:.2f}", ha="center", va="center", fontsize=9, color=colour
            )
    axes.set_xticks(range(len(columns)), columns, fontsize=9, rotation=45)
    axes.set_yticks(range(len(rows)), rows, fontsize=9)
    axes.set(xlabel="Tested on", ylabel="Trained on")
    axes.grid(False)
    figure.colorbar(picture, ax=axes, label=label)
    return data_uri_of(figure)


def _all_cratios(series: Mapping[str, Mapping[float, object]]) -> list[float]:
    return sorted({cratio for points in series.values() for cratio in points})


def _triple(value) -> tuple[float, float, float]:
    if isinstance(value, Estimate):
        return value.value, value.low, value.high
    return tuple(value)


def _cratio_places(axes, cratios: Sequence[float]) -> None:
    axes.set_xticks(range(len(cratios)), [cratio_name(c)[2:] for c in cratios])
    axes.set_xlabel("Compression ratio (equally spaced)")


def _label_ends(axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Writes each line's name at its right end, moved up where two would lie on each other."""
    low, high = axes.get_ylim()
    gap, last = 0.05 * (high - low), -np.inf
    for value, place, name, colour in sorted(ends):
        height = last = max(value, last + gap)
        axes.annotate(
            name, (place, value), (place + 0.25, height), fontsize=9, color=colour, va="center",
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.5},
            annotation_clip=False,
        )  # fmt: skip
