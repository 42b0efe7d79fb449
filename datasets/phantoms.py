"""Tells a phantom's folder from one of real data."""

import json
from pathlib import Path
from typing import Any

from mammo_tf.errors import DataError
from mammo_tf.phantom.marker import MARKER


def phantom_metadata(folder: Path) -> dict[str, Any]:
    """Returns what a data set's metadata say of a phantom; {} where `folder` holds real data.

    Raises:
        DataError: If the phantom's marker cannot be read.
    """
    path = folder / MARKER
    if not path.exists():
        return {}
    try:
        phantom = json.loads(path.read_bytes()[:100_000])
        if not isinstance(phantom, dict):
            raise ValueError
    except (OSError, ValueError):
        raise DataError(f"{path} is no JSON object. Generate the phantom again.") from None
    return {"is_phantom": True, "phantom": phantom}
