"""What a report says of its run besides the results: links, date, time, files."""

import datetime
import json
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from mammo_tf.report.learning import training_seconds
from mammo_tf.report.page import Link

_PACKAGE = "mammo-tf"


def run_details(config: dict) -> dict[str, str]:
    """Returns what is needed to run it again, by heading.

    Args:
        config: The run folder's config.json.
    """
    return {
        "Configuration": json.dumps(config["configuration"], indent=2),
        "Environment": json.dumps(config["environment"], indent=2),
    }


def made_when(trainings: dict[str, list[dict]], now: datetime.datetime | None = None) -> str:
    """Returns a line with the page's date, and the time that the trainings took.

    Args:
        trainings: As `read_trainings` gives them.
        now: The date; None means now.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    line = f"Written {now:%Y-%m-%d %H:%M} UTC"
    count = sum(map(len, trainings.values()))
    if not count:
        return f"{line}; nothing was trained."
    return f"{line}; {count} trainings took {_duration(training_seconds(trainings))} together."


def data_link(builder) -> Link | None:
    """Returns a link to a data set's page, or None where its builder names none."""
    homepage = builder.info.homepage
    return Link(f"Data set {builder.name}", homepage) if homepage else None


def docs_link() -> Link | None:
    """Returns a link to the documentation, where the package's metadata has its address."""
    try:
        urls = metadata.metadata(_PACKAGE).get_all("Project-URL") or ()
    except metadata.PackageNotFoundError:
        return None
    known = dict(url.split(", ", 1) for url in urls)
    address = known.get("Documentation") or known.get("Homepage")
    return Link("Documentation", address) if address else None


def run_files(run_dir: str | Path, names: Sequence[str]) -> dict[str, str]:
    """Returns {name: content} of those text files of a run folder that are there."""
    paths = (Path(run_dir) / name for name in names)
    return {path.name: path.read_text("utf-8") for path in paths if path.is_file()}


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
