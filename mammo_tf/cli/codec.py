"""`mammo-tf codec`: what each JPEG 2000 compression ratio costs."""

import click

from mammo_tf.cli.options import Cratios, UserPath
from mammo_tf.cli.transcode import transcode
from mammo_tf.errors import UserError

_PROGRESS_PIXELS = 2_000_000  # below that all is done within about two seconds


@click.group()
def codec():
    """JPEG 2000: what each compression ratio costs, and an archive at one of them."""


codec.add_command(transcode)


@codec.command()
@click.argument("image", type=UserPath(exists=True, dir_okay=False))
@click.option(
    "--cratios",
    type=Cratios(),
    help="Compression ratios, 1 = lossless.  [default: the paper's, 1 to 11000]",
)
@click.option(
    "--method",
    type=click.Choice(["layered", "separate"]),
    default="layered",
    show_default=True,
    help="layered: one codestream for all; separate: one encode for each, as in the paper.",
)
@click.option(
    "--max-value",
    default="container",
    show_default=True,
    metavar="container|stored|NUMBER",
    help="Peak of the PSNR. container: 65535 for 16-bit files (the paper's Eq. 1, also for 12 "
    "bits in 16), 255 for 8-bit ones; stored: what the file's own bits allow, e.g. 4095.",
)
@click.option(
    "--tolerance", default=0.05, show_default=True, help="How far off a layer may be (0.05 = 5 %)."
)
@click.option("--out", type=UserPath(file_okay=False), help="Also write one .j2k per CR here.")
@click.option(
    "--ssim", is_flag=True, help="Also measure structural similarity, 1 for identical images."
)
@click.option("--threads", type=int, help="Threads for OpenJPEG.  [default: one per core]")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
def measure(image, cratios, method, max_value, tolerance, out, ssim, threads, as_json):
    """Compress IMAGE (DICOM, PNG, TIFF or PGM; grey) at each ratio and measure it.

    Prints for each compression ratio (CR) asked for: the CR achieved, counted against the bits
    of the container; the bytes of a file with that CR alone; the PSNR in dB, 100 for lossless,
    and the root mean square error (RMSE) in grey levels, both of the whole image and of the
    breast alone, without air and padding; and whether it is a layer of the common codestream or
    had to be encoded by itself.
    """
    from pathlib import Path

    from mammo_tf.breast import breast_mask
    from mammo_tf.codecs import openjpeg
    from mammo_tf.codecs.images import read_grey_image
    from mammo_tf.codecs.jpeg2000 import PAPER_CRATIOS
    from mammo_tf.parallel import available_cpus
    from mammo_tf.time_limit import time_limit

    cratios = PAPER_CRATIOS if cratios is None else cratios
    threads = available_cpus() if threads is None else threads
    if threads < 1:
        raise UserError(f"--threads must be at least 1. Received: {threads}.")
    library = openjpeg.configure()
    with time_limit():
        grey = read_grey_image(image)
    peak = _peak(max_value, grey)
    if out is not None:
        Path(out).mkdir(parents=True, exist_ok=True)
    options = {"method": method, "tolerance": tolerance, "threads": threads}
    prefix = Path(out, Path(image).stem) if out is not None else None
    breast = breast_mask(grey.pixels, grey.padding)
    if ssim:
        from mammo_tf.quiet import import_tensorflow

        import_tensorflow()
    rows, seconds = _measure(grey.pixels, breast, cratios, options, peak, prefix, ssim)
    summary = {
        "height": grey.pixels.shape[0],
        "width": grey.pixels.shape[1],
        "dtype": grey.pixels.dtype.name,
        "num_bytes": grey.pixels.nbytes,
        "breast_pixels": int(breast.sum()),
        "max_value": peak,
        "method": method,
        "openjpeg": {"version": library.version, "source": library.source},
        "encode_seconds": round(seconds, 2),
    }
    _print(summary, rows, tolerance, as_json)


