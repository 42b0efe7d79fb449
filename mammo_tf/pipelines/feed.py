"""Batches of standardised images for Keras, read from memory-mapped arrays as they are needed."""

import functools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from mammo_tf.breast import darkest_level
from mammo_tf.errors import UserError
from mammo_tf.graph_calls import numpy_function
from mammo_tf.pipelines.augment import (
    AugmentConfig,
    affine_transforms,
    draw_uniforms,
    intensity_factors,
)

# One standard deviation below this many grey levels counts as a blank image.
MIN_STANDARD_DEVIATION = 1e-5


def make_feed(
    arrays: Sequence[np.ndarray],
    indices,
    labels,
    *,
    input_shape: tuple[int, int],
    batch_size: int,
    seed: int | None = None,
    augment: AugmentConfig | None = None,
    shuffle: bool | None = None,
    draw: bool = False,
) -> tf.data.Dataset:
    """Makes the batches of one part of a fold.

    Each pass over the data set is an epoch: the union of `indices` over all `arrays`, every
    example exactly once; or, with `draw`, every example of `indices` once, from one array. Batches
    are nearly equal and never of one example (unless that is all there is), since batch
    normalisation has nothing to learn from one. Order, array and augmentation follow from the
    seed, the number of the pass and the example's position; not from threads.

    Images are cut out at the centre (or where the augmentation says), then standardised one by
    one: (x − mean) / max(standard deviation, 1e-5). The paper states no scaling.

    Args:
        arrays: One array per training CR, each (n, height, width) uint8 or uint16 and of one
            shape; usually memory-mapped, never copied as a whole.
        indices: (m,) int. The examples of this part.
        labels: (n,) int from 0, the class of each example.
        input_shape: (height, width) of the network's input, at most the arrays'.
        batch_size: Most examples a batch; at least 2 for training.
        seed: Seed of order and augmentation. None: stored order, nothing random.
        augment: Random changes; needs a seed. None for none.
        shuffle: Whether to draw a new order each pass; by default whenever there is a seed.
        draw: Take each example from one of the arrays, drawn anew each pass, all equally likely;
            needs a seed.

    Returns:
        A finite data set of ((b, height, width, 1) float32, (b, 1) float32).

    Raises:
        UserError: If shapes, types or indices do not fit.

    Examples:
        >>> images = np.random.default_rng(0).integers(0, 255, (10, 80, 72), "uint8")
        >>> feed = make_feed(
        ...     [images], range(10), [0, 1] * 5, input_shape=(64, 64), batch_size=4, seed=0
        ... )
        >>> [tuple(batch.shape) for batch, _ in feed]
        [(4, 64, 64, 1), (3, 64, 64, 1), (3, 64, 64, 1)]

    Reference:
        Jo et al. 2021: training on the union of several CRs ("Performance evaluation on the
        effect of data augmentation using image compression"). Batches: not stated in the paper.
    """
    indices, labels = np.asarray(indices, np.int64), np.asarray(labels)
    augment = augment or AugmentConfig()
    _check(arrays, indices, labels, input_shape, batch_size, seed, augment)
    shuffle = seed is not None if shuffle is None else shuffle
    if draw and seed is None:
        raise UserError("`draw` needs a `seed`. Received: seed=None.")
    plan = _Plan(arrays, indices, tuple(input_shape), batch_size, seed, augment, shuffle, draw)
    feed = plan.batch_numbers().map(
        lambda epoch, number: _load(plan, labels.astype(np.float32), epoch, number),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    return feed.prefetch(tf.data.AUTOTUNE)


def standardise(images: tf.Tensor) -> tf.Tensor:
    """Scales each image of (b, height, width, 1) float32 to mean 0 and standard deviation 1."""
    centred = images - tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), axis=(1, 2, 3), keepdims=True)
    return centred / tf.maximum(tf.sqrt(variance), MIN_STANDARD_DEVIATION)


def warp(
    images: tf.Tensor, transforms: tf.Tensor, input_shape: tuple[int, int], fill_mode: str
) -> tf.Tensor:
    """Samples (b, height, width, 1) float32 images bilinearly; see `affine_transforms`.

    The fill mode "constant" puts 0 outside the image.
    """
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=tf.constant(input_shape, tf.int32),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode=fill_mode.upper(),
    )


def _load(plan: "_Plan", targets: np.ndarray, epoch, number):
    """Reads, cuts out, standardises and augments one batch, in the graph of `Dataset.map`."""

    def read(epoch, number):
        positions, sources, transforms, factors = plan.batch(epoch, number)
        labels = targets[plan.example_of(positions)][:, None]
        images = plan.read(positions, sources)
        return images, plan.levels_outside(images), transforms, factors, labels

    # `stateful=False`: with deterministic ops tf.data would run a stateful map without overlap.
    types = (tf.as_dtype(plan.arrays[0].dtype), *[tf.float32] * 4)
    images, outside, transforms, factors, labels = numpy_function(
        read, [epoch, number], types, stateful=False
    )
    images = tf.cast(tf.ensure_shape(images, (None, *plan.window, 1)), tf.float32)
    if plan.augment.moves_pixels:
        # `warp` fills with 0: each image is moved so that 0 is its own dark. Its mean goes anyway.
        images = images - tf.reshape(outside, (-1, 1, 1, 1))
        images = warp(images, transforms, plan.input_shape, plan.augment.fill_mode)
    images = standardise(images)
    if plan.augment.changes_intensity:
        factors = tf.reshape(factors, (-1, 2, 1, 1))
        images = images * factors[:, :1] + factors[:, 1:]
    images = tf.ensure_shape(images, (None, *plan.input_shape, 1))
    return images, tf.ensure_shape(labels, (None, 1))


