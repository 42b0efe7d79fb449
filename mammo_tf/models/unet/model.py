"""U-Net (Ronneberger et al. 2015), small: learns from masks what others learn from labels."""

import keras
from keras import layers

from mammo_tf.errors import UserError
from mammo_tf.models.base import KeywordModel


@keras.saving.register_keras_serializable(package="mammo_tf")
class UNet(KeywordModel):
    """U-Net with padded convolutions and batch normalisation; one map of logits a class.

    Each level has two 3×3 convolutions; between levels 2×2 max-pooling, and nearest upsampling with
    a 2×2 convolution on the way back. The original pads nothing and has no batch normalisation.

    Args:
        image_shape: (height, width) in pixels, each a multiple of 2 to the number of levels less
            one.
        stackwise_num_filters: Filters of the levels, from the finest; at least two levels.
        num_classes: Maps.

    Call arguments:
        inputs: (batch, height, width, 1) float32, each image standardised.

    Returns:
        (batch, height, width, num_classes) float32 logits.

    Raises:
        UserError: If an argument is none of these.

    Examples:
        >>> model = UNet(image_shape=(32, 24), stackwise_num_filters=(4, 8))
        >>> tuple(model(np.zeros((1, 32, 24, 1), "float32")).shape)
        (1, 32, 24, 2)

    Reference:
        Ronneberger, Fischer and Brox, U-Net: Convolutional Networks for Biomedical Image
        Segmentation, MICCAI 2015.
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, int],
        stackwise_num_filters: tuple[int, ...] = (16, 32, 64, 128, 256),
        num_classes: int = 2,
        **kwargs,
    ):
        _check(image_shape, stackwise_num_filters, num_classes)
        inputs = keras.Input((*image_shape, 1), name="image")
        features, skipped = inputs, []
        *shallow, deepest = stackwise_num_filters
        for level, filters in enumerate(shallow):
            features = _two_convolutions(features, filters, f"down{level}")
            skipped.append(features)
            features = layers.MaxPooling2D(2, name=f"pool{level}")(features)
        features = _two_convolutions(features, deepest, "bottom")
        for level, filters in reversed(list(enumerate(shallow))):
            features = layers.UpSampling2D(2, name=f"up{level}")(features)
            features = _convolution(features, filters, 2, f"up{level}_conv")
            features = layers.Concatenate(name=f"join{level}")([skipped[level], features])
            features = _two_convolutions(features, filters, f"up{level}_level")
        outputs = layers.Conv2D(num_classes, 1, dtype="float32", name="logits")(features)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        self.image_shape = tuple(image_shape)
        self.stackwise_num_filters = tuple(stackwise_num_filters)
        self.num_classes = num_classes


def _two_convolutions(features, filters: int, name: str):
    for number in (1, 2):
        features = _convolution(features, filters, 3, f"{name}_conv{number}")
    return features


def _convolution(features, filters: int, kernel: int, name: str):
    features = layers.Conv2D(filters, kernel, padding="same", use_bias=False, name=name)(features)
    features = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(features)
    return layers.ReLU(name=f"{name}_relu")(features)


def _check(image_shape, filters, num_classes: int) -> None:
    if len(filters) < 2 or min(filters) < 1 or num_classes < 1:
        raise UserError(
            "UNet needs at least two levels with filters, and a class. "
            f"Received: {tuple(filters)} and {num_classes} classes."
        )
    step = 2 ** (len(filters) - 1)
    if len(image_shape) != 2 or any(side < step or side % step for side in image_shape):
        raise UserError(
            f"UNet of {len(filters)} levels needs sides that are multiples of {step}. "
            f"Received: image_shape={tuple(image_shape)}."
        )
