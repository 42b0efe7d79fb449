"""The command `mammo-tf recipe compression`. Imports nothing heavy until it runs."""

import click

from mammo_tf.cli.options import Cratios, UserPath, print_config, recipe_options
from mammo_tf.found import models
from mammo_tf.pipelines.task_names import BINARY_TASKS
from mammo_tf.recipes.compression.experiments import EXPERIMENTS
from mammo_tf.scoring.config import INPUTS, UNITS

# Its own options that decide settings.
DECIDING = ("preset", "task", "cratios", "networks", "scorer", "scorer_input", "scorer_unit")
DECIDING += ("scorer_traceback", "detector")


@click.command(context_settings={"show_default": True})
@click.option(
    "--preset",
    type=click.Choice(["demo", "paper", "patches"]),
    help="demo: a small phantom, few CRs, two folds, minutes. paper: all CRs, five folds. patches: "
    "settings for patches of films. Without it: demo if neither data set nor task is given, "
    "patches for the tasks lesion and patch, else paper.",
)
@click.option(
    "--task",
    type=click.Choice(["auto", *BINARY_TASKS, "detection"]),
    help="pairs: malignant breast, from CC and MLO as in the paper. lesion: lesion patches against "
    "normal tissue at the same place. patch: malignant against benign findings. whole: malignant "
    "image. detection: lesions found by --detector. auto: the first that the data set has all for. "
    "[default: the data set's own]",
)
@click.option(
    "--experiment",
    "experiments",
    multiple=True,
    default=["single"],
    type=click.Choice(list(EXPERIMENTS)),
    help=" ".join(f"{name}: {experiment.text}." for name, experiment in EXPERIMENTS.items())
    + " May be given several times, or later for a finished run, which keeps what it has. Networks "
    "are trained once and shared; those of mixture see as many images as all its CRs have.",
)
@click.option(
    "--cratios", "--crs", "cratios", type=Cratios(), help="Compression ratios, e.g. 1,15,100."
)
@click.option(
    "--model",
    "networks",
    multiple=True,
    type=click.Choice(list(models())),
    help="The network; --set model.OPTION=VALUE changes it. Given several times, the tables have a "
    "row for each, as the paper's; --set NETWORK.OPTION=VALUE changes one.",
)
@click.option(
    "--scorer",
    metavar="FILE|MODULE:FUNCTION",
    help="Train nothing; test a model of your own at each CR: FILE.keras (loaded safely), "
    "FILE.onnx, or your own function, which is run: package.module:function. docs: Bring your own "
    "model; --set scorer.KEY=VALUE says more on how it is asked.",
)
@click.option(
    "--scorer-input",
    type=click.Choice(INPUTS),
    help="What the scorer is given: stored values; those as 0 to 1, or to 255; or minus their "
    "mean, by their standard deviation. [default: pixels for a function, standardised for a file]",
)
@click.option(
    "--scorer-unit",
    type=click.Choice(UNITS),
    help="What one score is of: an image; a breast (CC and MLO); a study (those of both breasts). "
    "[default: image]",
)
@click.option(
    "--scorer-traceback", is_flag=True, help="Show where your function failed, if it does."
)
@click.option(
    "--detector",
    metavar="FOLDER",
    type=UserPath(exists=True),
    help="Train nothing; test a trained detector at each CR (FROC, average precision): a run "
    "folder of recipe mias, each of whose detectors sees its own test images, or one detector's.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1, 100),
    default=1,
    help="Trainings of each network with random numbers of their own. With 3 or more the intervals "
    "hold what the seed changes too; with 1 they cannot. A finished run can be given more.",
)
@click.option(
    "--saliency",
    is_flag=True,
    help="Also see where the first network looks, trained at one CR (Fig. 3): Grad-CAM, Grad-CAM++ "
    "and Score-CAM at CRs near 1, 100, 5000 and 11000. Needs the extra 'saliency'.",
)
@recipe_options("runs/compression-DATASET", default_dataset="ncc")
def compression(
    preset,
    task,
    experiments,
    cratios,
    networks,
    scorer,
    scorer_input,
    scorer_unit,
    scorer_traceback,
    detector,
    repeats,
    saliency,
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
    """How far can JPEG 2000 go before a classifier suffers? (Jo et al. 2021)

    Trains a network, the paper's of three convolutions or another, at each compression ratio and
    says, with 95 % confidence intervals, where AUROC and AUPRC fall.

    \b
    Try it on synthetic mammograms:
      mammo-tf recipe compression --preset demo
    For numbers to cite, with the chance of training in the intervals:
      mammo-tf recipe compression --dataset ... --repeats 3
    The paper's Table 1, both networks:
      mammo-tf recipe compression ... --model cnn3 --model resnet18
    On your own studies:
      mammo-tf recipe compression --dataset ncc --manual-dir FOLDER --run-dir runs/mine
    On mini-MIAS, from the distributed all-mias.tar.gz:
      mammo-tf recipe compression --dataset mini_mias --manual-dir FOLDER
    A model of your own, trained elsewhere, at every compression ratio:
      mammo-tf recipe compression --scorer model.onnx --dataset ncc --manual-dir FOLDER
    A detector that recipe mias trained, at every compression ratio:
      mammo-tf recipe compression --detector runs/mias --dataset mini_mias --manual-dir FOLDER
    On the archive's CBIS-DDSM masses, malignant against benign, its own split:
      mammo-tf recipe compression --dataset cbis_ddsm --task patch --manual-dir FOLDER

    Results: report.html, summary.csv, results.csv, calibration.csv, subgroups.csv, predictions/ and
    TensorBoard logs in the run folder. A run that was stopped goes on where it was when the same
    command is given again.
    """
    from mammo_tf.cli.settings_file import choose_settings
    from mammo_tf.recipes.compression.config import CompressionConfig
    from mammo_tf.recipes.compression.settings import check_detector, choose_config
    from mammo_tf.recipes.compression.settings_scorer import choose_scorer

    check_detector(
        detector,
        scorer=scorer,
        networks=networks,
        experiments=experiments,
        repeats=repeats,
        saliency=saliency,
        folds=folds,
        overrides=overrides,
    )
    options = {
        "preset": preset,
        "dataset": dataset,
        "variant": variant,
        "phantom": phantom,
        "task": task,
        "cratios": cratios,
        "models": networks,
        "folds": folds,
        "seed": seed,
        "overrides": overrides,
        "detector": detector,
        "scorer": choose_scorer(
            scorer,
            scorer_input=scorer_input,
            scorer_unit=scorer_unit,
            scorer_traceback=scorer_traceback,
            task=task,
            model=networks[0] if networks else None,
            experiments=experiments,
            repeats=repeats,
            folds=folds,
            overrides=overrides,
        ),
    }
    config = choose_settings(CompressionConfig, choose_config, options, decided_by=DECIDING)
    if show_config:
        print_config(config)
        return
    from mammo_tf.quiet import import_tensorflow

    import_tensorflow()
    from mammo_tf.data_source import DataPaths
    from mammo_tf.recipes.compression.run import run

    name = "phantom" if config.phantom and dataset is None else config.dataset
    run(
        config,
        experiments=experiments,
        repeats=repeats,
        saliency=saliency,
        paths=DataPaths(manual_dir=manual_dir, data_dir=data_dir, max_quarantine=max_quarantine),
        run_dir=run_dir or f"runs/compression-{name}",
        as_json=as_json,
        show_traceback=scorer_traceback,
    )
