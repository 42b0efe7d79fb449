"""`mammo-tf audit`: what leaks between the parts of a split."""

import contextlib
import json
import tempfile
from pathlib import Path

import click

from mammo_tf.cli.options import UserPath
from mammo_tf.errors import UserError
from mammo_tf.found import data_sets

SCHEMES = ("official", "images", "poster")


class _PartFile(click.ParamType):
    name = "PART=FILE"

    def convert(self, value, param, ctx):
        """Returns (part, path)."""
        if isinstance(value, tuple):
            return value
        part, equals, path = value.partition("=")
        if not (part and equals and path):
            self.fail(f"expected PART=FILE, such as train=train.csv. Received: {value!r}.")
        return part, UserPath().convert(path, param, ctx)


@click.command(context_settings={"show_default": True})
@click.argument("split", metavar="[SPLIT.csv]", required=False, type=UserPath(dir_okay=False))
@click.option(
    "--part",
    "part_files",
    type=_PartFile(),
    multiple=True,
    help="Instead of SPLIT.csv: the images of one part; may be repeated, for one part too.",
)
@click.option("--image-column", default="image", help="Column with the image's id or path.")
@click.option("--patient-column", default="patient", help="Column with the patient.")
@click.option("--part-column", default="part", help="Column with the part; not used with --part.")
@click.option(
    "--image-dir",
    type=UserPath(exists=True, file_okay=False),
    help="Folder of the image files (DICOM, JPEG, PNG, TIFF, PGM), which the image column names. "
    "Without it no pixels are compared.",
)
@click.option(
    "--dataset",
    type=click.Choice(sorted(data_sets())),
    help="Instead of tables: a data set of `mammo-tf data list`, divided as --scheme says. Pixels "
    "are compared.",
)
@click.option(
    "--scheme",
    type=click.Choice(SCHEMES),
    default="official",
    help="official: the data set's own split. images: 7:1:2 at random, whatever the patient. "
    "poster: turned copies of the images with lesions, divided at random, as in recipe mias.",
)
@click.option("--data-config", "variant", metavar="NAME", help="Which variant of the data set.")
@click.option("--manual-dir", type=UserPath(), help="Folder with the data set's raw files.")
@click.option(
    "--data-dir",
    type=UserPath(),
    help="Folder of built data sets; what is built is kept there.  [default: a temporary one]",
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=1, help="Of a random scheme.")
@click.option(
    "--measure",
    is_flag=True,
    help="With --dataset: say what the leak was worth, by training a small classifier on the split "
    "and by patient, scored on the same test images. Minutes.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1, 20),
    default=1,
    help="Trainings of each network of --measure; from 2 on the intervals hold the seeds too.",
)
@click.option("--workers", type=click.IntRange(1), help="Processes.  [default: one per core]")
@click.option("--csv", "csv_path", type=UserPath(dir_okay=False), help="Write the leaks there.")
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
def audit(
    split,
    part_files,
    image_column,
    patient_column,
    part_column,
    image_dir,
    dataset,
    scheme,
    variant,
    manual_dir,
    data_dir,
    seed,
    measure,
    repeats,
    workers,
    csv_path,
    as_json,
):
    """Find what leaks between the parts of a split.

    SPLIT.csv has a row for each image: image, patient, part. A leak is a patient, or an image, in
    two parts; with --image-dir also a copy in another part, resized or compressed again, and a
    turned or mirrored one.

    \b
    The exit code is 0 for a clean split, 1 for one that leaks, 2 for bad input.

    \b
    The four label files of CBIS-DDSM together, as published (31 patients leak):
      mammo-tf audit --image-column "image file path" --patient-column patient_id \\
        --part train=mass_case_description_train_set.csv \\
        --part train=calc_case_description_train_set.csv \\
        --part test=mass_case_description_test_set.csv \\
        --part test=calc_case_description_test_set.csv
    mini-MIAS divided by film, which tears pairs of breasts apart:
      mammo-tf audit --dataset mini_mias --manual-dir FOLDER --scheme images
    The poster's kind of split, and what it was worth:
      mammo-tf audit --dataset mini_mias --manual-dir FOLDER --scheme poster --measure
    """
    if [bool(split), bool(part_files), bool(dataset)].count(True) != 1:
        raise UserError(
            "Give one of SPLIT.csv, --part PART=FILE (at least twice) and --dataset NAME."
        )
    if measure and not dataset:
        raise UserError("--measure needs labels, so it goes with --dataset. Leave it out.")
    worth = None
    if dataset:
        if image_dir:
            raise UserError("--image-dir is for tables; --dataset brings its images.")
        with _open(dataset, variant, manual_dir, data_dir) as opened:
            found, worth = _audit_dataset(opened, scheme, seed, repeats if measure else 0)
    else:
        from mammo_tf.audit.split import Columns, read_parts, read_split

        columns = Columns(image=image_column, patient=patient_column, part=part_column)
        images = read_parts(part_files, columns) if part_files else read_split(split, columns)
        found = _audit_tables(images, image_dir, workers)
    if csv_path:
        from mammo_tf.files import write_text

        write_text(csv_path, found.to_csv())
    if as_json:
        more = {"measured": worth.describe()} if worth else {}
        click.echo(json.dumps(found.describe() | more, indent=2))
    else:
        _print(found)
        if worth:
            _print_worth(worth)
    if found.leaks:
        raise SystemExit(1)


