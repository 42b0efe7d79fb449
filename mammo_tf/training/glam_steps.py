"""One step of GLAM's training: global, local or joint; and what memory it takes."""

import math

import keras
import tensorflow as tf

from mammo_tf.models.glam import GLAM, crop_images, glam_loss, local_predictions
from mammo_tf.training.glam_config import GlamTrainingConfig


class GlamSteps:
    """The network, its two optimisers, and the steps that change it.

    A batch is images (b, height, width, 1), standardised, and labels (b, 2): benign, malignant.
    Each step returns its losses as scalars by name.

    Args:
        model: A `GLAM`.
        config: How to train.
    """

    def __init__(self, model: GLAM, config: GlamTrainingConfig):
        self.model, self.config = model, config
        self.optimizers = []
        for network in (model.global_network, model.local_network):
            optimizer = keras.optimizers.Adam(config.learning_rate)
            optimizer.build(network.trainable_variables)
            self.optimizers.append(optimizer)
        # One trace each, for the last and smaller batch of a pass too.
        batch = (
            tf.TensorSpec((None, *model.image_shape, 1), tf.float32),
            tf.TensorSpec((None, 2), tf.float32),
        )
        self.steps = {
            "global": tf.function(self._train_global, input_signature=batch),
            "local": tf.function(self._train_local, input_signature=batch),
            "joint": tf.function(self._train_joint, input_signature=batch),
        }

    def variables(self) -> list:
        """Returns all that training changes, in a fixed order."""
        return [*self.model.variables, *(v for each in self.optimizers for v in each.variables)]

    def _train_global(self, images, labels):
        with tf.GradientTape() as tape:
            loss = self._global_loss(self.model.global_network(images, training=True), labels)
        self._apply(tape, loss, (0,))
        return {"global": loss}

    def _train_local(self, images, labels):
        found = self.model.global_network(images, training=False)
        with tf.GradientTape() as tape:
            loss = self._local_loss(images, found, labels)
        self._apply(tape, loss, (1,))
        return {"local": loss}

    def _train_joint(self, images, labels):
        with tf.GradientTape() as tape:
            found = self.model.global_network(images, training=True)
            losses = {
                "global": self._global_loss(found, labels),
                "local": self._local_loss(images, found, labels),
            }
            loss = losses["global"] + losses["local"]
        self._apply(tape, loss, (0, 1))
        return losses

    def _global_loss(self, found, labels):
        return tf.reduce_mean(
            glam_loss(
                labels,
                found["layer_predictions"],
                found["layer_saliency"],
                l1_weight=self.config.l1_weight,
            )
        )

    def _local_loss(self, images, found, labels):
        model = self.model
        corners = model.get_layer("proposal")(tf.stop_gradient(found["saliency"]))
        crops = crop_images(images, corners, model.crop_shape)
        maps = model.local_network(tf.reshape(crops, (-1, *model.crop_shape, 1)), training=True)
        maps = tf.reshape(maps, (-1, model.num_crops, *maps.shape[1:]))
        predictions = local_predictions(maps, model.top_k_fraction)
        weight = self.config.l1_weight
        loss = glam_loss(labels, predictions[:, None], maps[:, None], l1_weight=weight)
        return tf.reduce_mean(loss)

    def _apply(self, tape, loss, which) -> None:
        networks = (self.model.global_network, self.model.local_network)
        wanted = [networks[index].trainable_variables for index in which]
        for index, variables, gradients in zip(
            which, wanted, tape.gradient(loss, wanted), strict=True
        ):
            self.optimizers[index].apply_gradients(zip(gradients, variables, strict=True))


def memory_bytes(model: GLAM, config: GlamTrainingConfig) -> int:
    """Returns about how many bytes the largest stage of a training takes.

    What every layer of a network gives is kept for the gradient; each weight has its gradient and
    Adam's two moments beside it. Workspace of convolutions is not counted.
    """
    sizes = {
        "global": config.batch_size * _activations(model.global_network),
        "local": config.batch_size * model.num_crops * _activations(model.local_network),
    }
    used = {
        "global": sizes["global"] if config.global_epochs else 0,
        "local": sizes["local"] if config.local_epochs else 0,
        "joint": sizes["global"] + sizes["local"] if config.joint_epochs else 0,
    }
    return 4 * (max(used.values()) + 4 * model.count_params())


def _activations(network: keras.Model) -> int:
    """Numbers that the layers of a network give for one example."""
    outputs = keras.tree.flatten([layer.output for layer in network.layers])
    return sum(math.prod(output.shape[1:]) for output in outputs)
