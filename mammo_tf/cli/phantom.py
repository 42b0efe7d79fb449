"""`mammo-tf phantom`: synthetic mammograms."""

import click

from mammo_tf.cli.options import UserPath
from mammo_tf.errors import UserError


@click.group()
def phantom():
    """Synthetic mammograms to try everything on. They are no patients and prove nothing."""


@phantom.command()
@click.argument("out", type=UserPath(file_okay=False))
@click.option("--studies", default=40, show_default=True, help="Four-view studies to write.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same bytes.")
@click.option(
    "--scale",
    default=1.0,
    show_default=True,
    help="1 for 2294×1914 pixels of 0.1 mm; 0.125 to 1.75.",
)
@click.option("--malignant", default=0.4, show_default=True, help="Share of women with a cancer.")
@click.option(
    "--benign", default=0.3, show_default=True, help="Share with a benign mass and no cancer."
)
@click.option("--workers", type=int, default=None, help="Processes.  [default: one per core]")
def ncc(out, studies, seed, scale, malignant, benign, workers):
    """Write a screening set to OUT: DICOM studies, studies.csv, masks.

    OUT is a new folder, or one where the same command was interrupted: it goes on where it
    stopped. Prints the path of studies.csv.
    """
    from pathlib import Path

    from mammo_tf.phantom import is_complete, write_ncc

    if workers is not None and workers < 1:
        raise UserError(f"The number of workers must be at least 1. Received: {workers}.")
    was_there = Path(out).is_dir() and is_complete(out)
    table = write_ncc(
        out,
        num_studies=studies,
        seed=seed,
        scale=scale,
        workers=workers,
        malignant_fraction=malignant,
        benign_fraction=benign,
    )
    if was_there:
        click.echo(f"{out} already holds this phantom, complete: used as it is.", err=True)
    click.echo(str(table))


@phantom.command("cbis_ddsm")
@click.argument("out", type=UserPath(file_okay=False))
@click.option(
    "--layout",
    type=click.Choice(("uid", "nbia", "idc")),
    default="uid",
    show_default=True,
    help="Folders and file names as one of the archive's downloaders makes them.",
)
@click.option("--patients", default=16, show_default=True, help="At least 12.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same bytes.")
@click.option(
    "--scale",
    default=0.25,
    show_default=True,
    help="1 for 2294×1914 pixels of 0.1 mm, 1.75 for about a film's; from 0.125.",
)
@click.option(
    "--damaged/--whole",
    default=True,
    show_default=True,
    help="Leave out an image and a mask, and cut off the file of another mask.",
)
@click.option("--workers", type=int, default=None, help="Processes.  [default: one per core]")
def cbis_ddsm(out, layout, patients, seed, scale, damaged, workers):
    """Write films in CBIS-DDSM's form to OUT: the four label files and a DICOM tree.

    With every oddity of the archive: crop and mask the wrong way round or in series of their own,
    a mask of another size, several abnormalities in a film. Prints OUT.
    """
    from mammo_tf.phantom.cbis_ddsm import write_cbis_ddsm

    if workers is not None and workers < 1:
        raise UserError(f"The number of workers must be at least 1. Received: {workers}.")
    folder = write_cbis_ddsm(
        out,
        layout=layout,
        num_patients=patients,
        seed=seed,
        scale=scale,
        damaged=damaged,
        workers=workers,
    )
    click.echo(str(folder))
