"""One step of ciGAN's training: perceptual, discriminator's or generator's."""

import keras
import tensorflow as tf

from mammo_tf.models.cigan import (
    boundary_loss,
    class_loss,
    discriminator_loss,
    generator_adversarial_loss,
    perceptual_loss,
)
from mammo_tf.training.cigan_config import CiganTrainingConfig


class CiganSteps:
    """The two networks, their optimisers, and the steps that change them.

    A batch is (real, corrupted, masks, edges, labels): four (b, side, side, 1) float32 and
    (b, 2) one-hot. Each step returns its losses as scalars by name.

    Args:
        generator: A `CiganGenerator`.
        discriminator: A `CiganDiscriminator` of the same patch size.
        perceptual: See `perceptual_network`.
        config: How to train.
    """

    def __init__(self, generator, discriminator, perceptual, config: CiganTrainingConfig):
        self.generator, self.discriminator = generator, discriminator
        self.perceptual, self.config = perceptual, config
        self.generator_optimizer = _optimizer(config, generator)
        self.discriminator_optimizer = _optimizer(config, discriminator)
        self.pretrain = tf.function(self._pretrain)
        self.train_discriminator = tf.function(self._train_discriminator)
        self.train_generator = tf.function(self._train_generator)

    def variables(self) -> list:
        """Returns all that training changes, in a fixed order."""
        return [
            *self.generator.variables,
            *self.discriminator.variables,
            *self.generator_optimizer.variables,
            *self.discriminator_optimizer.variables,
        ]

    def _pretrain(self, real, corrupted, masks, edges, labels):
        with tf.GradientTape() as tape:
            synthetic = self.generator([corrupted, masks, labels], training=True)
            loss = self._perceptual_loss(real, synthetic, masks, edges)
        _apply(tape, loss, self.generator, self.generator_optimizer)
        return {"perceptual": loss}

    def _train_discriminator(self, real, corrupted, masks, edges, labels):
        synthetic = self.generator([corrupted, masks, labels], training=False)
        with tf.GradientTape() as tape:
            real_logits, real_classes = self.discriminator([real, labels], training=True)
            synthetic_logits, _ = self.discriminator([synthetic, labels], training=True)
            adversarial = discriminator_loss(real_logits, synthetic_logits)
            of_class = class_loss(real_classes, labels)
            loss = adversarial + self.config.class_weight * of_class
        _apply(tape, loss, self.discriminator, self.discriminator_optimizer)
        return {"discriminator": adversarial, "discriminator_class": of_class}

    def _train_generator(self, real, corrupted, masks, edges, labels):
        config = self.config
        with tf.GradientTape() as tape:
            synthetic = self.generator([corrupted, masks, labels], training=True)
            logits, classes = self.discriminator([synthetic, labels], training=False)
            losses = {
                "perceptual": self._perceptual_loss(real, synthetic, masks, edges),
                "boundary": boundary_loss(real, synthetic, edges),
                "generator": generator_adversarial_loss(logits),
                "generator_class": class_loss(classes, labels),
            }
            loss = (
                config.perceptual_weight * losses["perceptual"]
                + config.boundary_weight * losses["boundary"]
                + config.adversarial_weight * losses["generator"]
                + config.class_weight * losses["generator_class"]
            )
        _apply(tape, loss, self.generator, self.generator_optimizer)
        return losses

    def _perceptual_loss(self, real, synthetic, masks, edges):
        return perceptual_loss(self.perceptual(real), self.perceptual(synthetic), masks, edges)


def _optimizer(config: CiganTrainingConfig, model: keras.Model) -> keras.optimizers.Adam:
    rate = keras.optimizers.schedules.ExponentialDecay(
        config.learning_rate, config.decay_steps, config.decay_rate, staircase=True
    )
    optimizer = keras.optimizers.Adam(rate)
    optimizer.build(model.trainable_variables)
    return optimizer


def _apply(tape, loss, model, optimizer) -> None:
    gradients = tape.gradient(loss, model.trainable_variables)
    # The class head has no gradient where it weighs nothing.
    pairs = [
        (tf.zeros_like(variable) if gradient is None else gradient, variable)
        for gradient, variable in zip(gradients, model.trainable_variables, strict=True)
    ]
    optimizer.apply_gradients(pairs)
