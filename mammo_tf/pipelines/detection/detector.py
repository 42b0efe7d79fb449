"""A trained detector with all that is needed to use it on a new image. No TensorFlow needed."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np

from mammo_tf.errors import DataError, UserError
from mammo_tf.files import write_json
from mammo_tf.models.ssd import SSD, Detections, find_detections
from mammo_tf.models.ssd.symmetries import SYMMETRIES, Symmetry, change_images, restore_outputs
from mammo_tf.pipelines.detection.augment import cut_window
from mammo_tf.pipelines.detection.batches import to_network
from mammo_tf.pipelines.geometry import spread_to_8_bits

DESCRIPTION = "detector.json"
FORMAT = 2
_NUM_SYMMETRIES = {1: "num_views", 2: "num_symmetries"}  # its name in each format
DEFAULT_THRESHOLD = 0.5
WEIGHTS_SUFFIX = ".weights.h5"
MAX_WEIGHTS_BYTES = 2 << 30
_MAX_DESCRIPTION_BYTES = 100_000


@dataclass(frozen=True, eq=False)
class Detector:
    """An SSD and the names of its classes.

    Attributes:
        model: The network.
        class_names: Name of class 1, 2, ….
        num_symmetries: Copies of an image whose outputs are averaged, 1 to 8: itself, mirrored,
            turned; at most 4 where the network's input is not square.
        threshold: Score from which a detection is worth showing, 0 to 1.
    """

    model: SSD
    class_names: tuple[str, ...]
    num_symmetries: int = 8
    threshold: float = DEFAULT_THRESHOLD

    def outputs(self, images: Sequence[np.ndarray], *, batch_size: int = 8) -> np.ndarray:
        """Runs the network on whole images and averages over symmetries.

        Args:
            images: (height, width) uint8 or uint16 each, of any size; each keeps its aspect and
                is filled up with black at the right or the bottom, see `canvas`.
            batch_size: Images at a time.

        Returns:
            (n, num_boxes, num_classes + 5) float32.
        """
        shape = self.model.image_shape[:2]
        found = []
        for first in range(0, len(images), batch_size):
            part = images[first : first + batch_size]
            batch = np.stack(
                [to_network(cut_window(spread_to_8_bits(i), self.canvas(i), shape)) for i in part]
            )
            found.append(np.mean([self._look(batch, one) for one in self._symmetries()], axis=0))
        return np.concatenate(found)

    def _symmetries(self) -> tuple[Symmetry, ...]:
        height, width, _ = self.model.image_shape
        most = self.num_symmetries if height == width else min(self.num_symmetries, 4)
        return SYMMETRIES[:most]

    def _look(self, batch: np.ndarray, symmetry: Symmetry) -> np.ndarray:
        outputs = self.model.predict_on_batch(change_images(batch, symmetry))
        outputs = keras.ops.convert_to_numpy(outputs)
        return restore_outputs(outputs, self.model.layout, symmetry)

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
        return self.find(outputs, images, by_class=by_class, **options)

    def find(
        self,
        outputs: np.ndarray,
        images: Sequence[np.ndarray],
        *,
        by_class: bool = False,
        **options,
    ) -> list[Detections]:
        """Finds lesions in what the network said.

        Args:
            outputs: What `outputs` gave.
            images: The images that it was given.
            by_class: See `find_detections`.
            options: Of `find_detections`.

        Returns:
            One `Detections` an image.
        """
        found = find_detections(self.model, outputs, by_class=by_class, **options)
        return [_off_canvas(d, self.canvas(i)) for d, i in zip(found, images, strict=True)]

    def canvas(self, image: np.ndarray) -> tuple[float, float, float, float]:
        """What the network sees of an image: (0, 0, bottom, right) relative to the image.

        The smallest canvas with the network's aspect that holds the image; all of the network's
        input for an image with that aspect, such as a square one of a square film.
        """
        height, width = image.shape
        rows, columns = self.model.image_shape[:2]
        scale = max(height / rows, width / columns)
        return 0.0, 0.0, scale * rows / height, scale * columns / width


def _off_canvas(found: Detections, canvas: tuple[float, float, float, float]) -> Detections:
    """Expresses boxes relative to the image, and drops those in the black beside it."""
    _, _, bottom, right = canvas
    boxes = np.clip(found.boxes_yxyx * np.array([bottom, right] * 2, np.float32), 0, 1)
    kept = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(axis=1)
    return replace(found, boxes_yxyx=boxes).take(kept)


def describe_detector(detector: Detector, folder: str | os.PathLike) -> None:
    """Writes detector.json: what `load_detector` must know besides the weights, and their SHA-256.

    Args:
        detector: The detector.
        folder: Where it goes; the weights, `model.weights.h5`, are there already.
    """
    with (Path(folder) / f"model{WEIGHTS_SUFFIX}").open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    config = detector.model.get_config()
    config = {key: value for key, value in config.items() if key not in ("name", "trainable")}
    known = {
        "class_names": list(detector.class_names),
        "num_symmetries": detector.num_symmetries,
        "threshold": detector.threshold,
        "weights_sha256": digest,
    }
    write_json(Path(folder) / DESCRIPTION, {"format": FORMAT, "model": "ssd", **known, **config})


def set_threshold(folder: str | os.PathLike, threshold: float) -> None:
    """Changes the threshold in a detector.json, where it is another one."""
    path = Path(folder) / DESCRIPTION
    known = json.loads(path.read_bytes())
    if known.get("threshold") != threshold:
        write_json(path, known | {"threshold": threshold})


def find_weights(weights: str | os.PathLike) -> Path:
    """Finds the weights file of a detector.

    Args:
        weights: A `.weights.h5` file, the folder that holds a `model.weights.h5`, or the run
            folder in whose `cells` there is one detector.

    Returns:
        The file's path.

    Raises:
        UserError: If there is no such file, or a run has more than one detector.
        DataError: If it is larger than any detector's.
    """
    path = Path(weights)
    if path.is_dir():
        name = f"model{WEIGHTS_SUFFIX}"
        path = (path if (path / name).exists() else _cell_of_run(path)) / name
    # Keras tells the format from the name; the older ones are not for us.
    if not path.name.endswith(WEIGHTS_SUFFIX) or not path.is_file():
        raise UserError(
            f"WEIGHTS must be a {WEIGHTS_SUFFIX} file of a trained detector, or its folder. "
            f"None is at {path}."
        )
    if path.stat().st_size > MAX_WEIGHTS_BYTES:
        raise DataError(f"{path} is larger than {MAX_WEIGHTS_BYTES} bytes; that is no detector.")
    return path


def _cell_of_run(folder: Path) -> Path:
    """Returns the folder of a run's one detector; the folder itself where it is no run's."""
    found = sorted(path.parent for path in folder.glob(f"cells/*/{DESCRIPTION}"))
    if len(found) > 1:
        raise UserError(
            f"{folder} has {len(found)} detectors: give one of them, e.g. {found[0]}. "
            f"Received: {folder}."
        )
    return found[0] if found else folder


def load_detector(weights: str | os.PathLike) -> Detector:
    """Loads a detector from its weights and the detector.json beside them.

    Nothing in either file is executed: the description is JSON, of which a few known entries are
    taken, and the weights are arrays in HDF5.

    Args:
        weights: See `find_weights`.

    Returns:
        The detector.

    Raises:
        UserError: If a file is missing.
        DataError: If a file is damaged or the two do not belong together.
    """
    path = find_weights(weights)
    description = _read_description(path.parent / DESCRIPTION)
    names, num_symmetries, threshold, digest = (
        description.pop(key)
        for key in ("class_names", "num_symmetries", "threshold", "weights_sha256")
    )
    _check_digest(path, digest)
    try:
        model = SSD(num_classes=len(names), **description)
    except ValueError as error:  # a UserError of ours, or Keras' own
        raise DataError(
            f"{path.parent / DESCRIPTION} describes no network that can be built: {error}"
        ) from error
    try:
        model.load_weights(path)
    except Exception as error:  # h5py and Keras raise many kinds on damaged files
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"{path} does not hold the weights that {DESCRIPTION} beside it describes, or is "
            f"damaged: {reason}"
        ) from error
    return Detector(model, names, num_symmetries, threshold)


def _check_digest(path: Path, expected: str | None) -> None:
    """Raises DataError where weights are not those that the description was written for."""
    if expected is None:  # of a description of the first format
        return
    with path.open("rb") as file:
        received = hashlib.file_digest(file, "sha256").hexdigest()
    if received != expected:
        raise DataError(
            f"{path} is damaged, or not the file that {DESCRIPTION} beside it was written for: "
            "its SHA-256 differs. Copy both again, or train it again."
        )


def _read_description(path: Path) -> dict:
    """The arguments of `SSD`, checked, and the names of the classes."""
    if not path.is_file():
        raise UserError(f"{DESCRIPTION} must lie beside the weights. None is at {path}.")
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_MAX_DESCRIPTION_BYTES))
        shape = tuple(int(side) for side in found["image_shape"])
        names = tuple(str(name) for name in found["class_names"])
        if found["format"] not in _NUM_SYMMETRIES or found["model"] != "ssd":
            raise ValueError(f"only formats up to {FORMAT} of model ssd are known")
        dropout, threshold = float(found["dropout"]), float(found["threshold"])
        digest = None if found["format"] == 1 else str(found["weights_sha256"])
        num_symmetries = int(found[_NUM_SYMMETRIES[found["format"]]])
        if not 1 <= len(names) <= 100 or len(shape) != 3 or max(shape) > 2048:
            raise ValueError("more classes or pixels than a detector has")
        # They go to the terminal and name entries of a result.
        if not all(name.isprintable() and 0 < len(name) <= 64 for name in names):
            raise ValueError("a class's name must be short and printable")
        if len({*names, "background"}) != len(names) + 1:
            raise ValueError("classes must have different names, none of them background")
        if not 0 <= dropout < 1 or not 1 <= num_symmetries <= len(SYMMETRIES):
            raise ValueError("dropout must be from 0 to below 1, num_symmetries from 1 to 8")
        if not 0 <= threshold <= 1:
            raise ValueError("threshold must be from 0 to 1")
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise DataError(f"{path} is no description of a detector: {error}.") from error
    return {
        "class_names": names,
        "num_symmetries": num_symmetries,
        "threshold": threshold,
        "weights_sha256": digest,
        "variant": str(found["variant"]),
        "backbone": str(found["backbone"]),
        "image_shape": shape,
        "dropout": dropout,
    }
