"""`mammo-tf data`: build the TFDS data sets, list what is built."""

import json
import os
from pathlib import Path

import click

from mammo_tf.cli.options import Cratios, UserPath
from mammo_tf.codecs.cratios import join_cratios
from mammo_tf.errors import UserError
from mammo_tf.found import data_sets, downloads, exports

DATA_SETS = data_sets()


@click.group()
def data():
    """Build the TFDS data sets from raw files."""


@data.command()
@click.argument("name", metavar="NAME", type=click.Choice(sorted(DATA_SETS)))
@click.option("--manual-dir", type=UserPath(), help="Folder with the raw files.")
@click.option(
    "--data-dir", type=UserPath(), help="Folder of data sets.  [default: ~/tensorflow_datasets]"
)
@click.option(
    "--data-config", "variant", metavar="NAME", help="Which variant.  [default: the first]"
)
@click.option(
    "--cratios",
    type=Cratios(),
    help="Compression ratios to keep, e.g. 1,100,1000 (1 is lossless).  [default: the data set's]",
)
@click.option("--plain", is_flag=True, help="Keep one lossless PNG per image and no ratios.")
@click.option(
    "--max-quarantine",
    default=0.01,
    show_default=True,
    help="Stop when a larger share of the studies cannot be used.",
)
@click.option("--strict", is_flag=True, help="Stop at the first study that cannot be used.")
@click.option("--workers", type=int, default=None, help="Processes.  [default: one per core]")
@click.option(
    "--follow-links",
    is_flag=True,
    help="Follow symbolic links out of --manual-dir, e.g. to a mounted archive.",
)
@click.option(
    "--join-ids",
    is_flag=True,
    help='Patient ids that differ only in leading zeros, ".0" or case are one patient.',
)
@click.option(
    "--allow-burned-in",
    is_flag=True,
    help="Take images that say that text is burned into their pixels, maybe a name.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def build(
    name,
    manual_dir,
    data_dir,
    variant,
    cratios,
    plain,
    max_quarantine,
    strict,
    workers,
    follow_links,
    join_ids,
    allow_burned_in,
    as_json,
):
    """Build data set NAME, one of `mammo-tf data list`, from the raw files in --manual-dir.

    A data set that is there already is left as it is. What cannot be used is listed in
    quarantine.csv beside the data set, by its row in the table.
    """
    from mammo_tf.quiet import import_tensorflow

    import_tensorflow()
    from mammo_tf.datasets.build import build_dataset

    builder = build_dataset(
        name,
        manual_dir=manual_dir,
        data_dir=data_dir,
        variant=variant,
        cratios=cratios,
        plain=plain,
        max_quarantine=max_quarantine,
        strict=strict,
        workers=workers,
        follow_links=follow_links,
        join_ids=join_ids,
        allow_burned_in=allow_burned_in,
    )
    result = _describe(Path(builder.data_dir)) | {"was_there": builder.was_there}
    _print([result], as_json=as_json, first_only=True)


