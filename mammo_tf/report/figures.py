"""Figures of reports, as PNG data URIs."""

import base64
import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as MatplotlibFigure
from sklearn import metrics

from mammo_tf.codecs.cratios import format_cratio
from mammo_tf.evaluation import Estimate, ScoredFold

_GRID = np.linspace(0, 1, 201)


def cratio_name(cratio: float) -> str:
    """Names a compression ratio as the paper does: CR1, CR500, CR1K, CR11K."""
    if cratio >= 1000 and cratio % 1000 == 0:
        return f"CR{format_cratio(cratio / 1000)}K"
    return f"CR{format_cratio(cratio)}"


def roc_figure(curves: Mapping[str, Sequence[ScoredFold]]) -> str:
    """Draws ROC curves averaged over folds, one for each name, with ±1 SD of the folds shaded.

    Returns:
        A PNG data URI.

    Reference:
        Jo et al. 2021, Fig. 2 (a).
    """
    figure, axes = _axes(6.4, 5.2)
    axes.plot([0, 1], [0, 1], color="0.75", linewidth=1, linestyle="--")
    for (name, folds), style in zip(curves.items(), _line_styles(len(curves)), strict=True):
        _band(axes, _GRID, [_roc_on_grid(fold) for fold in folds], name, **style)
    axes.set(xlabel="False positive rate", ylabel="True positive rate", xlim=(0, 1), ylim=(0, 1.01))
    axes.legend(fontsize=8, loc="lower right")
    return data_uri_of(figure)


def pr_figure(curves: Mapping[str, Sequence[ScoredFold]], prevalence: float) -> str:
    """Draws precision-recall curves averaged over folds; `prevalence` is the chance line.

    Returns:
        A PNG data URI.

    Reference:
        Jo et al. 2021, Fig. 2 (b).
    """
    figure, axes = _axes(6.4, 5.2)
    axes.axhline(prevalence, color="0.75", linewidth=1, linestyle="--")
    for (name, folds), style in zip(curves.items(), _line_styles(len(curves)), strict=True):
        _band(axes, _GRID, [_pr_on_grid(fold) for fold in folds], name, **style)
    axes.set(xlabel="Recall", ylabel="Precision", xlim=(0, 1), ylim=(0, 1.01))
    axes.legend(fontsize=8, loc="best")
    return data_uri_of(figure)


def metric_figure(
    series: Mapping[str, Mapping[float, Estimate | tuple[float, float, float]]], label: str
) -> str:
    """Draws a metric with its 95 % interval against the compression ratio.

    The ratios stand side by side, equally far apart: those that matter most are often close.

    Args:
        series: {name: {cratio: estimate}}; the paper's own numbers may be one of them.
        label: Name of the vertical axis.

    Returns:
        A PNG data URI.
    """
    figure, axes = _axes(7.2, 4.2)
    styles = zip(series.items(), _colours(len(series)), _markers(len(series)), strict=True)
    shown = sorted({cratio for points in series.values() for cratio in points})
    step = min(0.12, 0.6 / len(series))  # so that bars stand side by side
    for index, ((name, points), colour, marker) in enumerate(styles):
        places = np.array([shown.index(cratio) for cratio in sorted(points)])
        values, lows, highs = np.array([_triple(points[c]) for c in sorted(points)]).T
        shift = step * (index - (len(series) - 1) / 2)
        bars = np.clip([values - lows, highs - values], 0, None)
        axes.errorbar(
            places + shift,
            values,
            bars,
            fmt="-",
            marker=marker,
            label=name,
            color=colour,
            capsize=3,
            markersize=4,
            linewidth=1.2,
        )
    _cratio_places(axes, shown)
    axes.set_ylabel(label)
    if len(series) > 1:
        axes.legend(fontsize=8)
    return data_uri_of(figure)


