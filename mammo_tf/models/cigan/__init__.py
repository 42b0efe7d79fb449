"""ciGAN (Wu et al. 2018, Peterka et al. 2020): generator, discriminator, losses, on any backend."""

from mammo_tf.models.cigan.discriminator import CiganDiscriminator
from mammo_tf.models.cigan.generator import CiganGenerator
from mammo_tf.models.cigan.losses import (
    boundary_loss,
    class_loss,
    discriminator_loss,
    generator_adversarial_loss,
    perceptual_loss,
)
from mammo_tf.models.cigan.perceptual import PerceptualConfig, perceptual_network

__all__ = [
    "CiganDiscriminator",
    "CiganGenerator",
    "PerceptualConfig",
    "boundary_loss",
    "class_loss",
    "discriminator_loss",
    "generator_adversarial_loss",
    "perceptual_loss",
    "perceptual_network",
]
