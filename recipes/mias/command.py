"""The command `mammo-tf recipe mias`. Imports nothing heavy until it runs."""

import click

from mammo_tf.cli.options import print_config, recipe_options

PARTS = ("classify", "detect", "combine")


@click.command(context_settings={"show_default": True})
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
    type=click.Choice(["light", "vgg16", "efficientnet_lite0"]),
    help="SSD's base network: light trains on a CPU, vgg16 is the poster's and wants a GPU, "
    "efficientnet_lite0 begins with ImageNet's weights from the extra 'efficientnet'. "
    "[default: light]",
)
@click.option(
    "--weights",
    help="For vgg16: imagenet (downloaded by Keras), a Keras VGG16 .h5 file, or none. For "
    "efficientnet_lite0: imagenet (of its extra), a .pth file, or none.",
)
@recipe_options("runs/mias-DATASET", default_dataset="mini_mias")
def mias(
    parts,
    backbone,
    weights,
    dataset,
    variant,
    phantom,
    manual_dir,
    data_dir,
    max_quarantine,
    run_dir,
    folds,
    seed,
    overrides,
    show_config,
    as_json,
):
    """Classify and find lesions. (Jin & Zheng's poster, on mini-MIAS)

    Trains a depthwise-separable network on patches (normal, benign, malignant) and SSD on whole
    images of any data set whose findings have a place, with no patient in two parts; on a data
    set without a split of its own also, for comparison, as the poster probably split its data.
    Only the former is to be believed; the report shows both side by side. On mini-MIAS all of it
    takes an hour or more on two cores.

    \b
    From the distributed all-mias.tar.gz, on a CPU:
      mammo-tf recipe mias --manual-dir FOLDER
    The classifier alone:
      mammo-tf recipe mias --manual-dir FOLDER --part classify
    SSD300 on VGG-16 as in the poster, on a GPU:
      mammo-tf recipe mias --manual-dir FOLDER --backbone vgg16 --weights imagenet
    On another data set, by its own split into training and test where it has one:
      mammo-tf recipe mias --dataset NAME --manual-dir FOLDER

    Results: summary.csv, summary.json, detections/, report.html and TensorBoard logs in the run
    folder; the detectors' weights in cells/, for `mammo-tf predict`. A run that was stopped goes
    on where it was when the same command is given again.
    """
    from mammo_tf.cli.settings_file import choose_settings
    from mammo_tf.recipes.mias.config import MiasConfig
    from mammo_tf.recipes.mias.settings import choose_config

    options = {
        "dataset": dataset,
        "variant": variant,
        "phantom": phantom,
        "backbone": backbone,
        "weights": weights,
        "folds": folds,
        "seed": seed,
        "overrides": overrides,
    }
    config = choose_settings(MiasConfig, choose_config, options, decided_by=("backbone", "weights"))
    if show_config:
        print_config(config)
        return
    from mammo_tf.quiet import import_tensorflow

    import_tensorflow()
    from mammo_tf.data_source import DataPaths
    from mammo_tf.recipes.mias.run import run

    run(
        config,
        parts=tuple(part for part in PARTS if part in parts),
        paths=DataPaths(manual_dir=manual_dir, data_dir=data_dir, max_quarantine=max_quarantine),
        run_dir=run_dir or f"runs/mias-{config.dataset}",
        as_json=as_json,
    )