def lines_figure(series: Mapping[str, Mapping[float, Estimate]], label: str) -> str:
    """Draws values against the compression ratio, one line for each name; see `metric_figure`.

    Bars for each of many lines would hide them: the first one's interval is shaded, so that a
    reader sees how much of the rest may be chance.

    Args:
        series: {name: {cratio: estimate}}, the reference first.
        label: Name of the vertical axis.

    Returns:
        A PNG data URI.

    Reference:
        Jo et al. 2021, Fig. 4.
    """
    figure, axes = _axes(8.4, 4.8)
    styles = zip(series.items(), _colours(len(series)), _markers(len(series)), strict=True)
    shown = sorted({cratio for points in series.values() for cratio in points})
    for index, ((name, points), colour, marker) in enumerate(styles):
        places = [shown.index(cratio) for cratio in sorted(points)]
        values, lows, highs = np.array([_triple(points[c]) for c in sorted(points)]).T
        axes.plot(places, values, label=name, color=colour, marker=marker,
                  markersize=5, linewidth=1.2)  # fmt: skip
        if index == 0:
            axes.fill_between(places, lows, highs, color=colour, alpha=0.12, linewidth=0)
    _cratio_places(axes, shown)
    axes.set_ylabel(label)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return data_uri_of(figure)


def psnr_figure(psnr_db: Mapping[float, Sequence[float]]) -> str:
    """Draws PSNR against the compression ratio: the mean, with the range over images shaded.

    Args:
        psnr_db: {cratio: PSNR of each image in dB}.

    Returns:
        A PNG data URI.
    """
    figure, axes = _axes(7.2, 3.8)
    cratios = sorted(psnr_db)
    means = [np.mean(psnr_db[c]) for c in cratios]
    lows, highs = ([pick(psnr_db[c]) for c in cratios] for pick in (np.min, np.max))
    axes.fill_between(cratios, lows, highs, alpha=0.2, color="#1f5fa8", linewidth=0)
    axes.plot(cratios, means, "o-", color="#1f5fa8", markersize=4)
    _log_cratio_axis(axes, cratios)
    axes.set_ylabel("PSNR [dB]")
    return data_uri_of(figure)


