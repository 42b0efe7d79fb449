"""CNN3, the three-convolution classifier of Jo et al. 2021."""

import keras
from keras import layers

from mammo_tf.errors import UserError
from mammo_tf.models.base import KeywordModel

NUM_CONVOLUTIONS = 3
NUM_HIDDEN = 2


@keras.saving.register_keras_serializable(package="mammo_tf")
class CNN3(KeywordModel):
    """Three 6×6 stride-2 convolutions, then three dense layers; one logit out.

    Each convolution (padding 2) and each hidden dense layer is followed by batch normalisation
    and ReLU; each convolution also by 2×2 max-pooling.

    Not stated in the paper, chosen here: the filters, the dense widths, the dropout, and the
    size of the pools. The paper speaks of two dense layers in its methods and three in its
    abstract, and of max-pooling after dense layers: here are three, the last one being the
    logit, and dense layers are not pooled. Batch normalisation has the defaults of PyTorch, which
    the paper used: a tenth of each batch's statistics enters the running ones (Keras: a
    hundredth, too slow for small data sets), ε = 1e-5.

    Args:
        image_shape: (height, width, channels) of the input; values should be standardised.
        stackwise_num_filters: Filters of the three convolutions.
        dense_units: Widths of the two hidden dense layers.
        head_pooling: What stands between the last convolution and the dense layers: "flatten"
            (the paper's, as far as can be told), "average" or "max" (global; far fewer weights).
        dropout: Share of dense activations dropped in training, 0 to 1 exclusive.

    Call arguments:
        inputs: (batch, height, width, channels) float32.

    Returns:
        (batch, 1) float32 logits; positive means the positive class.

    Raises:
        UserError: If the image is too small for three convolutions with pooling, if there are not
            three filters and two widths, or if `head_pooling` is none of the three.

    Examples:
        >>> model = CNN3(image_shape=(128, 96, 1))
        >>> tuple(model(np.zeros((2, 128, 96, 1), "float32")).shape)
        (2, 1)

    Reference:
        Jo et al. 2021, "Model development and evaluation".
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        stackwise_num_filters: tuple[int, int, int] = (16, 32, 64),
        dense_units: tuple[int, int] = (128, 32),
        head_pooling: str = "flatten",
        dropout: float = 0.0,
        **kwargs,
    ):
        _check(image_shape, stackwise_num_filters, dense_units)
        inputs = keras.Input(tuple(image_shape), name="image")
        features = inputs
        for index, filters in enumerate(stackwise_num_filters, start=1):
            features = _conv_block(features, filters, name=f"conv{index}")
        features = _head_pool(features, head_pooling)
        for index, units in enumerate(dense_units, start=1):
            features = _dense_block(features, units, dropout, name=f"dense{index}")
        outputs = layers.Dense(1, dtype="float32", name="logit")(features)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        self.image_shape = tuple(image_shape)
        self.stackwise_num_filters = tuple(stackwise_num_filters)
        self.dense_units = tuple(dense_units)
        self.head_pooling = head_pooling
        self.dropout = dropout


def _conv_block(features, filters: int, name: str):
    features = layers.ZeroPadding2D(2, name=f"{name}_pad")(features)
    features = layers.Conv2D(filters, 6, strides=2, use_bias=False, name=name)(features)
    features = _batch_norm(name)(features)
    features = layers.ReLU(name=f"{name}_relu")(features)
    return layers.MaxPooling2D(2, name=f"{name}_pool")(features)


def _batch_norm(name: str) -> layers.Layer:
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")


def _head_pool(features, head_pooling: str):
    pools = {
        "flatten": layers.Flatten,
        "average": layers.GlobalAveragePooling2D,
        "max": layers.GlobalMaxPooling2D,
    }
    if head_pooling not in pools:
        raise UserError(
            f"`head_pooling` must be one of {sorted(pools)}. Received: {head_pooling!r}."
        )
    return pools[head_pooling](name="head_pool")(features)


def _dense_block(features, units: int, dropout: float, name: str):
    features = layers.Dense(units, use_bias=False, name=name)(features)
    features = _batch_norm(name)(features)
    features = layers.ReLU(name=f"{name}_relu")(features)
    if dropout:
        features = layers.Dropout(dropout, name=f"{name}_dropout")(features)
    return features


def _check(image_shape, filters, dense_units) -> None:
    if len(image_shape) != 3 or None in image_shape:
        raise UserError(
            "`image_shape` must be (height, width, channels), all given. "
            f"Received: image_shape={tuple(image_shape)}."
        )
    if min(image_shape[:2]) < 64:
        raise UserError(
            "`image_shape` must be at least 64 in height and width, since CNN3 halves it six "
            f"times. Received: image_shape={tuple(image_shape)}."
        )
    for name, values, count in (
        ("stackwise_num_filters", filters, NUM_CONVOLUTIONS),
        ("dense_units", dense_units, NUM_HIDDEN),
    ):
        if len(values) != count or min(values) < 1:
            raise UserError(
                f"`{name}` must be {count} numbers of at least 1. Received: {tuple(values)}."
            )
