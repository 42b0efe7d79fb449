"""ShallowCNN, the small network that Peterka et al. 2020 compare with."""

import keras
from keras import layers

from mammo_tf.errors import UserError
from mammo_tf.models.base import KeywordModel


@keras.saving.register_keras_serializable(package="mammo_tf")
class ShallowCNN(KeywordModel):
    """Three blocks of 3×3 convolution, batch norm, ReLU and 2×2 max-pooling; three dense layers.

    The last dense layer gives the logits. A softmax over two classes is a sigmoid of the difference
    of their logits, so two classes need one logit. Filters, dense widths, padding and dropout are
    not stated in the paper.

    Args:
        image_shape: (height, width, channels) of the input, at least 8 by 8.
        num_classes: Logits: 1 for two classes, else one a class.
        stackwise_num_filters: Filters of the blocks.
        dense_units: Widths of the two hidden dense layers.
        dropout: Share of the hidden layers' outputs dropped in training, 0 to 1 exclusive.

    Call arguments:
        inputs: (batch, height, width, channels) float32.

    Returns:
        (batch, num_classes) float32 logits.

    Raises:
        UserError: If the image is too small, or there are not two dense widths.

    Examples:
        >>> model = ShallowCNN(image_shape=(48, 32, 1))
        >>> tuple(model(np.zeros((2, 48, 32, 1), "float32")).shape)
        (2, 1)

    Reference:
        Peterka et al. 2020, section 5.
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        num_classes: int = 1,
        stackwise_num_filters: tuple[int, ...] = (32, 64, 128),
        dense_units: tuple[int, ...] = (128, 32),
        dropout: float = 0.0,
        **kwargs,
    ):
        if min(image_shape[:2]) < 2 ** len(stackwise_num_filters):
            raise UserError(
                f"`image_shape` must be at least {2 ** len(stackwise_num_filters)} in height and "
                f"width. Received: image_shape={tuple(image_shape)}."
            )
        if len(dense_units) != 2:
            raise UserError(f"`dense_units` must be two widths. Received: {tuple(dense_units)}.")
        inputs = features = keras.Input(tuple(image_shape), name="image")
        for index, filters in enumerate(stackwise_num_filters, start=1):
            features = _block(features, filters, f"conv{index}")
        features = layers.Flatten(name="flatten")(features)
        for index, units in enumerate(dense_units, start=1):
            features = layers.Dense(units, activation="relu", name=f"dense{index}")(features)
            if dropout:
                features = layers.Dropout(dropout, name=f"dropout{index}")(features)
        outputs = layers.Dense(num_classes, dtype="float32", name="logits")(features)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        self.image_shape = tuple(image_shape)
        self.num_classes = num_classes
        self.stackwise_num_filters = tuple(stackwise_num_filters)
        self.dense_units = tuple(dense_units)
        self.dropout = dropout


def _block(features, filters: int, name: str):
    features = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=name)(features)
    # As PyTorch has it: Keras' momentum of 0.99 is too slow for small data sets.
    features = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(features)
    features = layers.ReLU(name=f"{name}_relu")(features)
    return layers.MaxPooling2D(2, name=f"{name}_pool")(features)
