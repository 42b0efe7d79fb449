"""A small base network for SSD, to train on a CPU and from few images. Not from the paper."""

from keras import layers

STACKWISE_NUM_FILTERS = (16, 32, 64, 128)


def light_base(images, *, dropout: float = 0.0):
    """Nine 3×3 convolutions with batch normalisation, strides 2, 4, 8 and 16.

    About 1.3 % of VGG-16's multiplications at 300×300, since what it has to tell apart is little
    and what it can learn from is less (119 lesions in mini-MIAS).

    Args:
        images: Keras tensor (batch, height, width, 3), mean 0 and standard deviation 1.
        dropout: Share of whole feature maps dropped before the last one, in training.

    Returns:
        Two Keras tensors, at a stride of 8 (64 channels) and of 16 (128 channels).
    """
    narrow, middle, wide, deep = STACKWISE_NUM_FILTERS
    features = conv_block(images, narrow, strides=2, name="light1_1")
    features = conv_block(features, middle, strides=2, name="light2_1")
    features = conv_block(features, middle, name="light2_2")
    features = conv_block(features, wide, strides=2, name="light3_1")
    features = conv_block(features, wide, name="light3_2")
    fine = conv_block(features, wide, name="light3_3")
    features = conv_block(fine, deep, strides=2, name="light4_1")
    if dropout:
        features = layers.SpatialDropout2D(dropout, name="light4_dropout")(features)
    features = conv_block(features, deep, name="light4_2")
    coarse = conv_block(features, deep, name="light4_3")
    return fine, coarse


def conv_block(
    features, filters: int, *, kernel_size: int = 3, strides: int = 1, padding="same", name: str
):
    """Convolution, batch normalisation, ReLU."""
    features = layers.Conv2D(
        filters, kernel_size, strides=strides, padding=padding, use_bias=False, name=name
    )(features)
    features = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(features)
    return layers.ReLU(name=f"{name}_relu")(features)
