"""ciGAN (Wu et al. 2018, Peterka et al. 2020): generator, discriminator, losses, on any backend.

Keras is imported when something is asked for that needs it.
"""

from typing import TYPE_CHECKING

from mammo_tf.lazy import lazy_names

if TYPE_CHECKING:
    from mammo_tf.models.cigan.discriminator import CiganDiscriminator
    from mammo_tf.models.cigan.generator import CiganGenerator
    from mammo_tf.models.cigan.losses import (
        boundary_loss,
        class_loss,
        discriminator_loss,
        generator_adversarial_loss,
        perceptual_loss,
    )
    from mammo_tf.models.cigan.perceptual import perceptual_network
    from mammo_tf.models.cigan.settings import PerceptualConfig

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
__getattr__ = lazy_names(
    __name__,
    {
        "discriminator": ("CiganDiscriminator",),
        "generator": ("CiganGenerator",),
        "losses": (
            "boundary_loss",
            "class_loss",
            "discriminator_loss",
            "generator_adversarial_loss",
            "perceptual_loss",
        ),
        "perceptual": ("perceptual_network",),
        "settings": ("PerceptualConfig",),
    },
)
