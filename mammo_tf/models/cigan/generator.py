"""ciGAN's generator: a cascade of blocks, each at twice the resolution of the one before."""

import keras
from keras import layers

from mammo_tf.errors import UserError
from mammo_tf.models.base import KeywordModel
from mammo_tf.models.cigan.settings import check_patch_size

FIRST_SIDE = 4
NUM_CLASSES = 2  # non-malignant, malignant


def class_map(label, side: int, name: str):
    """Returns (batch, side, side, 2): the class (batch, 2), the same at every pixel."""
    pixel = layers.Reshape((1, 1, NUM_CLASSES), name=f"{name}_pixel")(label)
    return layers.UpSampling2D(side, name=name)(pixel)


@keras.saving.register_keras_serializable(package="mammo_tf")
class CiganGenerator(KeywordModel):
    """Infills a patch with a lesion of the class asked for.

    Seven blocks at 4, 8, … 256 pixels, of two 3×3 convolutions with ReLU; smaller patches have as
    many of the first blocks as they need. A block takes the input stack resized to its resolution
    (nearest), and the block before it upsampled by two. A 1×1 convolution with ReLU ends it.

    Args:
        patch_size: Side of a patch, a power of two from 32 to 256; 256 in the paper.
        stackwise_num_filters: Filters of the blocks from 4 pixels on.

    Call arguments:
        inputs: The list [corrupted, mask, label]: (batch, side, side, 1) float32 in [0, 1] with
            noise where the mask is; (batch, side, side, 1) 0 or 1; (batch, 2) one-hot,
            non-malignant or malignant.

    Returns:
        (batch, side, side, 1) float32, at least 0: the whole patch, not the lesion alone.

    Raises:
        UserError: If the side is another one, or there are too few filters for it.

    Examples:
        >>> model = CiganGenerator(patch_size=32)
        >>> patch = np.zeros((2, 32, 32, 1), "float32")
        >>> tuple(model([patch, patch, np.eye(2, dtype="float32")]).shape)
        (2, 32, 32, 1)

    Reference:
        Wu et al. 2018; Peterka et al. 2020, section 3.3. Numbers of filters and the last ReLU are
        not stated in the latter.
    """

    def __init__(
        self,
        *,
        patch_size: int = 256,
        stackwise_num_filters: tuple[int, ...] = (128, 128, 64, 64, 32, 32, 32),
        **kwargs,
    ):
        check_patch_size(patch_size)
        num_blocks = (patch_size // FIRST_SIDE).bit_length()
        if len(stackwise_num_filters) < num_blocks:
            raise UserError(
                f"Patches of {patch_size} pixels need {num_blocks} blocks. "
                f"Received: stackwise_num_filters={tuple(stackwise_num_filters)}."
            )
        shape = (patch_size, patch_size, 1)
        corrupted = keras.Input(shape, name="corrupted")
        mask = keras.Input(shape, name="mask")
        label = keras.Input((NUM_CLASSES,), name="label")
        maps = class_map(label, patch_size, "class_map")
        stack = layers.Concatenate(name="stack")([corrupted, mask, maps])
        features = None
        for filters, side in zip(
            stackwise_num_filters, (FIRST_SIDE << k for k in range(num_blocks)), strict=False
        ):
            features = _block(features, stack, filters, side)
        # A last bias of 0 may leave every pixel on the ReLU's flat side, where nothing is learnt.
        outputs = layers.Conv2D(
            1, 1, activation="relu", bias_initializer=keras.initializers.Constant(0.5), name="patch"
        )(features)
        super().__init__(inputs=[corrupted, mask, label], outputs=outputs, **kwargs)
        self.patch_size = patch_size
        self.stackwise_num_filters = tuple(stackwise_num_filters)


def _block(features, stack, filters: int, side: int):
    name = f"block{side}"
    small = layers.Resizing(side, side, interpolation="nearest", name=f"{name}_stack")(stack)
    if features is not None:
        features = layers.UpSampling2D(2, name=f"{name}_up")(features)
        small = layers.Concatenate(name=f"{name}_join")([small, features])
    features = small
    for index in (1, 2):
        features = layers.Conv2D(
            filters, 3, padding="same", activation="relu", name=f"{name}_conv{index}"
        )(features)
    return features
