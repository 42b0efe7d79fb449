"""The command `mammo-tf recipe glam`. Imports nothing heavy until it runs."""

import click

from mammo_tf.cli.options import Cratios, UserPath, print_config, recipe_options


@click.command(context_settings={"show_default": True})
@click.option(
    "--preset",
    type=click.Choice(["demo", "cpu", "paper"]),
    help="demo: a small phantom, minutes. cpu: images of 512×320 pixels and a small local network, "
    "an hour or two on two cores. paper: 2944×1920 pixels, which wants a GPU. [default: demo "
    "without --dataset, else paper]",
)
@click.option(
    "--cratios",
    "--crs",
    "cratios",
    type=Cratios(),
    help="Compression ratios of the test images, e.g. 1,100,500; networks are trained at CR 1.",
)
@click.option(
    "--start",
    type=UserPath(exists=True, dir_okay=False),
    help="model.weights.h5 of a GLAM of the same size to begin with, from another run's cells/.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1, 100),
    default=1,
    help="Trainings of each network with random numbers of their own. With 3 or more the intervals "
    "hold what the seed changes too. A finished run can be given more.",
)
@recipe_options("runs/glam-DATASET", default_dataset="cdd_cesm")
def glam(
    preset,
    cratios,
    start,
    repeats,
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
    """Does GLAM outline lesions from image labels alone? (Liu et al. 2021)

    Trains GLAM on labels of images, benign and malignant, and measures its maps against the masks
    of test images: Dice, with a threshold chosen on validation images, the pointing game, AUROC.
    Beside it stand its global map alone, Grad-CAM of a plain classifier, and as a ceiling a U-Net
    that is given the masks.

    \b
    Try it on synthetic mammograms:
      mammo-tf recipe glam
    Digital mammograms with masks, on two cores:
      mammo-tf recipe glam --preset cpu --dataset cdd_cesm --manual-dir FOLDER
    CBIS-DDSM's masses, whose boxes stand for masks; then those weights on CDD-CESM:
      mammo-tf recipe glam --preset cpu --dataset cbis_ddsm --data-config mass_800 \\
        --manual-dir FOLDER --run-dir runs/glam-cbis
      mammo-tf recipe glam --preset cpu --dataset cdd_cesm --manual-dir FOLDER \\
        --start runs/glam-cbis/cells/glam-fold0/model.weights.h5
    Dice against compression:
      --cratios 1,15,100,500

    Results: report.html, summary.csv, summary.json, cases.csv (each test image), weights in cells/
    and TensorBoard logs in the run folder. A run that was stopped goes on where it was when the
    same command is given again.
    """
    from mammo_tf.cli.settings_file import choose_settings
    from mammo_tf.recipes.glam.config import GlamConfig
    from mammo_tf.recipes.glam.settings import choose_config

    options = {
        "preset": preset,
        "cratios": cratios,
        "start": start,
        "dataset": dataset,
        "variant": variant,
        "phantom": phantom,
        "folds": folds,
        "seed": seed,
        "overrides": overrides,
    }
    config = choose_settings(
        GlamConfig, choose_config, options, decided_by=("preset", "cratios", "start")
    )
    if show_config:
        print_config(config)
        return
    from mammo_tf.quiet import import_tensorflow

    import_tensorflow()
    from mammo_tf.data_source import DataPaths
    from mammo_tf.recipes.glam.run import run

    name = "phantom" if config.phantom and dataset is None else config.dataset
    run(
        config,
        repeats=repeats,
        paths=DataPaths(manual_dir=manual_dir, data_dir=data_dir, max_quarantine=max_quarantine),
        run_dir=run_dir or f"runs/glam-{name}",
        as_json=as_json,
    )
