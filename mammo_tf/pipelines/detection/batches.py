"""Batches for SSD on any Keras backend, and the same through tf.data."""

import itertools

import keras
import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.graph_calls import numpy_function
from mammo_tf.models.ssd.boxes import make_targets
from mammo_tf.pipelines.detection.augment import (
    WHOLE,
    DetectionAugmentConfig,
    augment,
    boxes_in_window,
    cut_window,
)
from mammo_tf.pipelines.detection.mosaic import make_mosaic
from mammo_tf.pipelines.matching import tissue_mask
from mammo_tf.pipelines.task import Task

LIMITS = (-4.0, 6.0)


def to_network(image: np.ndarray) -> np.ndarray:
    """Standardises a grey image by its tissue and repeats it to three channels.

    The black round a breast takes no part in mean and standard deviation, so that how much of it
    there is does not change how tissue looks.

    Args:
        image: (height, width) grey levels of 255, any number type.

    Returns:
        (height, width, 3) float32: the pixels above 20 have mean 0 and standard deviation 1 (all
        pixels where hardly any is above); cut off at −4 and 6. All 0 for a blank image.
    """
    image = np.asarray(image, np.float32)
    tissue = image[tissue_mask(image)]
    if tissue.size < image.size / 100:
        tissue = image
    standard = (image - tissue.mean()) / max(float(tissue.std()), 1e-3)
    return np.repeat(np.clip(standard, *LIMITS)[..., np.newaxis], 3, axis=-1)