@data.command()
@click.argument("name", metavar="NAME", type=click.Choice(downloads()))
@click.option("--out", type=UserPath(file_okay=False), required=True, help="Folder to fill.")
@click.option("--only", type=click.Choice(("mass", "calc")), help="Only one type of abnormality.")
@click.option("--split", type=click.Choice(("train", "test")), help="Only one published split.")
@click.option("--patient", "patients", multiple=True, metavar="P_00001", help="May be repeated.")
@click.option("--dry-run", is_flag=True, help="Print numbers and bytes; fetch nothing.")
@click.option("--workers", default=4, show_default=True, help="Series fetched at the same time.")
@click.option("--endpoint", help="Address of a mirror; {bucket} stands for the bucket.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
def fetch(name, out, only, split, patients, dry_run, workers, endpoint, as_json):
    """Download the raw files of data set NAME from the public archive into --out.

    What is there already is not fetched again; a download that was stopped goes on where it was.
    Every file's size is checked, and that it is of its series. CBIS-DDSM as a whole has 163 GB.
    """
    import importlib

    module = importlib.import_module(f"mammo_tf.fetch.{name}")
    plan = module.plan_fetch(out, only=only, split=split, patients=patients)
    if not dry_run:
        module.fetch(plan, workers=workers, **({"endpoint": endpoint} if endpoint else {}))
    numbers = plan.describe() | {"folder": str(out), "dry_run": dry_run}
    if as_json:
        click.echo(json.dumps(numbers, indent=2))
    else:
        click.echo(_describe_fetch(numbers))
    click.echo(module.LABEL_FILES, err=True)


def _describe_fetch(numbers: dict) -> str:
    what = "to fetch" if numbers["dry_run"] else "fetched"
    lines = [
        f"{title:<10} {numbers[f'{front}series']:,} series, {numbers[f'{front}files']:,} files, "
        f"{numbers[f'{front}bytes'] / 1e9:.2f} GB ({numbers[f'{front}bytes']:,} bytes)"
        for title, front in (("chosen", ""), (what, "missing_"))
    ]
    return "\n".join([*lines, f"{'folder':<10} {numbers['folder']}"])


@data.command()
@click.argument("name", metavar="NAME", type=click.Choice(exports()))
@click.option("--out", type=UserPath(file_okay=False), required=True, help="A new folder.")
@click.option(
    "--data-dir", type=UserPath(), help="Folder of data sets.  [default: ~/tensorflow_datasets]"
)
@click.option("--size", default=800, show_default=True, help="Height and width in pixels.")
@click.option("--plain", is_flag=True, help="From the configuration that holds PNG.")
@click.option("--cratios", type=Cratios(), help="From the configuration with these ratios.")
def export(name, out, data_dir, size, plain, cratios):
    """Write the built data set NAME as small JPEG files with a table of boxes.

    Of cbis_ddsm: the masses as squares with boxes.csv, which its variant mass_800 reads. The images
    are stretched and compressed: no originals any more.
    """
    import importlib

    from mammo_tf.quiet import import_tensorflow

    import_tensorflow()
    from mammo_tf.datasets.build import build_dataset

    module = importlib.import_module(f"mammo_tf.datasets.{name}.export")
    builder = build_dataset(
        name, data_dir=data_dir, variant=module.VARIANT, plain=plain, cratios=cratios
    )
    numbers = module.export_squares(builder, out, size=size)
    click.echo(
        f"{numbers['images']} images with {numbers['boxes']} boxes in {out}; "
        f"{numbers['findings_without_box']} findings have no mask and so no box."
    )


@data.command("list")
@click.option(
    "--data-dir", type=UserPath(), help="Folder of data sets.  [default: ~/tensorflow_datasets]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def list_data_sets(data_dir, as_json):
    """List the data sets, and which of them are built in --data-dir."""
    root = Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    built = [
        _describe(path.parent)
        for name in sorted(DATA_SETS)
        for path in sorted(root.glob(f"{name}/*/[0-9]*/dataset_info.json"))
    ]
    if not as_json:
        for name, text in sorted(DATA_SETS.items()):
            click.echo(f"{name:<10} {text}")
        click.echo(f"\nBuilt in {root}: {'' if built else 'none'}".rstrip())
    _print(built, as_json=as_json)


def _describe(folder: Path) -> dict:
    """What TFDS wrote about a built data set; needs no TensorFlow."""
    try:
        info = json.loads((folder / "dataset_info.json").read_text(encoding="utf-8"))
        metadata_path = folder / "metadata.json"
        metadata = json.loads(metadata_path.read_text("utf-8")) if metadata_path.exists() else {}
        splits = {
            split["name"]: sum(int(length) for length in split.get("shardLengths", []))
            for split in info.get("splits", [])
        }
    except (ValueError, KeyError, AttributeError, TypeError):
        raise UserError(
            f"{folder} holds no readable data set. Delete it and build again."
        ) from None
    return {
        "name": "/".join(folder.parts[-3:]),
        "folder": str(folder),
        "splits": splits,
        "cratios": metadata.get("cratios", []),
        "is_phantom": bool(metadata.get("is_phantom", False)),
        "num_quarantined": metadata.get("num_quarantined", 0),
        "num_noted": metadata.get("num_noted", 0),
    }


def _print(results: list[dict], *, as_json: bool, first_only: bool = False) -> None:
    if as_json:
        click.echo(json.dumps(results[0] if first_only else results, indent=2))
        return
    for result in results:
        state = " (was there already; nothing was changed)" if result.get("was_there") else ""
        click.echo(f"{result['name']}{' (phantom)' if result['is_phantom'] else ''}{state}")
        click.echo("  splits       " + ", ".join(f"{k} {n}" for k, n in result["splits"].items()))
        ratios = join_cratios(result["cratios"])
        click.echo(f"  CR           {ratios or 'none: plain images'}")
        click.echo(f"  quarantined  {result['num_quarantined']} (quarantine.csv)")
        if result["num_noted"]:
            click.echo(f"  noted        {result['num_noted']} (there, too: doubtful or missing)")
        click.echo(f"  folder       {result['folder']}")