class _Plan:
    """Says which examples are in which batch of which epoch, and reads them."""

    def __init__(self, arrays, indices, input_shape, batch_size, seed, augment, shuffle, draw):
        self.arrays = tuple(arrays)
        self.indices = indices
        self.input_shape = input_shape
        self.seed = seed
        self.augment = augment
        self.shuffle = shuffle
        self.draw = draw
        self.num_examples = len(indices) * (1 if draw else len(arrays))
        # At least two examples a batch, wherever there are two.
        whole = -(-self.num_examples // batch_size)
        self.num_batches = max(1, min(whole, self.num_examples // 2))
        self.stored_shape = arrays[0].shape[1:]
        self.window = self.stored_shape if augment.moves_pixels else input_shape
        self.epochs = {}
        self.epoch_plan = functools.lru_cache(maxsize=2)(self._epoch_plan)

    def batch_numbers(self) -> tf.data.Dataset:
        """Yields (epoch, number of the batch); each pass over the data set is a new epoch."""
        # A data set has no memory of its passes, but may draw another random number in each.
        passes = tf.data.Dataset.random(seed=0, rerandomize_each_iteration=True).take(1)
        epochs = passes.map(
            lambda key: numpy_function(self._epoch_of, [key], tf.int64, stateful=False)
        )
        numbers = epochs.flat_map(
            lambda epoch: tf.data.Dataset.range(self.num_batches).map(lambda n: (epoch, n))
        )
        return numbers.apply(tf.data.experimental.assert_cardinality(self.num_batches))

    def _epoch_of(self, key) -> np.int64:
        return np.int64(self.epochs.setdefault(int(key), len(self.epochs)))

    def _epoch_plan(self, epoch: int):
        order = np.arange(self.num_examples)
        if self.shuffle:
            order = np.random.default_rng([self.seed, epoch, 0]).permutation(order)
        transforms = np.zeros((self.num_examples, 8), np.float32)
        factors = np.zeros((self.num_examples, 2), np.float32)
        if not self.augment.is_identity:
            uniforms = draw_uniforms(self.seed, epoch, self.num_examples)
            factors = intensity_factors(self.augment, uniforms)
            transforms = affine_transforms(
                self.augment,
                uniforms,
                stored_shape=self.stored_shape,
                input_shape=self.input_shape,
            )
        sources = np.arange(self.num_examples) // len(self.indices)
        if self.draw:
            rng = np.random.default_rng([self.seed, epoch, 2])
            sources = rng.integers(len(self.arrays), size=self.num_examples)
        return np.array_split(order, self.num_batches), sources, transforms, factors

    def batch(self, epoch, number) -> tuple[np.ndarray, ...]:
        """Returns (positions, arrays' numbers, transforms, intensity factors) of one batch."""
        batches, *drawn = self.epoch_plan(int(epoch))
        positions = batches[int(number)]
        return positions, *(values[positions] for values in drawn)

    def example_of(self, positions: np.ndarray) -> np.ndarray:
        """Maps positions in the union of the arrays to indices into one array."""
        return self.indices[positions % len(self.indices)]

    def read(self, positions: np.ndarray, sources: np.ndarray) -> np.ndarray:
        """Reads (b, height, width, 1) pixels, of the input's window if no pixel will move."""
        height, width = self.window
        top = (self.stored_shape[0] - height) // 2
        left = (self.stored_shape[1] - width) // 2
        batch = np.empty((len(positions), height, width, 1), self.arrays[0].dtype)
        for row, (source, example) in enumerate(
            zip(sources, self.example_of(positions), strict=True)
        ):
            image = self.arrays[source][example]
            batch[row, :, :, 0] = image[top : top + height, left : left + width]
        return batch

    def levels_outside(self, images: np.ndarray) -> np.ndarray:
        """Returns (b,) float32: what stands where a moved image ends, if that is a constant."""
        if not self.augment.moves_pixels or self.augment.fill_mode != "constant":
            return np.zeros(len(images), np.float32)
        return np.array([darkest_level(image) for image in images], np.float32)


def _check(arrays, indices, labels, input_shape, batch_size, seed, augment) -> None:
    if not arrays or indices.ndim != 1 or not len(indices):
        raise UserError(
            "A feed needs at least one array and one index. "
            f"Received: {len(arrays)} arrays, indices of shape {indices.shape}."
        )
    shape, dtype = arrays[0].shape, arrays[0].dtype
    if any(array.shape != shape or array.dtype != dtype for array in arrays):
        received = [(array.shape, str(array.dtype)) for array in arrays]
        raise UserError(f"`arrays` must have one shape and one type. Received: {received}.")
    if len(shape) != 3 or dtype not in (np.uint8, np.uint16):
        raise UserError(
            f"`arrays` must be (n, height, width) uint8 or uint16. Received: {shape} {dtype}."
        )
    if labels.shape != shape[:1]:
        raise UserError(f"`labels` must be ({shape[0]},). Received shape: {labels.shape}.")
    if indices.min() < 0 or indices.max() >= shape[0]:
        raise UserError(
            f"`indices` must be from 0 to {shape[0] - 1}. "
            f"Received: {indices.min()} to {indices.max()}."
        )
    if input_shape[0] > shape[1] or input_shape[1] > shape[2]:
        raise UserError(
            f"`input_shape` must be at most the images' {shape[1:]}. Received: {input_shape}."
        )
    if batch_size < 1:
        raise UserError(f"`batch_size` must be at least 1. Received: {batch_size}.")
    if seed is None and not augment.is_identity:
        raise UserError("`augment` needs a `seed`. Received: seed=None.")
    if augment.quarter_turns and input_shape[0] != input_shape[1]:
        raise UserError(f"`quarter_turns` needs a square input. Received: {input_shape}.")
