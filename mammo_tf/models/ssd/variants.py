"""Which SSDs there are. Imports no network, so that settings can know them at once."""

from mammo_tf.models.ssd.boxes import (
    SSD300_RATIOS,
    SSD300_SCALES,
    SSD512_RATIOS,
    SSD512_SCALES,
)

BACKBONES = ("vgg16", "light", "efficientnet_lite0")
VARIANTS = {
    "ssd300": (300, SSD300_SCALES, SSD300_RATIOS),
    "ssd512": (512, SSD512_SCALES, SSD512_RATIOS),
}
