"""Curves of reports: ROC, precision-recall, FROC and learning curves."""

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn import metrics

from mammo_tf.evaluation import ScoredFold
from mammo_tf.evaluation.decision_curve import DecisionPoint
from mammo_tf.report.style import (
    NEUTRAL,
    PALETTE,
    add_grid,
    data_uri_of,
    line_style,
    new_axes,
    new_figure,
    styled,
)

MAX_LINES = 4  # more of them in one pair of axes cannot be told apart
_GRID = np.linspace(0, 1, 201)
_COLUMNS = 3


@styled
def roc_figure(curves: Mapping[str, Sequence[ScoredFold]]) -> str:
    """Draws ROC curves averaged over folds, one for each name, with ±1 SD of the folds shaded.

    More than four have a panel each, in which the first one is drawn in grey beside it.

    Returns:
        An SVG data URI.

    Reference:
        Jo et al. 2021, Fig. 2 (a).
    """
    on_grid = {name: [_roc_on_grid(fold) for fold in folds] for name, folds in curves.items()}
    return _draw(on_grid, ("False positive rate", "True positive rate"), ([0, 1], [0, 1]))


@styled
def pr_figure(curves: Mapping[str, Sequence[ScoredFold]], prevalence: float) -> str:
    """Draws precision-recall curves averaged over folds; `prevalence` is the chance line.

    More than four have a panel each, in which the first one is drawn in grey beside it.

    Returns:
        An SVG data URI.

    Reference:
        Jo et al. 2021, Fig. 2 (b).
    """
    on_grid = {name: [_pr_on_grid(fold) for fold in folds] for name, folds in curves.items()}
    return _draw(on_grid, ("Recall", "Precision"), ([0, 1], [prevalence] * 2))


@styled
def froc_figure(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]], *, max_rate: float = 4.0
) -> str:
    """Draws FROC curves: sensitivity against false positives an image.

    Args:
        curves: {name: (rates, sensitivities)}, as `Froc.curve_rates` and `curve_sensitivities`.
        max_rate: Right end of the axis.

    Returns:
        An SVG data URI.
    """
    figure, axes = new_axes(6.0, 4.2)
    for index, (name, (rates, values)) in enumerate(curves.items()):
        style = line_style(index) | {"marker": None}
        axes.step(rates, values, where="post", label=name, linewidth=1.6, **style)
    axes.set(xlabel="False positives an image", ylabel="Sensitivity")
    axes.set(xlim=(0, max_rate), ylim=(0, 1.01))
    axes.legend(loc="best")
    return data_uri_of(figure)


@styled
def decision_figure(points: Sequence[DecisionPoint]) -> str:
    """Draws a decision curve: the net benefit of a model, of acting on all, and on none.

    Returns:
        An SVG data URI.
    """
    figure, axes = new_axes(6.0, 4.2)
    thresholds = [point.threshold for point in points]
    for index, (name, label) in enumerate((("model", "model"), ("all_cases", "every case"))):
        values = [getattr(point, name).value for point in points]
        axes.plot(thresholds, values, label=label, linewidth=1.6, **line_style(index))
    found = [point.model for point in points]
    axes.fill_between(
        thresholds, [one.low for one in found], [one.high for one in found], alpha=0.2
    )
    axes.axhline(0, color="0.4", linewidth=1, label="no case")
    top = max(0.05, *(one.high if np.isfinite(one.high) else one.value for one in found))
    axes.set(xlabel="Threshold", ylabel="Net benefit", xlim=(0, 1), ylim=(-0.1, 1.1 * top))
    axes.legend(loc="best")
    return data_uri_of(figure)


@styled
def learning_figure(groups: Mapping[str, Sequence[Mapping[str, Sequence[float]]]]) -> str:
    """Draws the loss of each epoch: a panel for each group of trainings, a line for each one.

    Args:
        groups: {name: trainings}; a training has "loss", where it was measured "val_loss" of as
            many epochs, and "best_epoch", (1,), the one whose weights were kept.

    Returns:
        An SVG data URI.
    """
    figure, panels = _panels(len(groups))
    for axes, (name, trainings) in zip(panels, groups.items(), strict=True):
        axes.set_title(name, fontsize=9)
        for training in trainings:
            for key, (label, colour, dashes) in _LOSSES.items():
                values = training.get(key, ())
                epochs = np.arange(1, len(values) + 1)
                axes.plot(epochs, values, color=colour, linestyle=dashes, linewidth=1, label=label)
            values = training.get("val_loss") or training["loss"]
            best = int(training["best_epoch"][0])
            axes.plot(best, values[best - 1], "o", color=PALETTE[2], markersize=4, label="kept")
    figure.supxlabel("Epoch", fontsize=10)
    figure.supylabel("Loss", fontsize=10)
    handles, labels = panels[0].get_legend_handles_labels()
    known = dict(zip(labels, handles, strict=True))
    figure.legend(known.values(), known.keys(), loc="outside upper center", ncols=len(known))
    return data_uri_of(figure)


