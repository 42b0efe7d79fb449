"""A task: examples, their patients and labels, and their pixels at each compression ratio."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """What training, testing and reports need to know of a data set, whatever its source.

    Attributes:
        name: Short name, e.g. "lesion".
        example_ids: n different ids without patient identity.
        image_ids: (n,) str. The image that each example is cut from; the first of a pair.
        groups: (n,) str. The patient of each example; folds never divide a group.
        labels: (n,) int, the class of each example, see `class_names`.
        class_names: Name of class 0, 1, ….
        evaluated: (n,) bool. False marks examples that may train a model but are in no test or
            validation set, such as additional negatives.
        split: (n,) str, the split of the data set that holds the image.
        images: Maps a compression ratio to an array (n, height, width), uint8 or uint16, usually
            memory-mapped from the cache.
        input_shape: (height, width) that the model sees; at most that of `images`, which may have
            a margin for shifts and rotations. The feed takes the centre.
        shapes: (n, 2) int, (height, width) in pixels of the image as it is in the data set.
        masks: (n, height, width) uint16, cut as `images` are: bit k set where finding k is; None
            where the task has none.
        boxes: n arrays (k, 4) float32, "yxyx" relative to `images`, not clipped; or None.
        box_labels: n arrays (k,) int, class from 1, see `box_class_names`; or None.
        box_class_names: Name of box class 1, 2, ….
        is_phantom: True when the pixels are synthetic; every report then says so.
        has_official_splits: Whether `split` is the data set's own.
        notes: Sentences that a report must pass on, such as where negatives come from.
        subgroups: Maps a property to (n,) str, its value for each example: "lesion_size",
            "finding_type", "density", "view"; see `mammo_tf.pipelines.subgroups`. "unknown" where
            the record does not say, "none" where there is no lesion. A property of which the data
            set knows nothing is not there.
    """

    name: str
    example_ids: tuple[str, ...]
    image_ids: np.ndarray
    groups: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...] = ("rest", "malignant")
    evaluated: np.ndarray
    split: np.ndarray
    images: Callable[[float], np.ndarray] = field(repr=False)
    input_shape: tuple[int, int]
    shapes: np.ndarray
    masks: np.ndarray | None = field(default=None, repr=False)
    boxes: tuple[np.ndarray, ...] | None = field(default=None, repr=False)
    box_labels: tuple[np.ndarray, ...] | None = field(default=None, repr=False)
    box_class_names: tuple[str, ...] = ()
    is_phantom: bool = False
    has_official_splits: bool = False
    notes: tuple[str, ...] = ()
    subgroups: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)

    def __post_init__(self):
        names = ("image_ids", "groups", "labels", "evaluated", "split", "shapes", *_OPTIONAL)
        values = {name: getattr(self, name) for name in names} | dict(self.subgroups)
        for name, value in values.items():
            if value is not None and len(value) != len(self):
                raise ValueError(
                    f"`{name}` must have one entry an example ({len(self)}). "
                    f"Received: {len(value)}."
                )

    def __len__(self) -> int:
        return len(self.example_ids)

    @property
    def positive_name(self) -> str:
        """What label 1 means, for tables and figures."""
        return self.class_names[1]

    @property
    def has_box(self) -> np.ndarray:
        """(n,) bool, whether an example has a box."""
        return np.array([len(boxes) > 0 for boxes in self.boxes], bool)

    def take(self, indices: Sequence[int] | np.ndarray) -> "Task":
        """Returns the task of these examples, in their order."""
        indices = np.asarray(indices, int)
        arrays = ("image_ids", "groups", "labels", "evaluated", "split", "shapes")
        changes = {name: getattr(self, name)[indices] for name in arrays}
        for name in ("boxes", "box_labels"):
            values = getattr(self, name)
            changes[name] = None if values is None else tuple(values[i] for i in indices)
        return dataclasses.replace(
            self,
            example_ids=tuple(self.example_ids[index] for index in indices),
            images=lambda cratio: Rows(self.images(cratio), indices),
            masks=None if self.masks is None else Rows(self.masks, indices),
            subgroups={name: values[indices] for name, values in self.subgroups.items()},
            **changes,
        )


_OPTIONAL = ("masks", "boxes", "box_labels")


class Lazy:
    """An array-like of images that are read one at a time; `numpy.asarray` reads them all."""

    def __init__(self, array: np.ndarray):
        self._array = array

    @property
    def dtype(self) -> np.dtype:
        """Type of the pixels."""
        return self._array.dtype

    @property
    def ndim(self) -> int:
        """3: (n, height, width)."""
        return 3

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype=None, copy=None):
        whole = np.empty(self.shape, self.dtype)
        for index in range(len(self)):
            whole[index] = self[index]
        return whole if dtype is None else whole.astype(dtype)


class Rows(Lazy):
    """Some images of an array, in an order of their own; the array stays on disk.

    Examples:
        >>> Rows(np.arange(12).reshape(3, 2, 2), np.array([2, 0]))[0].tolist()
        [[8, 9], [10, 11]]
    """

    def __init__(self, array: np.ndarray, indices: np.ndarray):
        super().__init__(array)
        self._indices = np.asarray(indices, int)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, height, width)."""
        return (len(self._indices), *self._array.shape[1:])

    def __getitem__(self, index: int) -> np.ndarray:
        return self._array[self._indices[index]]


class SideBySide(Lazy):
    """Examples of several parts, laid side by side as they are read; the array stays on disk.

    Args:
        array: (n · width, height, side), the parts of an example one after the other.
        width: Parts of an example.

    Examples:
        >>> SideBySide(np.arange(4).reshape(2, 1, 2), 2)[0].tolist()
        [[0, 1, 2, 3]]
    """

    def __init__(self, array: np.ndarray, width: int):
        super().__init__(array)
        self._width = width

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, height, width)."""
        count, height, side = self._array.shape
        return count // self._width, height, side * self._width

    def __getitem__(self, index: int) -> np.ndarray:
        first = index * self._width
        return np.concatenate(list(self._array[first : first + self._width]), axis=1)