def froc_figure(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]], *, max_rate: float = 4.0
) -> str:
    """Draws FROC curves: sensitivity against false positives an image.

    Args:
        curves: {name: (rates, sensitivities)}, as `Froc.curve_rates` and `curve_sensitivities`.
        max_rate: Right end of the axis.

    Returns:
        A PNG data URI.
    """
    figure, axes = _axes(7.2, 4.6)
    for (name, (rates, values)), style in zip(
        curves.items(), _line_styles(len(curves)), strict=True
    ):
        axes.step(rates, values, where="post", label=name, linewidth=1.5, **style)
    axes.set(xlabel="False positives an image", ylabel="Sensitivity")
    axes.set(xlim=(0, max_rate), ylim=(0, 1.01))
    axes.legend(fontsize=8, loc="best")
    return data_uri_of(figure)


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
        A PNG data URI.

    Reference:
        Jo et al. 2021, Table 2.
    """
    figure, axes = _axes(1.6 + 0.62 * len(columns), 1.2 + 0.42 * len(rows))
    picture = axes.imshow(values, cmap="viridis", aspect="auto")
    middle = np.nanmean([np.nanmin(values), np.nanmax(values)])
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "black" if value > middle else "white"
            axes.text(
                column, row, f"{value:.2f}", ha="center", va="center", fontsize=8, color=colour
            )
    axes.set_xticks(range(len(columns)), columns, fontsize=8, rotation=45)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.set(xlabel="Tested on", ylabel="Trained on")
    axes.grid(False)
    figure.colorbar(picture, ax=axes, label=label)
    return data_uri_of(figure)


def patches_figure(
    whole: np.ndarray,
    box: tuple[int, int, int, int],
    patches: Sequence[tuple[str, np.ndarray]],
    marked: tuple[float, float, float] | None = None,
) -> str:
    """Draws a mammogram with a rectangle, and the patch in it at each compression ratio.

    Args:
        whole: (height, width) image, any integer or float type.
        box: (top, left, height, width) of the patch in pixels of `whole`.
        patches: (caption, patch) pairs; all are shown with the first one's grey scale.
        marked: (row, column, radius) in pixels of `whole` of a lesion to circle, or None.

    Returns:
        A PNG data URI.

    Reference:
        Jo et al. 2021, Fig. 1.
    """
    columns = max(2, -(-len(patches) // 2))
    figure = MatplotlibFigure(figsize=(2.6 + 1.75 * columns, 4.2), layout="constrained")
    grid = figure.add_gridspec(2, columns + 1, width_ratios=[1.7] + [1] * columns)
    axes = figure.add_subplot(grid[:, 0])
    axes.imshow(whole, cmap="gray", vmin=0, vmax=max(np.percentile(whole, 99.5), 1))
    top, left, height, width = box
    axes.add_patch(_rectangle(left, top, width, height))
    if marked is not None:
        axes.add_patch(_circle(*marked))
    axes.set_axis_off()
    low, high = np.percentile(patches[0][1], [0.5, 99.5])
    for index, (caption, patch) in enumerate(patches):
        axes = figure.add_subplot(grid[index // columns, 1 + index % columns])
        axes.imshow(patch, cmap="gray", vmin=low, vmax=max(high, low + 1))
        axes.set_title(caption, fontsize=8)
        axes.set_axis_off()
    return data_uri_of(figure)


def _axes(width: float, height: float):
    figure = MatplotlibFigure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    return figure, axes


def _colours(count: int):
    import matplotlib

    return matplotlib.colormaps["viridis"](np.linspace(0, 0.8, max(count, 1)))


def _line_styles(count: int) -> list[dict]:
    """Colours that rise in lightness, and dashes, so that lines are told apart without colour."""
    dashes = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
    return [
        {"color": colour, "linestyle": dashes[index % len(dashes)]}
        for index, colour in enumerate(_colours(count))
    ]


def _markers(count: int) -> list[str]:
    """Marks that tell lines apart without colour."""
    return [("os^Dv<>PX*p"[index % 11]) for index in range(count)]


def _roc_on_grid(fold: ScoredFold) -> np.ndarray:
    false_rate, true_rate, _ = metrics.roc_curve(fold.labels, fold.scores)
    on_grid = np.interp(_GRID, false_rate, true_rate)
    on_grid[0] = 0
    return on_grid


def _pr_on_grid(fold: ScoredFold) -> np.ndarray:
    precision, recall, _ = metrics.precision_recall_curve(fold.labels, fold.scores)
    return np.interp(_GRID, recall[::-1], precision[::-1])


def _band(axes, grid, curves: Sequence[np.ndarray], name: str, color, linestyle) -> None:
    mean, spread = np.mean(curves, axis=0), np.std(curves, axis=0)
    axes.plot(grid, mean, label=name, color=color, linestyle=linestyle, linewidth=1.5)
    if len(curves) > 1:
        axes.fill_between(
            grid, np.clip(mean - spread, 0, 1), np.clip(mean + spread, 0, 1),
            color=color, alpha=0.08, linewidth=0,
        )  # fmt: skip


def _triple(value) -> tuple[float, float, float]:
    if isinstance(value, Estimate):
        return value.value, value.low, value.high
    return tuple(value)


def _cratio_places(axes, cratios: Sequence[float]) -> None:
    axes.set_xticks(range(len(cratios)), [cratio_name(c)[2:] for c in cratios], fontsize=8)
    axes.set_xlabel("Compression ratio")


def _log_cratio_axis(axes, cratios: Sequence[float]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(cratios, [cratio_name(c)[2:] for c in cratios], fontsize=8, rotation=45)
    axes.set_xticks([], minor=True)
    axes.set_xlabel("Compression ratio")


def _rectangle(left, top, width, height):
    from matplotlib.patches import Rectangle

    return Rectangle((left, top), width, height, fill=False, edgecolor="white", linewidth=1.2)


def _circle(row, column, radius):
    from matplotlib.patches import Circle

    return Circle((column, row), radius, fill=False, edgecolor="#ffb000", linewidth=1)


def data_uri_of(figure: MatplotlibFigure) -> str:
    """Returns a figure as a PNG data URI."""
    stream = io.BytesIO()
    FigureCanvasAgg(figure).print_png(stream, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
