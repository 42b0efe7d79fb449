"""`mammo-tf codec transcode`: a folder of DICOM images in JPEG 2000."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from mammo_tf.cli.options import UserPath
from mammo_tf.errors import UserError

COLUMNS = ("file", "status", "bytes_before", "bytes_after", "cratio", "psnr_db", "reason")
REPORT = "transcode.csv"


@dataclass(frozen=True, kw_only=True)
class _Job:
    source: Path
    target: Path
    name: str  # below the folder, printable
    cratio: float
    allow_lossy: bool


@click.command(context_settings={"show_default": True})
@click.argument("folder", type=UserPath(exists=True, file_okay=False))
@click.option(
    "--cratio",
    type=click.FloatRange(1, 1_000_000),
    required=True,
    help="Compression ratio, counted against 16 bits a pixel (8 for 8-bit images) as everywhere "
    "here; 1 is lossless.",
)
@click.option("--out", type=UserPath(file_okay=False), required=True, help="Folder of the copies.")
@click.option(
    "--allow-lossy",
    is_flag=True,
    help="Also compress what was compressed with loss before. Its losses add up.",
)
@click.option("--workers", type=int, help="Images at a time.  [default: one per core]")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def transcode(folder, cratio, out, allow_lossy, workers, as_json):
    """Write the DICOM images of FOLDER in JPEG 2000 at one compression ratio.

    \b
    How far may it go? Ask the recipe first, on your data and your model:
      mammo-tf recipe compression --scorer model.onnx --dataset ncc --manual-dir FOLDER
    Then:
      mammo-tf codec transcode ARCHIVE --cratio 20 --out COPY

    Copies have the transfer syntax JPEG 2000 and say what the standard asks: lossy, ratio, method,
    derivation, a SOP Instance UID of their own and the reference to the source. Where nothing is
    lost, the copy is JPEG 2000 Lossless and stays the same instance. The folder's shape is kept,
    the header with all its patient data too; the source is not touched.

    Every file is in OUT/transcode.csv: done, kept from an earlier run, left out (no DICOM image)
    or refused, and why. A stopped run goes on with the same command. The exit code is 2 if a file
    was refused.
    """
    from mammo_tf.codecs import openjpeg

    openjpeg.configure()
    jobs = list(_jobs(Path(folder), Path(out), cratio, allow_lossy))
    if not jobs:
        raise UserError(f"There is no file in {folder}.")
    rows = _run(jobs, workers)
    _write_report(Path(out) / REPORT, rows)
    refused = [row for row in rows if row["status"] == "refused"]
    if as_json:
        import json

        click.echo(json.dumps({"report": str(Path(out) / REPORT), "files": rows}, indent=2))
    else:
        _print(rows, Path(out))
    if refused:
        raise UserError(
            f"{len(refused)} of {len(rows)} files were refused; {Path(out) / REPORT} says why. The "
            "others are done."
        )


def _jobs(folder: Path, out: Path, cratio: float, allow_lossy: bool) -> Iterator[_Job]:
    from mammo_tf.files import resolve_path

    source, target = resolve_path(folder), resolve_path(out)
    if target == source or target.is_relative_to(source) or source.is_relative_to(target):
        raise UserError("--out must be a folder beside FOLDER, neither in it nor around it.")
    for path in sorted(source.rglob("*")):
        if path.is_file():
            name = path.relative_to(source)
            shown = "".join(c if c.isprintable() else "?" for c in str(name))
            yield _Job(
                source=path,
                target=target / name,
                name=shown,
                cratio=cratio,
                allow_lossy=allow_lossy,
            )


def _run(jobs: list[_Job], workers: int | None) -> list[dict]:
    from mammo_tf import interrupt
    from mammo_tf.pipelines.threads import map_threaded
    from mammo_tf.progress import progress

    rows = []
    done = map_threaded(_transcode_one, jobs, workers=workers)
    for row in progress(done, description="Compressing", total=len(jobs), unit="file"):
        rows.append(row)
        interrupt.check()
    return rows


def _transcode_one(job: _Job) -> dict:
    """Does one file. Whatever is wrong with it, the others are done."""
    from mammo_tf.dicom.safety import safe_name

    row = dict.fromkeys(COLUMNS, "") | {"file": job.name}
    try:
        return row | _attempt(job)
    except UserError as error:
        reason = str(error)
    except OSError as error:
        reason = f"{safe_name(job.source)}: {error.strerror or 'cannot be read or written'}."
    except Exception as error:  # its text might quote the file
        reason = f"{safe_name(job.source)}: unexpected {type(error).__name__}; please report it."
    status = "left out" if "not a DICOM file" in reason else "refused"
    return row | {"status": status, "reason": " ".join(reason.split())}


def _attempt(job: _Job) -> dict:
    from mammo_tf.dicom import safety
    from mammo_tf.dicom.reader import DEFAULT_MAX_PIXELS
    from mammo_tf.dicom.transcode import transcode as code
    from mammo_tf.files import write_bytes

    content = safety.read_file(job.source, DEFAULT_MAX_PIXELS)
    before = {"bytes_before": len(content)}
    if job.source.name.upper() == "DICOMDIR":
        return before | {"status": "left out", "reason": "a directory of files, no image"}
    if _is_done(job, content):
        return before | {"status": "kept", "bytes_after": job.target.stat().st_size}
    found = code(content, safety.safe_name(job.source), job.cratio, allow_lossy=job.allow_lossy)
    write_bytes(job.target, found.content)
    changed = found.padding_changed
    return before | {
        "status": "done",
        "bytes_after": len(found.content),
        "cratio": round(found.cratio, 3),
        "psnr_db": round(found.psnr_db, 2),
        "reason": f"{changed} pixels of padding have another value now" if changed else "",
    }


def _is_done(job: _Job, content: bytes) -> bool:
    """Whether the target is this file's copy at this ratio; copies appear whole or not at all."""
    from pydicom import uid

    from mammo_tf.dicom.transcode import new_instance_uid, read_instance_uids

    if not job.target.exists():
        return False
    try:
        source, _ = read_instance_uids(content)
        found, syntax = read_instance_uids(job.target.read_bytes())
    except Exception:  # whatever it is, it is no copy of ours
        return False
    expected = {(new_instance_uid(source, job.cratio), uid.JPEG2000)}
    if job.cratio == 1:
        expected.add((source, uid.JPEG2000Lossless))
    return (found, syntax) in expected


def _write_report(path: Path, rows: list[dict]) -> None:
    import csv
    import io

    from mammo_tf.files import write_text

    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, stream.getvalue())


def _print(rows: list[dict], out: Path) -> None:
    counts = dict.fromkeys(("done", "kept", "left out", "refused"), 0)
    for row in rows:
        counts[row["status"]] += 1
        if row["status"] == "refused":
            click.echo(f"refused: {row['file']}: {row['reason']}")
    said = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    copied = [row for row in rows if row["bytes_after"]]
    before = sum(row["bytes_before"] for row in copied)
    after = sum(row["bytes_after"] for row in copied)
    click.echo(f"{len(rows)} files: {said}. {before:,} bytes became {after:,}.")
    click.echo(f"Copies and {REPORT}: {out}")
