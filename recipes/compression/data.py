"""The images that the report measures and shows."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from mammo_tf.codecs.jpeg2000 import Ladder
from mammo_tf.data_source import OpenData
from mammo_tf.pipelines import records
from mammo_tf.record import ImageInfo

NUM_QUALITY_IMAGES = 12
NUM_SAMPLES = 2


@dataclass(frozen=True)
class ShownImage:
    """An image to measure or show.

    Attributes:
        ladder: Its layered codestream.
        info: What is known of it.
    """

    ladder: Ladder
    info: ImageInfo

    @property
    def name(self) -> str:
        """What it is, without patient identity."""
        facts = (self.info.laterality, self.info.view)
        known = " ".join(fact for fact in facts if fact != "unknown")
        return f"{self.info.image_id} ({known})" if known else self.info.image_id

    @property
    def lesion(self) -> tuple[int, int, float] | None:
        """(row, column, radius) in pixels of the first lesion whose place is known, or None."""
        for finding in self.info.placed_findings:
            top, left, bottom, right = finding.box_yxyx_px
            return *finding.centre_px, max(bottom - top, right - left) / 2
        return None


def quality_images(data: OpenData) -> Iterator[ShownImage]:
    """Takes the first images (TFDS has shuffled them)."""
    return itertools.islice(_images(data), NUM_QUALITY_IMAGES)


def sample_images(data: OpenData) -> list[ShownImage]:
    """Takes the first images with a lesion whose place is known; else the first images."""
    marked = any(image.placed_findings for image in data.catalog.images)
    found = (image for image in _images(data) if image.lesion or not marked)
    return list(itertools.islice(found, NUM_SAMPLES))


def _images(data: OpenData) -> Iterator[ShownImage]:
    rows = data.catalog.rows()
    for record in records.iterate_records(data.builder):
        info = data.catalog.images[rows[record["image_id"].decode()]]
        yield ShownImage(records.read_ladder(record["image"], f"Image {info.image_id}"), info)
