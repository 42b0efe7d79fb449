"""The command `mammo-tf recipe cigan`. Imports nothing heavy until it runs."""

import click

from mammo_tf.cli.options import print_config, recipe_options


@click.command(context_settings={"show_default": True})
@click.option(
    "--preset",
    type=click.Choice(["demo", "cpu", "paper"]),
    help="demo: a small phantom, minutes; its networks begin with random weights. cpu: patches of "
    "64 pixels, an hour or two on two cores. paper: 256 pixels and the paper's schedule, which "
    "wants a GPU. [default: demo without --dataset, else paper]",
)
@click.option(
    "--weights",
    metavar="FILE|imagenet",
    help="ResNet-50's weights for the pretrained rows; imagenet is downloaded. Without it they are "
    "EfficientNet-Lite0 with ImageNet's weights.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1, 100),
    help="Trainings of each classifier with random numbers of their own; a finished run can be "
    "given more. [default: 2 for demo, else 5]",
)
@recipe_options("runs/cigan-recipe-DATASET", default_dataset="cbis_ddsm")
def cigan(
    preset,
    weights,
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
    """Do ciGAN's lesions help a classifier? (Peterka et al. 2020)

    Cuts patches, divides them by patient, trains ciGAN on the training part and has it paint
    lesions; then trains the classifiers of the paper's Table 1, malignant against benign, with the
    painted patches and without, and with as many patches from pasted real lesions and from
    repetition. Says with 95 % intervals over patients and trainings whether ciGAN helped.

    \b
    Try it on synthetic mammograms:
      mammo-tf recipe cigan
    CBIS-DDSM masses on two cores, with a VGG-16 in ONNX:
      mammo-tf recipe cigan --preset cpu --dataset cbis_ddsm --manual-dir FOLDER \\
        --set perceptual.backbone=vgg16 --set perceptual.weights=FILE.onnx
    The paper's size and schedule on a GPU, ResNet-50:
      mammo-tf recipe cigan --dataset cbis_ddsm --manual-dir FOLDER --weights imagenet
    The discriminator told the class, as in the paper; a boundary twice as wide:
      --set gan.class_map_joined=true --set gan.boundary_sigma_px=20

    Results: report.html, summary.csv, summary.json, predictions in cells/ and TensorBoard logs in
    the run folder; the painted patches in synthetic/, for any recipe's training.augment.synthetic.
    A run that was stopped goes on where it was when the same command is given again.
    """
    from mammo_tf.cli.settings_file import choose_settings
    from mammo_tf.recipes.cigan.config import CiganRecipeConfig
    from mammo_tf.recipes.cigan.settings import choose_config, choose_repeats

    options = {
        "preset": preset,
        "weights": weights,
        "dataset": dataset,
        "variant": variant,
        "phantom": phantom,
        "folds": folds,
        "seed": seed,
        "overrides": overrides,
    }
    config = choose_settings(
        CiganRecipeConfig, choose_config, options, decided_by=("preset", "weights")
    )
    repeats = repeats or choose_repeats(config)
    if show_config:
        print_config(config)
        return
    from mammo_tf.quiet import import_tensorflow

    import_tensorflow()
    from mammo_tf.data_source import DataPaths
    from mammo_tf.recipes.cigan.run import run

    name = "phantom" if config.phantom and dataset is None else config.dataset
    run(
        config,
        repeats=repeats,
        paths=DataPaths(manual_dir=manual_dir, data_dir=data_dir, max_quarantine=max_quarantine),
        run_dir=run_dir or f"runs/cigan-recipe-{name}",
        as_json=as_json,
    )
