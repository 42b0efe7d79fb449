"""VGG-16 as SSD's base network: dilated fc6, fc7 as convolutions, normalised conv4_3."""

import keras
from keras import layers, ops

# Filters of block1_conv1 … block5_conv3, the names of `keras.applications.VGG16`.
STACKWISE_NUM_FILTERS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))

# Keras' VGG-16 expects 0 to 255 minus the mean; ImageNet's channels have standard deviations of
# 0.229, 0.224 and 0.225 of 255, 57.63 on average. Its channels are BGR, which grey does not feel.
IMAGENET_STANDARD_DEVIATION = 57.63


def vgg16_base(images) -> tuple:
    """Builds VGG-16 up to fc7, as SSD changes it.

    Pools round up (300 → 150 → 75 → 38 → 19), pool5 is 3×3 with stride 1, fc6 is a 3×3
    convolution with dilation 6 and fc7 a 1×1 one. There is no dropout. `load_vgg16_weights` fills
    it with ImageNet's weights. The filters of fc6 and fc7, the dilation and the rounding are not
    stated in the paper; they are those of the authors' released code.

    Args:
        images: Keras tensor (batch, height, width, 3) of images with mean 0 and standard
            deviation 1, grey repeated; scaled inside to the values that VGG-16 expects.

    Returns:
        Two Keras tensors: conv4_3 after `L2Normalization`, at a stride of 8 (512 channels), and
        fc7, at a stride of 16 (1024 channels). At 300×300 they have 38×38 and 19×19 cells.

    Reference:
        Liu et al. 2016, section 2.1 and section 3, "Base network"; Simonyan and Zisserman 2015,
        configuration D.
    """
    features = layers.Rescaling(IMAGENET_STANDARD_DEVIATION, name="imagenet_scale")(images)
    block_ends = []
    for block, num_filters in enumerate(STACKWISE_NUM_FILTERS, start=1):
        for index, filters in enumerate(num_filters, start=1):
            features = _conv(features, filters, name=f"block{block}_conv{index}")
        block_ends.append(features)
        size, strides = (3, 1) if block == 5 else (2, 2)
        features = layers.MaxPooling2D(
            size, strides=strides, padding="same", name=f"block{block}_pool"
        )(features)
    features = _conv(features, 1024, dilation_rate=6, name="fc6")
    features = _conv(features, 1024, kernel_size=1, name="fc7")
    return L2Normalization(name="block4_conv3_norm")(block_ends[3]), features


def _conv(features, filters: int, *, kernel_size: int = 3, dilation_rate: int = 1, name: str):
    return layers.Conv2D(
        filters,
        kernel_size,
        dilation_rate=dilation_rate,
        padding="same",
        activation="relu",
        name=name,
    )(features)


@keras.saving.register_keras_serializable(package="mammo_tf")
class L2Normalization(layers.Layer):
    """Scales each position's feature vector to unit length, then each channel by a learned factor.

    It brings conv4_3, whose values are much larger than those of later layers, to their scale.
    Computed in float32 also under mixed precision. `keras.ops.normalize` is not used because its
    gradient is NaN where all channels are 0.

    Args:
        initial_scale: Factor that every channel starts with; 20 in the paper.
        epsilon: Least length divided by, above 0; not stated in the paper.

    Call arguments:
        inputs: (batch, height, width, channels) float.

    Returns:
        The same shape.

    Reference:
        Liu et al. 2016, section 3.1; Liu, Rabinovich and Berg 2015 (ParseNet), section 3.3.
    """

    def __init__(self, *, initial_scale: float = 20.0, epsilon: float = 1e-5, **kwargs):
        super().__init__(**kwargs)
        self.initial_scale = initial_scale
        self.epsilon = epsilon

    def build(self, input_shape):
        self.scale = self.add_weight(
            name="scale",
            shape=(input_shape[-1],),
            initializer=keras.initializers.Constant(self.initial_scale),
        )

    def call(self, inputs):
        features = ops.cast(inputs, "float32")
        squares = ops.sum(ops.square(features), axis=-1, keepdims=True)
        unit = features * ops.rsqrt(ops.maximum(squares, self.epsilon**2))
        return ops.cast(unit * ops.cast(self.scale, "float32"), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "initial_scale": self.initial_scale,
            "epsilon": self.epsilon,
        }