def _audit_tables(images, image_dir, workers):
    if image_dir is None:
        from mammo_tf.audit.leaks import audit_split

        return audit_split(images)
    from mammo_tf.audit.pixels import read_fingerprints

    return _compare(images, read_fingerprints(images, image_dir, workers=workers))


@contextlib.contextmanager
def _open(dataset, variant, manual_dir, data_dir):
    from mammo_tf.quiet import import_tensorflow

    import_tensorflow()
    from mammo_tf.data_source import DataPaths, open_data

    with tempfile.TemporaryDirectory(prefix="mammo-tf-audit-") as folder:
        paths = DataPaths(manual_dir=manual_dir, data_dir=data_dir)
        yield open_data(dataset, paths, Path(folder), cratios=(1,), variant=variant)


def _audit_dataset(opened, scheme, seed, num_repeats):
    """What leaks and, unless `num_repeats` is 0, what that was worth; else None."""
    from mammo_tf.audit.dataset import split_of

    images, prints = split_of(opened, scheme, seed=seed)
    found = _compare(images, prints)
    if not num_repeats:
        return found, None
    from mammo_tf.audit.measure import measure_leak, task_of

    parts = {image.image: image.part for image in images}
    task, parts_of_examples = task_of(opened, scheme, parts, seed=seed)
    return found, measure_leak(task, parts_of_examples, seed=seed, num_repeats=num_repeats)


def _compare(images, prints):
    from mammo_tf.audit.copies import find_copies
    from mammo_tf.audit.leaks import audit_split

    blank = int((~prints.any(axis=(1, 2))).sum())
    return audit_split(images, find_copies(prints), num_blank=blank)


_MEANINGS = {
    "patient": "patients with images in two parts",
    "image": "images in two parts",
    "copy": "pairs of copies in two parts",
    "turned copy": "pairs of turned or mirrored copies in two parts",
}


def _print(found) -> None:
    parts = ", ".join(f"{name} {count:,}" for name, count in found.parts.items())
    click.echo(f"{sum(found.parts.values()):,} images of {found.num_patients:,} patients: {parts}")
    for kind, count in found.counts.items():
        known = found.pixels_compared or kind in ("patient", "image")
        click.echo(f"{count if known else '?':>6}  {_MEANINGS[kind]}")
    for note in found.notes:
        click.echo(f"Note: {note}")
    if not found.pixels_compared:
        click.echo("Note: no pixels were compared, so copies are not known. Give --image-dir.")
    click.echo("The split leaks." if found.leaks else "No leak was found.")


def _print_worth(worth) -> None:
    click.echo(f"AUROC of the task '{worth.task}' on {worth.num_test:,} test examples (95 %):")
    click.echo(f"  trained on the split    {worth.on_split}")
    click.echo(f"  trained by patient      {worth.by_patient}")
    click.echo(f"  what the leak is worth  {worth.difference}")
    if worth.num_repeats == 1:
        click.echo("  The intervals hold the patients, not the seeds of training: --repeats.")
