"""The command `mammo-tf recipe compression`. Imports nothing heavy until it runs."""

import click

from mammo_tf.cli.options import UserPath


def _parse_cratios(_context, _parameter, text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        values = tuple(float(item) for item in text.split(","))
    except ValueError:
        raise click.BadParameter(
            f"compression ratios are numbers with commas between, as 1,15,100. Received: {text!r}"
        ) from None
    return tuple(int(value) if value.is_integer() else value for value in values)


@click.command(context_settings={"show_default": True})
@click.option(
    "--preset",
    type=click.Choice(["demo", "paper"]),
    help="demo: a small phantom, few CRs, two folds, minutes. paper: all CRs, five folds. "
    "Without it: demo if no --dataset is given, else paper.",
)
@click.option(
    "--dataset",
    type=click.Choice(["phantom", "ncc", "mini_mias"]),
    help="What to run on: a phantom made on the spot, your own studies.csv (ncc), or mini-MIAS.",
)
@click.option(
    "--task",
    type=click.Choice(["lesion", "malignant"]),
    help="lesion (mini_mias' default): lesion patches against normal tissue at the same place. "
    "malignant: malignant against the rest.",
)
@click.option(
    "--experiment",
    "experiments",
    multiple=True,
    default=["single"],
    type=click.Choice(["single", "cross"]),
    help="single: train and test at one CR (Table 1). cross: each model at every CR (Table 2). "
    "May be given twice; cross reuses the models of single.",
)
@click.option("--manual-dir", type=UserPath(), help="Folder with the raw files.")
@click.option(
    "--data-dir", type=UserPath(), help="Folder of the built data set. [default: RUN_DIR/data]"
)
@click.option(
    "--run-dir",
    type=UserPath(),
    help="Folder of the results; the same command takes it up where it stopped. "
    "[default: runs/compression-DATASET]",
)
@click.option("--crs", callback=_parse_cratios, help="Compression ratios, e.g. 1,15,100.")
@click.option("--folds", type=int, help="Number of cross-validation folds.")
@click.option("--seed", type=int, help="The same seed gives the same table.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change any setting, e.g. training.learning_rate=1e-4; --show-config lists them.",
)
@click.option("--show-config", is_flag=True, help="Print the settings as JSON and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def compression(
    preset,
    dataset,
    task,
    experiments,
    manual_dir,
    data_dir,
    run_dir,
    crs,
    folds,
    seed,
    overrides,
    show_config,
    as_json,
):
    """How far can JPEG 2000 go before a classifier suffers? (Jo et al. 2021)

    Trains a three-convolution network at each compression ratio by cross-validation and says, with
    95 % confidence intervals, where AUROC and AUPRC fall.

    \b
    Try it on synthetic mammograms:
      mammo-tf recipe compression --preset demo
    On mini-MIAS, from the distributed all-mias.tar.gz:
      mammo-tf recipe compression --dataset mini_mias --manual-dir FOLDER
    On your own studies:
      mammo-tf recipe compression --dataset ncc --manual-dir FOLDER --run-dir runs/mine

    Results: summary.csv, results.csv, predictions/, report.html and TensorBoard logs in the run
    folder. A run that was stopped goes on where it was when the same command is given again.
    """
    from mammo_tf.recipes.compression.settings import choose_config

    config = choose_config(
        preset=preset,
        dataset=dataset,
        task=task,
        cratios=crs,
        num_folds=folds,
        seed=seed,
        overrides=overrides,
    )
    if show_config:
        import json

        from mammo_tf.config import to_plain

        click.echo(json.dumps(to_plain(config), indent=2))
        return
    from mammo_tf.quiet import import_tensorflow

    import_tensorflow()
    from mammo_tf.recipes.compression.run import run

    run(
        config,
        experiments=tuple(dict.fromkeys(experiments)),
        manual_dir=manual_dir,
        data_dir=data_dir,
        run_dir=run_dir or f"runs/compression-{config.dataset}",
        as_json=as_json,
    )