def _peak(text: str, grey) -> float:
    if text == "container":
        return (1 << 8 * grey.pixels.dtype.itemsize) - 1
    if text == "stored":
        return grey.max_stored
    try:
        value = float(text)
        if 0 < value < float("inf"):
            return int(value) if value.is_integer() else value
    except ValueError:
        pass
    raise UserError(
        f"--max-value must be 'container', 'stored' or a positive number. Received: {text!r}."
    )


def _measure(pixels, breast, cratios, options, peak, prefix, ssim) -> tuple[list[dict], float]:
    """One row for each CR, and the seconds spent encoding.

    `prefix` is None or what the paths of the .j2k files begin with.
    """
    import contextlib
    import dataclasses
    import time

    from mammo_tf import files
    from mammo_tf.codecs.jpeg2000 import encode_ladder
    from mammo_tf.codecs.measure import measure_one
    from mammo_tf.progress import progress

    jobs = [cratios] if options["method"] == "layered" else [(cratio,) for cratio in cratios]
    rows, seconds = [], 0.0
    with contextlib.ExitStack() as stack:
        bar = None
        if pixels.size >= _PROGRESS_PIXELS:
            total = len(jobs) + len(cratios)
            bar = stack.enter_context(progress(description="measuring", total=total, unit="step"))
        for job in jobs:
            started = time.monotonic()
            ladder = encode_ladder(pixels, job, **options)
            seconds += time.monotonic() - started
            if bar is not None:
                bar.update()
            for cratio in job:
                row = measure_one(
                    pixels,
                    ladder,
                    cratio,
                    peak,
                    breast=breast,
                    ssim=ssim,
                    threads=options["threads"],
                )
                rows.append(dataclasses.asdict(row))
                if prefix is not None:
                    target = prefix.with_name(f"{prefix.name}_cr{cratio:g}.j2k")
                    files.write_bytes(target, ladder.codestream(cratio))
                    rows[-1]["file"] = str(target)
                if bar is not None:
                    bar.update()
    return rows, seconds


def _print(summary: dict, rows: list[dict], tolerance: float, as_json: bool) -> None:
    if as_json:
        import json

        click.echo(json.dumps({**summary, "rows": rows}, indent=2))
        return
    click.echo(
        f"{summary['height']}×{summary['width']} {summary['dtype']}, {summary['num_bytes']:,} "
        f"bytes; PSNR against {summary['max_value']:g}; {summary['method']}, encoded in "
        f"{summary['encode_seconds']} s; OpenJPEG {summary['openjpeg']['version']}"
    )
    share = summary["breast_pixels"] / (summary["height"] * summary["width"])
    click.echo(
        f"The breast, what is neither air nor padding, is {100 * share:.1f} % of the image."
        if share
        else "No breast is seen: the image is flat."
    )
    click.echo(f"{'':>37}  {'whole image':>17}  {'breast alone':>17}")
    click.echo(
        f"{'CR asked':>9}  {'CR achieved':>12}  {'bytes':>12}"
        + f"  {'PSNR dB':>8}  {'RMSE':>7}" * 2
        + (f"  {'SSIM':>7}" if rows[0]["ssim"] is not None else "")
        + "  from"
    )
    missed = 0
    for row in rows:
        off = row["cratio"] > 1 and abs(row["achieved_cratio"] / row["cratio"] - 1) > tolerance
        missed += off
        click.echo(
            f"{row['cratio']:>9g}  {row['achieved_cratio']:>11.2f}{'*' if off else ' '}  "
            f"{row['num_bytes']:>12,}  {row['psnr_db']:>8.2f}  {row['rmse']:>7.2f}  "
            f"{_or_dash(row['breast_psnr_db']):>8}  {_or_dash(row['breast_rmse']):>7}  "
            + (f"{row['ssim']:>7.4f}  " if row["ssim"] is not None else "")
            + row["source"]
        )
    if missed:
        click.echo(
            f"* more than {100 * tolerance:g} % off: OpenJPEG comes no closer on this image."
        )


def _or_dash(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
