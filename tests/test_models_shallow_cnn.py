"""ShallowCNN: the paper's layers, and weights by hand."""

import numpy as np
import pytest

from mammo_tf.errors import UserError
from mammo_tf.models.shallow_cnn import ShallowCNN


def test_layers_are_those_of_the_paper():
    model = ShallowCNN(
        image_shape=(48, 32, 1), num_classes=3, stackwise_num_filters=(2, 3, 4), dense_units=(5, 6)
    )
    kinds = [type(layer).__name__ for layer in model.layers[1:]]
    block = ["Conv2D", "BatchNormalization", "ReLU", "MaxPooling2D"]
    assert kinds == [*block * 3, "Flatten", *["Dense"] * 3]
    # Convolutions without bias, four numbers a filter of batch norm, then 6·4·4 pixels flattened.
    convolutions = 9 * (1 * 2 + 2 * 3 + 3 * 4) + 4 * (2 + 3 + 4)
    dense = (6 * 4 * 4 + 1) * 5 + (5 + 1) * 6 + (6 + 1) * 3
    assert model.count_params() == convolutions + dense
    again = ShallowCNN.from_config(model.get_config())
    assert again.get_config() == model.get_config() and again.output_shape == (None, 3)


def test_what_it_cannot_be_is_one_line():
    with pytest.raises(UserError, match="at least 8"):
        ShallowCNN(image_shape=(7, 32, 1))
    with pytest.raises(UserError, match="two widths"):
        ShallowCNN(image_shape=(32, 32, 1), dense_units=(8,))


def test_one_pass_by_hand():
    model = ShallowCNN(image_shape=(8, 8, 1), stackwise_num_filters=(1, 1, 1), dense_units=(1, 1))
    for index in (1, 2, 3):
        kernel = np.zeros((3, 3, 1, 1), np.float32)
        kernel[1, 1] = 2  # each block doubles
        model.get_layer(f"conv{index}").set_weights([kernel])
    for name, weight, bias in (("dense1", 1, 1), ("dense2", -1, 0), ("logits", 5, 0.25)):
        model.get_layer(name).set_weights(
            [np.array([[weight]], np.float32), np.array([bias], np.float32)]
        )
    image = np.zeros((1, 8, 8, 1), np.float32)
    image[0, 3, 4] = 1
    assert float(model(image)[0, 0]) == pytest.approx(0.25)  # ReLU of −(8 + 1) is 0
    model.get_layer("dense2").set_weights([np.array([[1]], np.float32), np.array([0], np.float32)])
    scale = (1 + 1e-5) ** -1.5
    assert float(model(image)[0, 0]) == pytest.approx(5 * (8 * scale + 1) + 0.25, rel=1e-5)
