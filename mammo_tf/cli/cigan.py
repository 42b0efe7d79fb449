"""`mammo-tf cigan`: trains a network that paints lesions, and has it paint them."""

import contextlib

import click

from mammo_tf.cli.options import UserPath, print_config, recipe_options


@click.group()
def cigan():
    """Synthetic lesions: train ciGAN on a data set's patches, and write what it paints."""


@cigan.command(context_settings={"show_default": True})
@recipe_options("runs/cigan-DATASET", default_dataset="cbis_ddsm")
def train(
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
    """Train ciGAN on patches with a lesion. (Peterka et al. 2020)

    Cuts 256×256 patches from any data set whose findings have a place, divides them by patient, and
    trains generator and discriminator on the training part of each fold: 300 passes with the
    perceptual loss, then up to 2000 in turns, which wants a GPU. Prints how many patches of each
    class there are. TensorBoard logs are in gan/foldN/tensorboard of the run folder. A run that was
    stopped goes on where it was when the same command is given again.

    \b
    The paper's settings (VGG-19's weights are downloaded by Keras):
      mammo-tf cigan train --manual-dir FOLDER
    On a CPU, small and short, with a VGG-16 in ONNX:
      mammo-tf cigan train --manual-dir FOLDER --data-config mass_800 \\
        --set patches.patch_size=64 --set patches.image_scale=0.5 \\
        --set gan.pretrain_epochs=10 --set gan.adversarial_epochs=20 \\
        --set perceptual.backbone=vgg16 --set perceptual.weights=FILE.onnx
    """
    from mammo_tf.training.cigan_config import CiganConfig

    config = CiganConfig().with_options(
        dataset=dataset, variant=variant, phantom=phantom, folds=folds, seed=seed,
        overrides=overrides,
    )  # fmt: skip
    if show_config:
        print_config(config)
        return
    import json

    from mammo_tf.quiet import import_tensorflow

    import_tensorflow()
    from mammo_tf.cli.recipe_run import PHANTOM_NOTE, check_data, open_run
    from mammo_tf.data_source import DataPaths
    from mammo_tf.files import write_json
    from mammo_tf.models.cigan import perceptual_network
    from mammo_tf.training.cigan_run import count_classes, cut_patches, train_fold

    run_dir = run_dir or f"runs/cigan-{config.dataset}"
    paths = DataPaths(manual_dir=manual_dir, data_dir=data_dir, max_quarantine=max_quarantine)
    # Data and weights that cannot be had are told of now.
    check_data(config, run_dir, paths)
    perceptual_network(config.perceptual, config.patches.patch_size)
    with open_run("cigan", config, run_dir, paths) as (folder, data):
        task, divided = cut_patches(config, data)
        rows = []
        for fold in divided:
            history = train_fold(config, task, fold, folder)
            last = {name: round(value, 4) for name, value in (history or [{}])[-1].items()}
            rows.append({"fold": fold.index, "patches": count_classes(task, fold), "last": last})
        summary = {"is_phantom": data.catalog.is_phantom, "notes": list(task.notes), "folds": rows}
        write_json(folder / "summary.json", summary)
    if as_json:
        click.echo(json.dumps(summary))
        return
    if data.catalog.is_phantom:
        click.echo(PHANTOM_NOTE)
    for note in task.notes:
        click.echo(note)
    for row in rows:
        for part, counts in row["patches"].items():
            text = ", ".join(f"{number} {name}" for name, number in counts.items())
            click.echo(f"fold {row['fold']}  {part:<11} {text}")
    click.echo("In the paper: 1743 normal, 2198 benign and 1525 malignant patches in all.")


@cigan.command(context_settings={"show_default": True})
@click.argument("run_dir", type=UserPath(exists=True, file_okay=False))
@click.option("--count", type=click.IntRange(1, 1_000_000), required=True, help="How many patches.")
@click.option(
    "--class",
    "label",
    type=click.Choice(["benign", "malignant"]),
    default="malignant",
    help="Which lesions; benign is the network's non-malignant.",
)
@click.option("--out", type=UserPath(), required=True, help="A new folder for the data set.")
@click.option("--fold", type=click.IntRange(0), default=0, help="Whose network and patients.")
@click.option("--seed", type=click.IntRange(0), default=1, help="Of lesions, places and noise.")
@click.option("--data-dir", type=UserPath(), help="The built data set. [default: RUN_DIR/data]")
def synthesize(run_dir, count, label, out, fold, seed, data_dir):
    """Write patches with synthetic lesions as a TFDS data set, for training alone.

    RUN_DIR is the folder of `mammo-tf cigan train` or of `mammo-tf recipe cigan`. The network of a
    fold paints lesions on normal patches of that fold's training part. The data set says that each
    image is synthetic, and whom the network learned from, so that a run which tests one of them
    refuses it.

    \b
    Mix it into the training of any recipe's patches:
      mammo-tf cigan synthesize runs/cigan-cbis_ddsm --count 500 --class malignant --out synthetic
      mammo-tf recipe compression --task patch … --set training.augment.synthetic=synthetic \\
        --set training.augment.synthetic_share=0.3
    """
    from mammo_tf.quiet import import_tensorflow

    import_tensorflow()
    from mammo_tf.data_source import DataPaths
    from mammo_tf.pipelines.synthesis import synthesize as paint
    from mammo_tf.pipelines.synthetic_set import check_new, write_synthetic
    from mammo_tf.training.cigan_run import cut_patches, load_generator

    known = _read_run(run_dir)
    check_new(out)
    generator = load_generator(run_dir, fold)
    with _reopen(run_dir, known, DataPaths(data_dir=data_dir)) as (config, data):
        task, folds = cut_patches(config, data)
        patches = paint(
            generator,
            task,
            folds[fold].train,
            count=count,
            label=label,
            seed=seed,
            zoom_range=config.patches.zoom_range,
        )
    click.echo(write_synthetic(patches, out))


def _read_run(run_dir) -> dict:
    """Returns the config.json of a run that trained ciGAN.

    Raises:
        UserError: If the folder has none.
    """
    from mammo_tf.errors import UserError
    from mammo_tf.run_folder import read_config

    known = read_config(run_dir)
    if known is None or known["recipe"] not in ("cigan", "recipe cigan"):
        raise UserError(
            f"{run_dir} is no run of `mammo-tf cigan train` or `mammo-tf recipe cigan`."
        )
    return known


@contextlib.contextmanager
def _reopen(run_dir, known: dict, paths):
    """Yields the configuration of a run's ciGAN, and the data set that it was trained on."""
    from mammo_tf.data_source import open_data
    from mammo_tf.run_folder import add_to_config, open_run_folder
    from mammo_tf.training.cigan_config import config_from_plain

    plain = known["configuration"]
    config = config_from_plain(plain)
    with open_run_folder(run_dir, recipe=known["recipe"], configuration=plain) as folder:
        data = open_data(
            config.dataset,
            paths,
            folder,
            cratios=(1,),
            variant=config.variant,
            phantom=config.phantom,
        )
        add_to_config(folder, dataset=data.describe())
        yield config, data