class DetectionBatches(keras.utils.PyDataset):
    """Batches of (images, targets) for `model.fit`, on the TensorFlow, JAX and PyTorch backends.

    An epoch shows every image with a lesion `lesion_copies` times and `normals_per_lesion` times
    as many images without one, drawn anew each epoch, all in a new order and changed at random.
    A batch follows from seed, epoch and number alone.

    Args:
        task: Images with boxes, as `mammo_tf.pipelines.tasks.detection` plans them.
        default_boxes: (n, 4) of the `SSD` to train.
        shape: (height, width) that the network sees.
        batch_size: Images a batch.
        seed: Seed of order and changes.
        augment: Random changes, or None: every image once, unchanged, in order.
        lesion_copies: See above.
        normals_per_lesion: See above; 0 leaves images without lesions out, as the poster does.
        ignore_iou: See `make_targets`.
        mosaic_epochs: The first epochs, in which every image is a mosaic; see `make_mosaic`.
        workers: Threads that make batches where Keras does the feeding.
        first_epoch: Number of the epoch that the first pass is, where a training goes on.

    Raises:
        UserError: If there is no image, or no lesion to train on.
    """

    def __init__(
        self,
        task: Task,
        default_boxes: np.ndarray,
        *,
        shape: tuple[int, int],
        batch_size: int = 16,
        seed: int = 0,
        augment: DetectionAugmentConfig | None = None,
        lesion_copies: int = 1,
        normals_per_lesion: float = 1.0,
        mosaic_epochs: int = 0,
        ignore_iou: float | None = None,
        workers: int = 1,
        first_epoch: int = 0,
    ):
        super().__init__(workers=workers)
        if not len(task) or (augment is not None and not task.has_box.any()):
            raise UserError("Training needs images with lesions. Received none.")
        if batch_size < 1 or lesion_copies < 1 or normals_per_lesion < 0:
            raise UserError(
                "`batch_size` and `lesion_copies` must be at least 1, `normals_per_lesion` at "
                f"least 0. Received: {batch_size}, {lesion_copies}, {normals_per_lesion}."
            )
        self.task = task
        self.default_boxes = default_boxes
        self.shape = tuple(shape)
        self.batch_size = batch_size
        self.seed = seed
        self.augment = augment
        self.lesions = np.flatnonzero(task.has_box)
        self.normals = np.flatnonzero(~task.has_box)
        self.lesion_copies = lesion_copies
        shown = round(normals_per_lesion * len(self.lesions) * lesion_copies)
        self.num_normals = shown if len(self.normals) else 0
        self.mosaic_epochs = mosaic_epochs
        self.ignore_iou = ignore_iou
        self.first_epoch = first_epoch
        self.epoch = first_epoch - 1  # Keras calls `on_epoch_end` once before the first epoch too

    def __len__(self) -> int:
        return -(-self.num_images // self.batch_size)

    @property
    def num_images(self) -> int:
        """Number of images an epoch."""
        if self.augment is None:
            return len(self.task)
        return len(self.lesions) * self.lesion_copies + self.num_normals

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.batch(max(self.epoch, self.first_epoch), index)

    def on_epoch_end(self) -> None:
        """Goes on to the next epoch; Keras calls it."""
        self.epoch += 1

    def batch(self, epoch: int, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Makes one batch.

        Args:
            epoch: Number of the epoch, from 0.
            index: Number of the batch, from 0.

        Returns:
            (b, height, width, 3) float32 images and (b, n, 5) float32 targets.
        """
        chosen = self.order(epoch)[index * self.batch_size : (index + 1) * self.batch_size]
        first = index * self.batch_size
        made = [self._make(number, epoch, first + row) for row, number in enumerate(chosen)]
        images, targets = zip(*made, strict=True)
        return np.stack(images), np.stack(targets)

    def order(self, epoch: int) -> np.ndarray:
        """(num_images,) indices of an epoch's examples in the order shown."""
        if self.augment is None:
            return np.arange(len(self.task))
        rng = np.random.default_rng([self.seed, epoch, 0])
        rounds = -(-self.num_normals // len(self.normals)) if self.num_normals else 0
        normals = [rng.permutation(self.normals) for _ in range(rounds)]
        normals = np.concatenate(normals)[: self.num_normals] if normals else self.normals[:0]
        return rng.permutation(np.concatenate([np.tile(self.lesions, self.lesion_copies), normals]))

    def _make(self, number: int, epoch: int, position: int):
        boxes, labels = self.task.boxes[number], self.task.box_labels[number]
        rng = np.random.default_rng([self.seed, epoch, 1, position])
        if self.augment is None:
            image = self.task.images(1)[number]
            boxes, kept = boxes_in_window(boxes, WHOLE)
            image, labels = cut_window(image, WHOLE, self.shape), labels[kept]
        elif epoch < self.mosaic_epochs:
            image, boxes, labels = make_mosaic(self.task, self.augment, rng, shape=self.shape)
        else:
            image = self.task.images(self.augment.draw_cratio(rng))[number]
            image, boxes, labels = augment(
                image, boxes, labels, self.augment, rng, shape=self.shape
            )
        targets = make_targets(self.default_boxes, boxes, labels, ignore_iou=self.ignore_iou)
        return to_network(image), targets


def make_detection_feed(batches: DetectionBatches, *, workers: int = 2):
    """Makes the same batches through tf.data, ahead of time on several threads.

    Each pass over the feed is one epoch, the first one `batches.first_epoch`; pass it to
    `fit` without repeat.

    Args:
        batches: What to feed.
        workers: Threads.

    Returns:
        A `tf.data.Dataset` of (images, targets) with a known number of batches.
    """
    import tensorflow as tf

    epochs = itertools.count(batches.first_epoch)

    def numbers():
        epoch = next(epochs)
        for index in range(len(batches)):
            yield np.int64(epoch), np.int64(index)

    number = tf.TensorSpec((), tf.int64)
    height, width = batches.shape

    def make(epoch, index):
        images, targets = numpy_function(
            lambda e, i: batches.batch(int(e), int(i)), (epoch, index), (tf.float32, tf.float32)
        )
        images.set_shape((None, height, width, 3))
        targets.set_shape((None, len(batches.default_boxes), 5))
        return images, targets

    feed = tf.data.Dataset.from_generator(numbers, output_signature=(number, number))
    feed = feed.map(make, num_parallel_calls=workers, deterministic=True).prefetch(2)
    return feed.apply(tf.data.experimental.assert_cardinality(len(batches)))
