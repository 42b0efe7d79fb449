"""From a catalog to a task: which pixels each example is made of, then the pixels, in one pass."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.pipelines import geometry, records, subgroups
from mammo_tf.pipelines.cache import ImageCache, fingerprint
from mammo_tf.pipelines.catalog import Catalog
from mammo_tf.pipelines.masks import draw_masks
from mammo_tf.pipelines.task import SideBySide, Task
from mammo_tf.record import ImageInfo

VERSION = 2  # raise it when the pixels that the same plan gives change
NO_BOXES = np.zeros((0, 4), np.float32)
NO_BOX_LABELS = np.zeros(0, int)


@dataclass(frozen=True)
class Part:
    """The pixels of one image that go into an example.

    Attributes:
        image: Row in the catalog.
        place: What `Plan.cut` needs besides the image, e.g. (row, column), as JSON can hold it.
    """

    image: int
    place: tuple = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """One case.

    Attributes:
        example_id: Its name, without patient identity.
        label: Class, from 0.
        parts: Where its pixels come from; two for a pair of views.
        evaluated: False for what only trains.
        boxes: (k, 4) float32, see `Task.boxes`.
        box_labels: (k,) int, see `Task.box_labels`.
        subgroups: Its value of each property that is known, see `Task.subgroups`.
    """

    example_id: str
    label: int
    parts: tuple[Part, ...]
    evaluated: bool = True
    boxes: np.ndarray = field(default_factory=lambda: NO_BOXES)
    box_labels: np.ndarray = field(default_factory=lambda: NO_BOX_LABELS)
    subgroups: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """What a task consists of; no pixel has been read.

    Attributes:
        name: Name of the task and of its cache.
        examples: The cases; all of the same number of parts.
        stored_shape: (height, width) of a part as it is kept.
        part_shape: (height, width) of a part as the network sees it.
        dtype: uint8 or uint16.
        prepare: (pixels, ImageInfo) to the grey levels that are cut, of `dtype`.
        cut: (grey levels or masks, ImageInfo, place, resize) to an array of `stored_shape`;
            `resize(image, height, width)` is `geometry.resize`, or `geometry.resize_nearest` for
            masks.
        settings: All that `prepare` and `cut` depend on besides, as JSON can hold it.
        class_names: Name of class 0, 1, ….
        box_class_names: Name of box class 1, 2, …; empty where the task has no boxes.
        with_masks: Whether the task has masks.
        notes: See `Task.notes`.
    """

    name: str
    examples: tuple[Example, ...]
    stored_shape: tuple[int, int]
    part_shape: tuple[int, int]
    dtype: type
    prepare: Callable[[np.ndarray, ImageInfo], np.ndarray]
    cut: Callable[[np.ndarray, ImageInfo, tuple, Callable], np.ndarray]
    settings: dict
    class_names: tuple[str, ...] = ("rest", "malignant")
    box_class_names: tuple[str, ...] = ()
    with_masks: bool = False
    notes: tuple[str, ...] = ()


def make_task(
    plan: Plan,
    catalog: Catalog,
    builder,
    *,
    cratios: Sequence[float],
    cache_dir: str | os.PathLike | None,
    workers: int | None = None,
) -> Task:
    """Cuts a plan's pixels at each compression ratio; what is in the cache is not decoded again.

    This is the only code that decodes images for training.

    Args:
        plan: What to cut.
        catalog: What the plan was made from.
        builder: The built data set that `catalog` was read from.
        cratios: Compression ratios that `Task.images` will be asked for.
        cache_dir: Folder of the cache; None keeps the images in memory.
        workers: Decoding threads; None means one per available core.

    Raises:
        UserError: If the plan has no example, or the data set lacks a ratio.
        DataError: If a record is damaged.
    """
    cratios = records.check_cratios(builder, cratios)
    if not plan.examples:
        raise UserError(f"{catalog.name} has no example for the task '{plan.name}'.")
    cutter = _Cutter(plan, catalog, builder, cache_dir, workers)
    cutter.fill_images(cratios)
    width = len(plan.examples[0].parts)
    first = [catalog.images[example.parts[0].image] for example in plan.examples]
    examples = plan.examples
    has_boxes = bool(plan.box_class_names)
    return Task(
        name=plan.name,
        example_ids=tuple(example.example_id for example in examples),
        image_ids=np.array([image.image_id for image in first]),
        groups=np.array([image.patient_id for image in first]),
        labels=np.array([example.label for example in examples], int),
        class_names=plan.class_names,
        evaluated=np.array([example.evaluated for example in examples], bool),
        split=np.array([image.split for image in first]),
        images=lambda cratio: _joined(cutter.images.images(cratio), width),
        input_shape=(plan.part_shape[0], width * plan.part_shape[1]),
        shapes=np.array([image.shape for image in first], int),
        masks=_joined(cutter.masks(), width) if plan.with_masks else None,
        boxes=tuple(example.boxes for example in examples) if has_boxes else None,
        box_labels=tuple(example.box_labels for example in examples) if has_boxes else None,
        box_class_names=plan.box_class_names,
        is_phantom=catalog.is_phantom,
        has_official_splits=catalog.has_official_splits,
        notes=(*catalog.notes, *plan.notes),
        subgroups=subgroups.joined([example.subgroups for example in examples]),
    )


def _joined(array: np.ndarray, width: int):
    return array if width == 1 else SideBySide(array, width)


class _Cutter:
    """Fills the caches of a plan's images and masks."""

    def __init__(self, plan: Plan, catalog: Catalog, builder, cache_dir, workers):
        self.plan, self.catalog = plan, catalog
        self.builder, self.workers = builder, workers
        self.parts = [part for example in plan.examples for part in example.parts]
        self.rows_of: dict[str, list[int]] = {}  # of each image, in `parts`
        for row, part in enumerate(self.parts):
            image_id = catalog.images[part.image].image_id
            self.rows_of.setdefault(image_id, []).append(row)
        self.key = fingerprint(
            version=VERSION,
            source=catalog.source,
            shape=plan.stored_shape,
            parts=[[part.image, *part.place] for part in self.parts],
            settings=plan.settings,
        )
        self.cache_dir = cache_dir
        self.images = self._cache(plan.name, plan.dtype)

    def _cache(self, name: str, dtype) -> ImageCache:
        shape = (len(self.parts), *self.plan.stored_shape)
        return ImageCache(self.cache_dir, name=name, key=self.key, shape=shape, dtype=dtype)

    def fill_images(self, cratios: Sequence[float]) -> None:
        """Decodes what is missing and cuts it."""
        self._fill(self.images, cratios, self._decoded, geometry.resize, "Decoding images")

    def masks(self) -> np.ndarray:
        """(parts, height, width) uint16."""
        cache = self._cache(f"{self.plan.name}-masks", np.uint16)
        self._fill(cache, (1,), self._masks, geometry.resize_nearest, "Cutting masks")
        return cache.images(1)

    def _fill(self, cache: ImageCache, cratios, read, resize, description: str) -> None:
        def make_rows(record: dict, missing: list[float]) -> Iterator:
            image_id = record["image_id"].decode()
            rows = self.rows_of.get(image_id, [])
            found: dict[int, dict[float, np.ndarray]] = {row: {} for row in rows}
            if not rows:
                return found.items()
            info = self.catalog.images[self.parts[rows[0]].image]
            for cratio, pixels in read(record, info, missing):
                for row in rows:
                    cut = self.plan.cut(pixels, info, self.parts[row].place, resize)
                    found[row][cratio] = cut
            return found.items()

        cache.fill(
            cratios,
            lambda _missing: records.iterate_records(self.builder),
            make_rows,
            workers=self.workers,
            total=records.num_records(self.builder),
            description=description,
        )

    def _decoded(self, record: dict, info: ImageInfo, cratios) -> Iterator:
        """Yields (CR, grey levels)."""
        what = f"Image {info.image_id}"
        ladder = records.read_ladder(record["image"], what)
        for cratio in cratios:
            yield cratio, self.plan.prepare(records.decode(ladder, cratio, what), info)

    def _masks(self, record: dict, info: ImageInfo, _cratios) -> Iterator:
        yield 1, draw_masks(info, records.read_masks(record["masks"], f"Image {info.image_id}"))
