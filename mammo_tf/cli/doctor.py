"""`mammo-tf doctor`: what this machine has, and what is missing."""

import click

from mammo_tf.cli.options import UserPath

_PACKAGES = (
    "tensorflow",
    "keras",
    "tensorflow-datasets",
    "glymur",
    "pydicom",
    "pylibjpeg",
    "scikit-learn",
    "numpy",
    "scipy",
    "pillow",
    "click",
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option(
    "--path",
    default=".",
    show_default=True,
    type=UserPath(exists=True),
    help="A folder on the disk whose free space matters.",
)
def doctor(as_json, path):
    """Check versions, OpenJPEG, GPUs and disk space.

    Exits with code 2 when something that the main job needs is missing.
    """
    findings = _findings(path)
    if as_json:
        import json

        click.echo(json.dumps(findings, indent=2))
    else:
        _print(findings)
    if findings["problems"]:
        raise SystemExit(2)


def _findings(path: str) -> dict:
    import os
    import platform
    import shutil

    from mammo_tf import __version__

    problems: list[str] = []
    return {
        "mammo_tf": __version__,
        "python": platform.python_version(),
        "packages": _packages(problems),
        "openjpeg": _openjpeg(problems),
        "decoders": _decoders(),
        "devices": _devices(problems),
        "cpu_cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "disk_free_gb": round(shutil.disk_usage(path).free / 1e9, 1),
        "problems": problems,
    }


def _packages(problems: list[str]) -> dict[str, str | None]:
    from importlib import metadata

    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
            problems.append(f"{name} is not installed: pip install mammo-tf")
    return versions


def _openjpeg(problems: list[str]) -> dict | None:
    from mammo_tf.codecs import openjpeg
    from mammo_tf.errors import CodecError

    try:
        library = openjpeg.configure()
    except CodecError as error:
        problems.append(str(error))
        return None
    return {"version": library.version, "path": str(library.path), "source": library.source}


def _decoders() -> dict[str, bool]:
    """Which DICOM transfer syntaxes can be read here."""
    from pydicom import uid
    from pydicom.pixels import get_decoder

    syntaxes = {
        "JPEG baseline": uid.JPEGBaseline8Bit,
        "JPEG lossless": uid.JPEGLosslessSV1,
        "JPEG-LS": uid.JPEGLSLossless,
        "JPEG 2000": uid.JPEG2000,
        "RLE": uid.RLELossless,
    }
    return {name: bool(get_decoder(value).is_available) for name, value in syntaxes.items()}


def _devices(problems: list[str]) -> list[str]:
    from mammo_tf.quiet import import_tensorflow

    try:
        tf = import_tensorflow()
    except ImportError as error:
        problems.append(f"TensorFlow does not load: {error}")
        return []
    return [device.device_type for device in tf.config.list_physical_devices()]


def _print(findings: dict) -> None:
    click.echo(f"mammo_tf {findings['mammo_tf']}, Python {findings['python']}")
    for name, version in findings["packages"].items():
        click.echo(f"  {name:<20} {version or 'MISSING'}")
    library = findings["openjpeg"]
    if library:
        click.echo(f"OpenJPEG {library['version']} ({library['source']}): {library['path']}")
    decoders = ", ".join(name for name, there in findings["decoders"].items() if there)
    click.echo(f"DICOM decoders: {decoders or 'none'}")
    if not all(findings["decoders"].values()):
        missing = ", ".join(name for name, there in findings["decoders"].items() if not there)
        click.echo(f"  not read: {missing} (pip install 'mammo-tf[jpeg]')")
    click.echo(f"Devices: {', '.join(findings['devices'])}; {findings['cpu_cores']} CPU cores")
    click.echo(f"Free disk: {findings['disk_free_gb']} GB")
    for problem in findings["problems"]:
        click.echo(f"Problem: {problem}", err=True)
    click.echo("Ready." if not findings["problems"] else "Not ready; see above.")
