"""A classification task: examples, their patients and labels, and their pixels at each CR."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the training loop needs to know of a data set, whatever its source.

    Attributes:
        name: Short name, e.g. "lesion".
        example_ids: n ids without patient identity.
        groups: (n,) str. The patient of each example; folds never divide a group.
        labels: (n,) int, 1 for the positive class.
        evaluated: (n,) bool. False marks examples that may train a model but are in no test or
            validation set, such as additional negatives.
        images: Maps a compression ratio to an array (n, height, width), uint8 or uint16, usually
            memory-mapped from the cache.
        input_shape: (height, width) that the model sees; at most that of `images`, which may have
            a margin for shifts and rotations. The feed takes the centre.
        is_phantom: True when the pixels are synthetic; every report then says so.
        positive_name: What label 1 means, for tables and figures.
    """

    name: str
    example_ids: tuple[str, ...]
    groups: np.ndarray
    labels: np.ndarray
    evaluated: np.ndarray
    images: Callable[[float], np.ndarray] = field(repr=False)
    input_shape: tuple[int, int]
    is_phantom: bool = False
    positive_name: str = "malignant"

    def __post_init__(self):
        count = len(self.example_ids)
        for name in ("groups", "labels", "evaluated"):
            if len(getattr(self, name)) != count:
                raise ValueError(
                    f"`{name}` must have one entry an example ({count}). "
                    f"Received: {len(getattr(self, name))}."
                )
