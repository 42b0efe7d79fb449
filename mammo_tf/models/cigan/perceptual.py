"""The network whose features ciGAN's perceptual loss compares: VGG's first three blocks."""

import os
from pathlib import Path

import keras
import numpy as np
from keras import layers

from mammo_tf.errors import UserError
from mammo_tf.models.cigan.settings import VGG_FILTERS, PerceptualConfig
from mammo_tf.models.ssd.vgg16_weights import download_vgg, name_convolutions, read_vgg_file
from mammo_tf.models.ssd.vgg_onnx import read_keras_onnx

NUM_BLOCKS = 3
MEAN_BGR = (103.939, 116.779, 123.68)  # of ImageNet; VGG takes 0 to 255 minus these
RANDOM = "random"


def perceptual_network(config: PerceptualConfig, patch_size: int) -> keras.Model:
    """Builds the fixed network.

    Args:
        config: Which one.
        patch_size: Side of a patch.

    Returns:
        A model that is not trained, from (batch, side, side, 1) in [0, 1] to a list of four: the
        image as VGG sees it (3 channels), and the pools of blocks 1 to 3.

    Raises:
        UserError: If the weights cannot be had; random ones are never taken unless asked for.
        DataError: If the file is not of this network, or damaged.

    Reference:
        Peterka et al. 2020, section 4.2. Which layers is not stated there.
    """
    blocks = VGG_FILTERS[config.backbone][:NUM_BLOCKS]
    image = keras.Input((patch_size, patch_size, 1), name="patch")
    features = layers.Concatenate(name="three_channels")([image] * 3)
    features = layers.Rescaling(255.0, [-mean for mean in MEAN_BGR], name="like_vgg")(features)
    outputs = [features]
    for block, filters in enumerate(blocks, start=1):
        for index, number in enumerate(filters, start=1):
            name = f"block{block}_conv{index}"
            features = layers.Conv2D(number, 3, padding="same", activation="relu", name=name)(
                features
            )
        features = layers.MaxPooling2D(2, name=f"block{block}_pool")(features)
        outputs.append(features)
    model = keras.Model(image, outputs, name=config.backbone, trainable=False)
    if config.weights != RANDOM:
        for name, arrays in _read_weights(config, name_convolutions(blocks)).items():
            model.get_layer(name).set_weights(arrays)
    return model


def _read_weights(config: PerceptualConfig, wanted) -> dict[str, list[np.ndarray]]:
    network, every = config.backbone.upper(), name_convolutions(VGG_FILTERS[config.backbone])
    if config.weights == "imagenet":
        found = download_vgg(network, every)
    elif not Path(os.path.expanduser(config.weights)).is_file():
        raise UserError(
            "`perceptual.weights` must be imagenet, a .h5 or .onnx file, or, for tests alone, "
            f"random. Received: {config.weights!r}, which is no file."
        )
    elif config.weights.endswith(".onnx"):
        found = read_keras_onnx(os.path.expanduser(config.weights), wanted)
    else:
        found = read_vgg_file(config.weights, network, every)
    return {name: found[name] for name, _ in wanted}
