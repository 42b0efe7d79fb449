"""`mammo-tf compare`: several runs of a recipe side by side."""

import click

from mammo_tf.cli.options import UserPath
from mammo_tf.errors import UserError


@click.command(context_settings={"show_default": True})
@click.argument(
    "runs",
    metavar="RUN RUN…",
    nargs=-1,
    required=True,
    type=UserPath(exists=True, file_okay=False),
)
@click.option(
    "--out",
    type=UserPath(file_okay=False),
    help="Also write compare.html (tables and figures) and compare.csv into this folder.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
def compare(runs, out, as_json):
    """Put finished RUNs of one recipe side by side, and say how their settings differ.

    \b
      mammo-tf compare runs/cnn3 runs/resnet18
      mammo-tf compare runs/a runs/b runs/c --out compared

    Rows and measures that at least two runs have are shown, each with its run's own 95 % interval.
    That is no paired test: within a run a recipe makes those.
    """
    from pathlib import Path

    from mammo_tf.files import write_text
    from mammo_tf.report import compare as comparison

    found = comparison.read_runs(runs)
    if not comparison.shared_keys(found):
        raise UserError("The runs have no row and measure in common.")
    if out is not None:
        write_text(Path(out) / "compare.csv", comparison.comparison_csv(found))
        write_text(Path(out) / "compare.html", comparison.comparison_page(found))
    if as_json:
        _print_json(found)
    else:
        _print(found)
    if out is not None and not as_json:
        click.echo(f"Report: {Path(out) / 'compare.html'}")


def _print(runs) -> None:
    from mammo_tf.report.compare import NO_TEST, setting_changes, shared_keys, text_of

    keys = shared_keys(runs)
    width = max(len(f"{row}, {measure}") for row, measure in keys)
    columns = [max(20, len(run.name)) for run in runs]
    names = "  ".join(f"{run.name:<{size}}" for run, size in zip(runs, columns, strict=True))
    click.echo(f"{'':<{width}}  {names}".rstrip())
    for row, measure in keys:
        cells = "  ".join(
            f"{text_of(run.numbers.get((row, measure))):<{size}}"
            for run, size in zip(runs, columns, strict=True)
        )
        click.echo(f"{f'{row}, {measure}':<{width}}  {cells}".rstrip())
    for name, found in setting_changes(runs).items():
        click.echo(f"Settings of {name} against {runs[0].name}: {'; '.join(found) or 'the same'}")
    click.echo(NO_TEST)


def _print_json(runs) -> None:
    import json
    import math

    from mammo_tf.report.compare import setting_changes, shared_keys

    def plain(numbers):
        return numbers and [None if math.isnan(number) else number for number in numbers]

    rows = [
        {
            "row": row,
            "measure": measure,
            "runs": {run.name: plain(run.numbers.get((row, measure))) for run in runs},
        }
        for row, measure in shared_keys(runs)
    ]
    click.echo(json.dumps({"numbers": rows, "settings": setting_changes(runs)}, indent=2))
