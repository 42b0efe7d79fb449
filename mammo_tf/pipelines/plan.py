"""From a catalog to a task: which pixels each example is made of, then the pixels, in one pass."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.pipelines import records
from mammo_tf.pipelines.cache import ImageCache, fingerprint
from mammo_tf.pipelines.catalog import Catalog
from mammo_tf.pipelines.task import Task


@dataclass(frozen=True)
class Part:
    """The pixels of one image that go into an example.

    Attributes:
        image: Row in the catalog.
        place: What `Plan.cut` needs besides the image, e.g. (row, column); part of the cache's key.
    """

    image: int
    place: tuple = ()


@dataclass(frozen=True, kw_only=True)
class Example:
    """One case.

    Attributes:
        example_id: Its name, without patient identity.
        label: Class, from 0.
        parts: Where its pixels come from; two for a pair of views.
        evaluated: False for what only trains.
    """

    example_id: str
    label: int
    parts: tuple[Part, ...]
    evaluated: bool = True


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a task consists of; no pixel has been read.

    Attributes:
        name: Name of the task and of its cache.
        examples: The cases, sorted; all of the same number of parts.
        stored_shape: (height, width) of a part as it is kept.
        part_shape: (height, width) of a part as the network sees it.
        dtype: uint8 or uint16.
        cut: (pixels, ImageInfo, place) to an array of `stored_shape` and `dtype`.
        settings: All that `cut` depends on besides, as JSON can hold it.
        positive_name: What label 1 means.
    """

    name: str
    examples: tuple[Example, ...]
    stored_shape: tuple[int, int]
    part_shape: tuple[int, int]
    dtype: type
    cut: Callable
    settings: dict
    positive_name: str = "malignant"


def make_task(
    plan: Plan,
    catalog: Catalog,
    builder,
    *,
    cratios: Sequence[float],
    cache_dir: str | os.PathLike | None,
    workers: int | None = None,
) -> Task:
    """Cuts a plan's pixels at each compression ratio; what is in the cache is not decoded again."""
    cratios = records.check_cratios(builder, cratios)
    if not plan.examples:
        raise UserError(f"{builder.info.full_name} has no example for the task {plan.name!r}.")
    width = len(plan.examples[0].parts)
    parts = [part for example in plan.examples for part in example.parts]
    wanted: dict[str, list[int]] = {}
    for row, part in enumerate(parts):
        wanted.setdefault(catalog.images[part.image].image_id, []).append(row)
    places = [[part.image, *part.place] for part in parts]
    cache = ImageCache(
        cache_dir,
        name=plan.name,
        key=fingerprint(
            source=catalog.source,
            shape=plan.stored_shape,
            places=places,
            settings=plan.settings,
        ),
        shape=(len(parts), *plan.stored_shape),
        dtype=plan.dtype,
    )

    def make_rows(record: dict, missing: list[float]):
        name = record["image_id"].decode()
        rows = wanted.get(name, [])
        images = {row: {} for row in rows}
        if rows:
            ladder = records.read_ladder(record["image"], f"Image {name}")
        for cratio in missing if rows else ():
            pixels = records.decode(ladder, cratio, f"Image {name}")
            for row in rows:
                part = parts[row]
                images[row][cratio] = plan.cut(pixels, catalog.images[part.image], part.place)
        return images.items()

    cache.fill(
        cratios,
        lambda _missing: records.iterate_records(builder),
        make_rows,
        workers=workers,
        total=records.num_records(builder),
        description="Decoding images",
    )
    first = [catalog.images[example.parts[0].image] for example in plan.examples]
    return Task(
        name=plan.name,
        example_ids=tuple(example.example_id for example in plan.examples),
        groups=np.array([image.patient_id for image in first]),
        labels=np.array([example.label for example in plan.examples], int),
        evaluated=np.array([example.evaluated for example in plan.examples], bool),
        images=lambda cratio: SideBySide(cache.images(cratio), width),
        input_shape=(plan.part_shape[0], width * plan.part_shape[1]),
        is_phantom=catalog.is_phantom,
        positive_name=plan.positive_name,
    )


@dataclasses.dataclass(frozen=True, eq=False)
class SideBySide:
    """Examples of several parts, laid side by side as they are read; the array stays on disk."""

    parts: np.ndarray
    width: int

    @property
    def shape(self) -> tuple[int, int, int]:
        count, height, side = self.parts.shape
        return count // self.width, height, side * self.width

    @property
    def dtype(self) -> np.dtype:
        return self.parts.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> np.ndarray:
        if self.width == 1:
            return self.parts[index]
        return np.concatenate(self.parts[index * self.width : (index + 1) * self.width], axis=1)
