"""U-Net, a segmentation network that learns from masks."""

from mammo_tf.models.unet.model import UNet

__all__ = ["UNet"]
