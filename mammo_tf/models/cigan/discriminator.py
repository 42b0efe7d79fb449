"""ciGAN's discriminator: is a patch real, and which class does it show?"""

import keras
from keras import layers

from mammo_tf.models.base import KeywordModel
from mammo_tf.models.cigan.generator import NUM_CLASSES, class_map
from mammo_tf.models.cigan.settings import check_patch_size


@keras.saving.register_keras_serializable(package="mammo_tf")
class CiganDiscriminator(KeywordModel):
    """Two answers on one trunk: a logit for real, and two for the class.

    A 3×3 convolution with LeakyReLU, then four times: the class map is joined, 3×3 convolution,
    2×2 max-pooling, LeakyReLU. The flattened trunk gives the logit; two dense layers of 128 give
    the class.

    Since the class map is an input, the class head can copy it. `class_map_joined=False` leaves
    the map out, so that the class must be seen in the pixels, as in auxiliary-classifier GANs.

    Args:
        patch_size: Side of a patch, a power of two from 32 to 256.
        first_filters: Filters of the first convolution.
        stackwise_num_filters: Filters of the other four.
        dense_units: Widths of the class head's hidden layers.
        negative_slope: Of LeakyReLU; not stated in the paper.
        class_map_joined: Whether the trunk is told the class.

    Call arguments:
        inputs: The list [patch, label]: (batch, side, side, 1) float32, and (batch, 2) one-hot.

    Returns:
        The list [real, classes]: (batch, 1) and (batch, 2) float32 logits.

    Raises:
        UserError: If the side is another one.

    Examples:
        >>> model = CiganDiscriminator(patch_size=32)
        >>> patch = np.zeros((2, 32, 32, 1), "float32")
        >>> [tuple(part.shape) for part in model([patch, np.eye(2, dtype="float32")])]
        [(2, 1), (2, 2)]

    Reference:
        Wu et al. 2018; Peterka et al. 2020, Figure 1.
    """

    def __init__(
        self,
        *,
        patch_size: int = 256,
        first_filters: int = 32,
        stackwise_num_filters: tuple[int, ...] = (64, 128, 256, 512),
        dense_units: tuple[int, ...] = (128, 128),
        negative_slope: float = 0.2,
        class_map_joined: bool = True,
        **kwargs,
    ):
        check_patch_size(patch_size)
        patch = keras.Input((patch_size, patch_size, 1), name="patch")
        label = keras.Input((NUM_CLASSES,), name="label")
        features = layers.Conv2D(first_filters, 3, padding="same", name="conv0")(patch)
        features = layers.LeakyReLU(negative_slope, name="conv0_relu")(features)
        for index, filters in enumerate(stackwise_num_filters, start=1):
            name = f"conv{index}"
            if class_map_joined:
                maps = class_map(label, features.shape[1], f"{name}_class_map")
                features = layers.Concatenate(name=f"{name}_join")([features, maps])
            features = layers.Conv2D(filters, 3, padding="same", name=name)(features)
            features = layers.MaxPooling2D(2, name=f"{name}_pool")(features)
            features = layers.LeakyReLU(negative_slope, name=f"{name}_relu")(features)
        features = layers.Flatten(name="flatten")(features)
        real = layers.Dense(1, name="real")(features)
        for index, units in enumerate(dense_units, start=1):
            features = layers.Dense(units, name=f"class_dense{index}")(features)
            features = layers.LeakyReLU(negative_slope, name=f"class_dense{index}_relu")(features)
        classes = layers.Dense(NUM_CLASSES, name="classes")(features)
        super().__init__(inputs=[patch, label], outputs=[real, classes], **kwargs)
        self.patch_size = patch_size
        self.first_filters = first_filters
        self.stackwise_num_filters = tuple(stackwise_num_filters)
        self.dense_units = tuple(dense_units)
        self.negative_slope = negative_slope
        self.class_map_joined = class_map_joined
