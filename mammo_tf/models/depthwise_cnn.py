"""DepthwiseCNN, the small three-class classifier of Jin and Zheng's poster on mini-MIAS."""

import keras
from keras import layers

from mammo_tf.errors import UserError
from mammo_tf.models.base import KeywordModel

NUM_CONVOLUTIONS = 4
STRIDES = (2, 2, 2, 1)
SEPARABLE = (False, False, True, True)
POOLINGS = {"average": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}


@keras.saving.register_keras_serializable(package="mammo_tf")
class DepthwiseCNN(KeywordModel):
    """Four convolutions, two of them depthwise-separable; one pooling; one dense layer.

    The poster gives these four facts and that two usual convolutions were replaced by depthwise
    ones, to have fewer parameters. Not stated in the poster, chosen here: the last two are the
    separable ones (they would hold nine tenths of the weights), a depthwise convolution is
    followed by its 1×1 convolution, the filters, 5×5 kernels (64 pixels are then nearly one
    receptive field, 61), strides 2, 2, 2 and 1 since there is only one pooling, which is global,
    batch normalisation (as `mammo_tf.models.CNN3` has it) and ReLU after each convolution, and
    dropout before the dense layer.

    With the defaults it has 22,643 parameters; 167,699 with `separable=False`. See
    `count_parameters`.

    Args:
        image_shape: (height, width, channels) of the input, at least 16×16; values should be
            standardised.
        num_classes: Number of logits: one a class, three in the poster (normal, benign and
            malignant); or 1, for two classes.
        stackwise_num_filters: Filters of the four convolutions.
        kernel_size: Height and width of the kernels in pixels, at least 1.
        pooling: "average" or "max", over all positions.
        dropout: Share of the pooled features dropped in training, 0 to 1 exclusive.
        separable: False for four usual convolutions.

    Call arguments:
        inputs: (batch, height, width, channels) float32.

    Returns:
        (batch, num_classes) float32 logits; a softmax, or for one logit a sigmoid, makes them
        probabilities.

    Raises:
        UserError: If an argument is out of its range.

    Examples:
        >>> model = DepthwiseCNN(image_shape=(64, 96, 1))
        >>> tuple(model(np.zeros((2, 64, 96, 1), "float32")).shape)
        (2, 3)

    Reference:
        Jin and Zheng, "Medical Image Processing with Deep Learning" (poster), "Classification".
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        num_classes: int = 3,
        stackwise_num_filters: tuple[int, int, int, int] = (16, 32, 64, 64),
        kernel_size: int = 5,
        pooling: str = "average",
        dropout: float = 0.0,
        separable: bool = True,
        **kwargs,
    ):
        _check(image_shape, num_classes, stackwise_num_filters, kernel_size, pooling, dropout)
        inputs = keras.Input(tuple(image_shape), name="image")
        features = inputs
        kinds = zip(stackwise_num_filters, STRIDES, SEPARABLE, strict=True)
        for index, (filters, strides, depthwise) in enumerate(kinds, start=1):
            convolution = layers.SeparableConv2D if depthwise and separable else layers.Conv2D
            features = convolution(
                filters,
                kernel_size,
                strides=strides,
                padding="same",
                use_bias=False,
                name=f"conv{index}",
            )(features)
            features = layers.BatchNormalization(
                momentum=0.9, epsilon=1e-5, name=f"conv{index}_bn"
            )(features)
            features = layers.ReLU(name=f"conv{index}_relu")(features)
        features = POOLINGS[pooling](name="pool")(features)
        if dropout:
            features = layers.Dropout(dropout, name="dropout")(features)
        outputs = layers.Dense(num_classes, dtype="float32", name="logits")(features)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        self.image_shape = tuple(image_shape)
        self.num_classes = num_classes
        self.stackwise_num_filters = tuple(stackwise_num_filters)
        self.kernel_size = kernel_size
        self.pooling = pooling
        self.dropout = dropout
        self.separable = separable


def count_parameters(
    *,
    channels: int = 1,
    num_classes: int = 3,
    stackwise_num_filters: tuple[int, int, int, int] = (16, 32, 64, 64),
    kernel_size: int = 5,
    separable: bool = True,
) -> int:
    """Counts the parameters of a `DepthwiseCNN`, running statistics included, without making it.

    A usual convolution of c into f channels has k²·c·f weights, a separable one k²·c + c·f; each
    is followed by four numbers a channel of batch normalisation.

    Args:
        channels: Channels of the input.
        num_classes: See `DepthwiseCNN`.
        stackwise_num_filters: See `DepthwiseCNN`.
        kernel_size: See `DepthwiseCNN`.
        separable: See `DepthwiseCNN`.

    Returns:
        The number that `count_params` of the model gives.

    Examples:
        >>> count_parameters(), count_parameters(separable=False)
        (22643, 167699)
    """
    total = 0
    for filters, depthwise in zip(stackwise_num_filters, SEPARABLE, strict=True):
        if depthwise and separable:
            total += kernel_size**2 * channels + channels * filters
        else:
            total += kernel_size**2 * channels * filters
        total += 4 * filters
        channels = filters
    return total + channels * num_classes + num_classes


def _check(image_shape, num_classes, filters, kernel_size, pooling, dropout) -> None:
    known = len(image_shape) == 3 and None not in image_shape
    if not known or min(image_shape[:2]) < 16 or image_shape[2] < 1:
        raise UserError(
            "`image_shape` must be (height, width, channels), at least 16×16×1. "
            f"Received: image_shape={tuple(image_shape)}."
        )
    if num_classes < 1:
        raise UserError(f"`num_classes` must be at least 1. Received: {num_classes}.")
    if len(filters) != NUM_CONVOLUTIONS or min(filters) < 1:
        raise UserError(
            f"`stackwise_num_filters` must be {NUM_CONVOLUTIONS} numbers of at least 1. "
            f"Received: {tuple(filters)}."
        )
    if kernel_size < 1:
        raise UserError(f"`kernel_size` must be at least 1. Received: {kernel_size}.")
    if pooling not in POOLINGS:
        raise UserError(f"`pooling` must be one of {sorted(POOLINGS)}. Received: {pooling!r}.")
    if not 0 <= dropout < 1:
        raise UserError(f"`dropout` must be from 0 to below 1. Received: {dropout}.")