@styled
def losses_figure(histories: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Draws each loss of a training against its epochs: a panel for each loss.

    Args:
        histories: {name: epochs}; an epoch has "epoch" and the losses that it computed.

    Returns:
        An SVG data URI.
    """
    epochs = [entry for history in histories.values() for entry in history]
    losses = list(dict.fromkeys(key for entry in epochs for key in entry if key != "epoch"))
    figure, panels = _panels(len(losses))
    for axes, loss in zip(panels, losses, strict=True):
        axes.set_title(loss.replace("_", " "), fontsize=9)
        for index, (name, history) in enumerate(histories.items()):
            points = [(entry["epoch"], entry[loss]) for entry in history if loss in entry]
            style = line_style(index) | {"markersize": 3}
            axes.plot(*zip(*points, strict=True), label=name, linewidth=1, **style)
    figure.supxlabel("Epoch", fontsize=10)
    figure.supylabel("Loss", fontsize=10)
    if len(histories) > 1:
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=min(5, len(labels)))
    return data_uri_of(figure)


_LOSSES = {"loss": ("training", PALETTE[0], "-"), "val_loss": ("validation", PALETTE[1], "--")}


def _draw(curves: Mapping[str, Sequence[np.ndarray]], labels, chance) -> str:
    if len(curves) <= MAX_LINES:
        figure, axes = new_axes(5.6, 4.8)
        axes.plot(*chance, color=NEUTRAL, linewidth=1, linestyle=":")
        for index, (name, folds) in enumerate(curves.items()):
            _band(axes, folds, label=name, **line_style(index))
        axes.set(xlabel=labels[0], ylabel=labels[1], xlim=(0, 1), ylim=(0, 1.01))
        axes.legend(loc="best")
        return data_uri_of(figure)
    figure, panels = _panels(len(curves))
    (first, reference), *_ = curves.items()
    for axes, (name, folds) in zip(panels, curves.items(), strict=True):
        axes.plot(*chance, color=NEUTRAL, linewidth=1, linestyle=":")
        axes.plot(_GRID, np.mean(reference, axis=0), color=NEUTRAL, linewidth=1.2)
        if name != first:
            _band(axes, folds, color=PALETTE[0], linestyle="-", marker="")
        axes.set_title(name, fontsize=9)
        axes.set(xlim=(0, 1), ylim=(0, 1.01), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    figure.supxlabel(labels[0], fontsize=10)
    figure.supylabel(labels[1], fontsize=10)
    return data_uri_of(figure)


def _panels(count: int):
    """A figure with `count` small axes, three in a row."""
    columns = min(count, _COLUMNS)
    rows = -(-count // columns)
    figure = new_figure(0.8 + 1.8 * _COLUMNS, 0.7 + 1.8 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[:count]:
        axes.set_facecolor("none")
        add_grid(axes)
    for axes in grid[count:]:
        axes.remove()
    return figure, grid[:count]


def _band(axes, folds: Sequence[np.ndarray], *, color, linestyle, marker, label=None) -> None:
    mean, spread = np.mean(folds, axis=0), np.std(folds, axis=0)
    axes.plot(
        _GRID, mean, label=label, color=color, linestyle=linestyle, linewidth=1.6,
        marker=marker, markersize=4, markevery=(10, 40),
    )  # fmt: skip
    if len(folds) > 1:
        axes.fill_between(
            _GRID, np.clip(mean - spread, 0, 1), np.clip(mean + spread, 0, 1),
            color=color, alpha=0.12, linewidth=0,
        )  # fmt: skip


def _roc_on_grid(fold: ScoredFold) -> np.ndarray:
    false_rate, true_rate, _ = metrics.roc_curve(fold.labels, fold.scores)
    on_grid = np.interp(_GRID, false_rate, true_rate)
    on_grid[0] = 0
    return on_grid


def _pr_on_grid(fold: ScoredFold) -> np.ndarray:
    precision, recall, _ = metrics.precision_recall_curve(fold.labels, fold.scores)
    return np.interp(_GRID, recall[::-1], precision[::-1])
