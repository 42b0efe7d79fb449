"""ResNet50, a residual network that can begin with ImageNet's weights."""

import keras

from mammo_tf.models.resnet import ResNet


@keras.saving.register_keras_serializable(package="mammo_tf")
class ResNet50(ResNet):
    """ResNet50 of grey images: 23.5 M weights, one logit for two classes. Needs the extra `resnet`.

    Not of the compression paper; Peterka et al. 2020 fine-tune it at 224×224.
    The first kernels are summed over the colours, so a grey image is seen as one with three equal
    channels; head: global average pooling, dropout, one dense layer.

    Args:
        image_shape: (height, width, 1) of the input, at least 32 by 32; values should be
            standardised.
        num_classes: Logits: 1 for two classes, else one a class.
        weights: "imagenet" takes keras-hub's preset `resnet_50_imagenet`, from its cache or by
            download; "none" starts from random ones; else a preset's folder, a state dict with
            torchvision's names (.pth, .pt, .safetensors), or a .weights.h5 of the backbone.
        dropout: Share of pooled features dropped in training, 0 to 1 exclusive.

    Call arguments:
        inputs: (batch, height, width, 1) float32.

    Returns:
        (batch, num_classes) float32 logits.

    Raises:
        UserError: If the image is too small or not grey, keras-hub is absent, or weights cannot be
            had; never are random ones taken instead.

    Examples:
        >>> model = ResNet50(image_shape=(64, 48, 1), weights="none")
        >>> tuple(model(np.zeros((2, 64, 48, 1), "float32")).shape)
        (2, 1)

    Reference:
        He et al., Deep residual learning for image recognition, CVPR 2016, Table 1.
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        num_classes: int = 1,
        weights: str = "imagenet",
        dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(
            preset="resnet_50_imagenet",
            image_shape=image_shape,
            num_classes=num_classes,
            weights=weights,
            dropout=dropout,
            bottleneck=True,
            num_blocks=(3, 4, 6, 3),
            **kwargs,
        )
