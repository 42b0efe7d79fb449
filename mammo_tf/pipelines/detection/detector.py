"""A trained detector with all that is needed to use it on a new image. No TensorFlow needed."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mammo_tf.errors import DataError, UserError
from mammo_tf.files import write_json
from mammo_tf.models.ssd import SSD, Detections, find_detections
from mammo_tf.pipelines.detection.augment import WHOLE, cut_window
from mammo_tf.pipelines.detection.batches import to_network

DESCRIPTION = "detector.json"
FORMAT = 1
MAX_WEIGHTS_BYTES = 2 << 30


@dataclass(frozen=True, eq=False)
class Detector:
    """An SSD and the names of its classes.

    Attributes:
        model: The network.
        class_names: Name of class 1, 2, ….
    """

    model: SSD
    class_names: tuple[str, ...]

    def outputs(self, images: Sequence[np.ndarray], *, batch_size: int = 8) -> np.ndarray:
        """Runs the network on whole images.

        Args:
            images: (height, width) uint8 or uint16 each, of any size; see `squeeze`.
            batch_size: Images at a time.

        Returns:
            (n, num_boxes, num_classes + 5) float32.
        """
        shape = self.model.image_shape[:2]
        found = []
        for first in range(0, len(images), batch_size):
            part = images[first : first + batch_size]
            batch = np.stack([to_network(cut_window(to_8_bit(i), WHOLE, shape)) for i in part])
            found.append(self.model.predict_on_batch(batch))
        return np.concatenate(found)

    def detect(
        self,
        images: Sequence[np.ndarray],
        *,
        by_class: bool = False,
        batch_size: int = 8,
        **options,
    ) -> list[Detections]:
        """Finds lesions in whole images.

        Args:
            images: (height, width) uint8 or uint16 each.
            by_class: See `find_detections`.
            batch_size: Images at a time.
            options: Of `find_detections`.

        Returns:
            One `Detections` an image.
        """
        outputs = self.outputs(images, batch_size=batch_size)
        return find_detections(self.model, outputs, by_class=by_class, **options)


def to_8_bit(image: np.ndarray) -> np.ndarray:
    """Spreads an image's own range over 0 to 255, as the films of mini-MIAS have it.

    Args:
        image: (height, width) uint8, which is returned as it is, or uint16 or float.

    Returns:
        (height, width) uint8.
    """
    if image.dtype == np.uint8:
        return image
    values = np.asarray(image, np.float32)
    low, high = float(values.min()), float(values.max())
    return np.rint((values - low) * (255 / max(high - low, 1e-6))).astype(np.uint8)


def describe_detector(model: SSD, class_names: Sequence[str], folder: str | os.PathLike) -> None:
    """Writes detector.json: what `load_detector` must know besides the weights."""
    config = {k: v for k, v in model.get_config().items() if k not in ("name", "trainable")}
    write_json(
        Path(folder) / DESCRIPTION,
        {"format": FORMAT, "model": "ssd", "class_names": list(class_names), **config},
    )


def load_detector(weights: str | os.PathLike) -> Detector:
    """Loads a detector from its weights and the detector.json beside them.

    Nothing in either file is executed: the description is JSON, of which a few known entries are
    taken, and the weights are arrays in HDF5.

    Args:
        weights: A `.weights.h5` file, or its folder.

    Returns:
        The detector.

    Raises:
        UserError: If a file is missing.
        DataError: If a file is damaged or the two do not belong together.
    """
    path = Path(weights)
    if path.is_dir():
        path = path / "model.weights.h5"
    if not path.is_file():
        raise UserError(
            f"WEIGHTS must be a .weights.h5 file of a trained detector. None is at {path}."
        )
    if path.stat().st_size > MAX_WEIGHTS_BYTES:
        raise DataError(f"{path} is larger than {MAX_WEIGHTS_BYTES} bytes; that is no detector.")
    description = _read_description(path.parent / DESCRIPTION)
    model = SSD(
        num_classes=len(description["class_names"]),
        variant=description["variant"],
        backbone=description["backbone"],
        image_shape=tuple(description["image_shape"]),
        dropout=description["dropout"],
    )
    try:
        model.load_weights(path)
    except Exception as error:  # h5py and Keras raise many kinds on damaged files
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"{path} does not hold the weights that {DESCRIPTION} beside it describes, or is "
            f"damaged: {reason}"
        ) from error
    return Detector(model, tuple(description["class_names"]))


def _read_description(path: Path) -> dict:
    if not path.is_file():
        raise UserError(f"{DESCRIPTION} must lie beside the weights. None is at {path}.")
    try:
        found = json.loads(path.read_bytes()[:100_000])
        shape = [int(side) for side in found["image_shape"]]
        names = [str(name) for name in found["class_names"]]
        checked = {
            "class_names": names,
            "variant": str(found["variant"]),
            "backbone": str(found["backbone"]),
            "image_shape": shape,
            "dropout": float(found["dropout"]),
        }
        if found["format"] != FORMAT or found["model"] != "ssd":
            raise ValueError(f"format {found['format']} of model {found['model']}")
        if not 1 <= len(names) <= 100 or len(shape) != 3 or max(shape) > 2048:
            raise ValueError("more classes or pixels than a detector has")
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no description of a detector: {error}.") from error
    return checked
