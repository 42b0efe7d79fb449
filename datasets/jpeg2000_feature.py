"""A TFDS feature that stores a JPEG 2000 ladder and decodes the quality asked for when read.

One line for each use, with `import mammo_tf.datasets as md`:

* default (lossless, or the smallest ratio kept): `builder.as_dataset(split="train")`
* at CR 100, half size: `builder.as_dataset(split="train", decoders=md.decoders_for(builder,
  cratio=100, reduce=1))`
* the stored bytes, for `Ladder.from_bytes`: `builder.as_dataset(split="train",
  decoders={"image": tfds.decode.SkipDecoding()})`
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from mammo_tf.codecs.cratios import format_cratio, join_cratios, normalize_cratios
from mammo_tf.datasets.grey_image import stretch_to_8_bits
from mammo_tf.errors import DataError, UserError
from mammo_tf.graph_calls import numpy_function

MAX_REDUCE = 5  # OpenJPEG's default of six resolutions


class JPEG2000(tfds.features.Image):
    """Greyscale image kept as a ladder: one codestream for many compression ratios.

    In `_generate_examples` it accepts `Ladder.to_bytes()` or a
    `mammo_tf.codecs.jpeg2000.Ladder`. It is read as a (height, width, 1) tensor, as the plain
    `tfds.features.Image` is; which ratio, is chosen with `JPEG2000Decoder`.

    Args:
        shape: (height, width, 1), None where it varies.
        dtype: np.uint8 or np.uint16, the type when read. An 8-bit ladder may be read as uint16;
            its values stay as they are.
        cratios: The ratios that every ladder holds.
        doc: TFDS documentation of the feature.

    Raises:
        UserError: If the shape or dtype cannot be a greyscale image's.
    """

    def __init__(
        self,
        *,
        shape: Sequence[int | None] = (None, None, 1),
        dtype=np.uint16,
        cratios: Sequence[float],
        doc=None,
    ):
        if len(shape) != 3 or shape[-1] != 1:
            raise UserError(f"`shape` must be (height, width, 1). Received: {tuple(shape)}.")
        if np.dtype(dtype) not in (np.uint8, np.uint16):
            raise UserError(f"`dtype` must be uint8 or uint16. Received: {np.dtype(dtype)}.")
        super().__init__(shape=tuple(shape), dtype=np.dtype(dtype).type, doc=doc)
        self.cratios = normalize_cratios(cratios)

    def encode_example(self, ladder) -> bytes:
        """Returns the bytes to store, after checking that the ladder has every ratio."""
        from mammo_tf.codecs.jpeg2000 import Ladder

        content = ladder if isinstance(ladder, bytes) else ladder.to_bytes()
        received = normalize_cratios(Ladder.from_bytes(content).cratios)
        if received != self.cratios:
            raise DataError(
                f"The ladder must hold CR {join_cratios(self.cratios)}. "
                f"Received: {join_cratios(received)}."
            )
        return content

    def decode_example(self, example: tf.Tensor) -> tf.Tensor:
        """Decodes the smallest ratio, in a graph; see `decode`."""
        return self.decode(example)

    def decode_example_np(self, example: bytes) -> np.ndarray:
        """Decodes the smallest ratio; see `decode_np`."""
        return self.decode_np(example)

    def decode(
        self, example: tf.Tensor, *, cratio: float | None = None, reduce: int = 0
    ) -> tf.Tensor:
        """Decodes one ratio inside `tf.data`.

        Args:
            example: () string, the stored bytes.
            cratio: One of `cratios`; None means the smallest.
            reduce: Halvings of height and width, 0 to 5.

        Returns:
            (height / 2^reduce, width / 2^reduce, 1), rounded up, of the feature's dtype; the
            static shape is set where it is known.

        Raises:
            UserError: If the data set does not hold `cratio`, or `reduce` is out of range.
        """
        cratio = self.check(cratio, reduce)
        image = numpy_function(
            lambda content: self._decode(content, cratio, reduce),
            [example],
            self.tf_dtype,
            stateful=False,
        )
        image.set_shape(self.reduced_shape(reduce))
        return image

    def decode_np(
        self, example: bytes, *, cratio: float | None = None, reduce: int = 0
    ) -> np.ndarray:
        """As `decode`, for NumPy; takes the stored bytes."""
        return self._decode(example, self.check(cratio, reduce), reduce)

    def check(self, cratio: float | None, reduce: int) -> float:
        """Returns the ratio to decode.

        Raises:
            UserError: If the data set does not hold it, or `reduce` is out of range.
        """
        if cratio is None:
            cratio = self.cratios[0]
        if cratio not in self.cratios:
            raise UserError(
                f"This data set holds CR {join_cratios(self.cratios)}. "
                f"Received: cratio={format_cratio(cratio)}. Choose one of these or build the data "
                "set with --cratios."
            )
        if reduce not in range(MAX_REDUCE + 1):
            raise UserError(
                f"`reduce` must be a whole number from 0 to {MAX_REDUCE}. Received: {reduce}."
            )
        return cratio

    def reduced_shape(self, reduce: int) -> tuple[int | None, int | None, int]:
        """The feature's shape after `reduce` halvings; None where it varies."""
        height, width, _ = self.shape
        return *(None if n is None else -(-n // 2**reduce) for n in (height, width)), 1

    def _decode(self, content: bytes, cratio: float, reduce: int) -> np.ndarray:
        from mammo_tf.codecs.jpeg2000 import Ladder

        if isinstance(content, np.ndarray):  # as TensorFlow passes it outside a graph
            content = content.item()
        image = Ladder.from_bytes(content).decode(cratio, reduce=reduce)
        if image.dtype.itemsize > np.dtype(self.np_dtype).itemsize:
            raise DataError(
                f"Expected a ladder of {np.dtype(self.np_dtype)}. Received: {image.dtype}."
            )
        return image.astype(self.np_dtype, copy=False)[..., np.newaxis]

    def to_json_content(self) -> dict:
        """The arguments of the constructor, for features.json."""
        return {
            "shape": list(self.shape),
            "dtype": np.dtype(self.np_dtype).name,
            "cratios": list(self.cratios),
        }

    @classmethod
    def from_json_content(cls, value: dict) -> "JPEG2000":
        """Makes the feature anew from features.json."""
        return cls(
            shape=tuple(value["shape"]),
            dtype=np.dtype(value["dtype"]),
            cratios=tuple(value["cratios"]),
        )

    def repr_html(self, ex: np.ndarray) -> str:
        """Shows a thumbnail, stretched to the image's own range."""
        return super().repr_html(stretch_to_8_bits(ex))

    def _additional_repr_info(self) -> dict:
        return {"cratios": self.cratios}


class JPEG2000Decoder(tfds.decode.Decoder):
    """Chooses the compression ratio, and the size, at which a `JPEG2000` feature is read.

    Args:
        cratio: One of the ratios that the data set holds; None means the smallest.
        reduce: Halvings of height and width, 0 to 5; decoding is faster for it.

    Raises:
        UserError: When the data set is opened, if it does not hold `cratio`.

    Examples:
        >>> dataset = builder.as_dataset(  # doctest: +SKIP
        ...     split="train", decoders={"image": JPEG2000Decoder(cratio=100)}
        ... )
    """

    def __init__(self, cratio: float | None = None, reduce: int = 0):
        super().__init__()
        self.cratio = cratio
        self.reduce = reduce

    def setup(self, *, feature) -> None:
        """Called by TFDS with the feature that is to be decoded."""
        if not isinstance(feature, JPEG2000):
            raise UserError(
                "JPEG2000Decoder needs a JPEG2000 feature, which the configuration 'plain' has "
                f"not. Received: {type(feature).__name__}."
            )
        super().setup(feature=feature)
        feature.check(self.cratio, self.reduce)

    def decode_example(self, serialized_image: tf.Tensor) -> tf.Tensor:
        """See `JPEG2000.decode`."""
        return self.feature.decode(serialized_image, cratio=self.cratio, reduce=self.reduce)

    def decode_example_np(self, serialized_image: bytes) -> np.ndarray:
        """See `JPEG2000.decode_np`."""
        return self.feature.decode_np(serialized_image, cratio=self.cratio, reduce=self.reduce)


def decoders_for(builder: tfds.core.DatasetBuilder, *, cratio: float, reduce: int = 0) -> dict:
    """The `decoders=` argument that reads every image of `builder` at `cratio`.

    Raises:
        UserError: If the data set is plain. That it lacks `cratio` is said when it is opened.
    """
    ladders = [
        name for name, feature in builder.info.features.items() if isinstance(feature, JPEG2000)
    ]
    if not ladders:
        raise UserError(
            f"{builder.info.full_name} is plain: it holds lossless images and no compression "
            f"ratios. Asked for: cratio={format_cratio(cratio)}. Build the data set with "
            "--cratios, or read it without decoders."
        )
    return {name: JPEG2000Decoder(cratio, reduce) for name in ladders}
