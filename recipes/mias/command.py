"""The command `mammo-tf recipe mias`. Imports nothing heavy until it runs."""

import click

from mammo_tf.cli.options import UserPath

PARTS = ("classify", "detect", "combine")


@click.command(context_settings={"show_default": True})
@click.option(
    "--manual-dir", type=UserPath(), help="Folder with all-mias.tar.gz, or what is in it."
)
@click.option(
    "--data-dir", type=UserPath(), help="Folder of the built data set. [default: RUN_DIR/data]"
)
@click.option(
    "--run-dir",
    type=UserPath(),
    default="runs/mias-lesions",
    help="Folder of the results; the same command takes it up where it stopped.",
)
@click.option(
    "--part",
    "parts",
    multiple=True,
    default=PARTS,
    type=click.Choice(PARTS),
    help="classify: patches in three classes. detect: SSD. combine: SSD's proposals scored again "
    "by the classifier, which needs the other two. May be given more than once.",
)
@click.option(
    "--backbone",
    type=click.Choice(["light", "vgg16"]),
    help="SSD's base network: light trains on a CPU, vgg16 is the poster's and wants a GPU. "
    "[default: light]",
)
@click.option(
    "--weights",
    help="For vgg16: imagenet (downloaded by Keras), a Keras VGG16 .h5 file, or none.",
)
@click.option("--folds", type=int, help="Number of cross-validation folds. [default: 5]")
@click.option("--seed", type=int, help="The same seed gives the same table. [default: 1]")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change any setting, e.g. detect.training.epochs=20; --show-config lists them.",
)
@click.option("--show-config", is_flag=True, help="Print the settings as JSON and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def mias(
    manual_dir,
    data_dir,
    run_dir,
    parts,
    backbone,
    weights,
    folds,
    seed,
    overrides,
    show_config,
    as_json,
):
    """Classify and find lesions on mini-MIAS. (Jin & Zheng's poster)

    Trains a depthwise-separable network on patches (normal, benign, malignant) and SSD on whole
    films, both with no woman in two parts and, for comparison, as the poster probably split its
    data. Only the former is to be believed; the report shows both side by side. All of it takes
    an hour or more on two cores.

    \b
    From the distributed all-mias.tar.gz, on a CPU:
      mammo-tf recipe mias --manual-dir FOLDER
    The classifier alone:
      mammo-tf recipe mias --manual-dir FOLDER --part classify
    SSD300 on VGG-16 as in the poster, on a GPU:
      mammo-tf recipe mias --manual-dir FOLDER --backbone vgg16 --weights imagenet

    Results: summary.csv, summary.json, detections/, report.html and TensorBoard logs in the run
    folder; the detectors' weights in cells/, for `mammo-tf predict`. A run that was stopped goes
    on where it was when the same command is given again.
    """
    from mammo_tf.quiet import import_tensorflow

    import_tensorflow()  # the settings know the networks, which bring it in
    from mammo_tf.recipes.mias.settings import choose_config

    config = choose_config(
        backbone=backbone, weights=weights, num_folds=folds, seed=seed, overrides=overrides
    )
    if show_config:
        import json

        from mammo_tf.config import to_plain

        click.echo(json.dumps(to_plain(config), indent=2))
        return
    from mammo_tf.recipes.mias.run import run

    run(
        config,
        parts=tuple(part for part in PARTS if part in parts),
        manual_dir=manual_dir,
        data_dir=data_dir,
        run_dir=run_dir,
        as_json=as_json,
    )
