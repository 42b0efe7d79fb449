"""GLAM: the global network proposes crops, the local network segments them."""

import keras
from keras import layers, ops

from mammo_tf.models.base import KeywordModel
from mammo_tf.models.glam.crops import PatchProposal, check_crops, crop_images, paste_crops
from mammo_tf.models.glam.global_network import GlamGlobalNetwork
from mammo_tf.models.glam.local_network import BLOCKS, FILTERS, GlamLocalNetwork
from mammo_tf.models.glam.parts import resize_nearest


@keras.saving.register_keras_serializable(package="mammo_tf")
class GLAM(KeywordModel):
    """GLAM: weakly supervised segmentation of benign and malignant lesions at full resolution.

    Args:
        image_shape: (height, width) in pixels, at least 64 each.
        num_crops: Crops that the local network sees, at least 1.
        crop_shape: (height, width) of a crop, at most the image's.
        top_k_fraction: Share of a saliency map's pixels whose mean is its prediction.
        local_num_filters: Filters of the local network's stages; the default is ResNet-34's.
        local_num_blocks: Blocks of those stages.

    Call arguments:
        inputs: (batch, height, width, 1) float32, each image standardised (see `standardise`), the
            breast at the left.

    Returns:
        A dictionary; classes are benign and malignant, all but the corners is float32:
        `prediction` (batch, 2), the global network's; `layer_predictions` (batch, 3, 2), those of
        its three maps; `layer_saliency` (batch, 3, rows, columns, 2) and `global_saliency` (batch,
        rows, columns, 2) on its grid, 184×120 for 2944×1920; `saliency` (batch, height, width, 2),
        the mean of the global one, resized (nearest), and the local ones at their crops;
        `crop_corners` (batch, num_crops, 2) int32, row and column in pixels; `crops` (batch,
        num_crops, crop height, crop width); `local_saliency` (batch, num_crops, crop height / 4,
        crop width / 4, 2), as the local network gives it.
        An image with a pixel that is not finite has NaN predictions and saliency, and no image
        beside it in the batch does.

    Raises:
        UserError: If an argument is none of these.

    Examples:
        >>> model = GLAM(image_shape=(128, 96), crop_shape=(32, 32), num_crops=2,
        ...              local_num_filters=(8, 8), local_num_blocks=(1, 1))
        >>> tuple(model(np.zeros((1, 128, 96, 1), "float32"))["saliency"].shape)
        (1, 128, 96, 2)

    Reference:
        Liu et al., Weakly-supervised High-resolution Segmentation of Mammography Images for Breast
        Cancer Diagnosis, MIDL 2021, PMLR 143:451-472; the defaults are those of the authors'
        published checkpoints.
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, int] = (2944, 1920),
        num_crops: int = 6,
        crop_shape: tuple[int, int] = (512, 512),
        top_k_fraction: float = 0.03,
        local_num_filters: tuple[int, ...] = FILTERS,
        local_num_blocks: tuple[int, ...] = BLOCKS,
        **kwargs,
    ):
        global_network = GlamGlobalNetwork(
            image_shape=image_shape, top_k_fraction=top_k_fraction, name="global_network"
        )
        check_crops(image_shape, crop_shape, num_crops)
        local_network = GlamLocalNetwork(
            crop_shape=crop_shape,
            stackwise_num_filters=local_num_filters,
            stackwise_num_blocks=local_num_blocks,
            name="local_network",
        )
        inputs = keras.Input((*image_shape, 1), name="image")
        found = global_network(inputs)
        proposal = PatchProposal(
            image_shape=image_shape,
            crop_shape=crop_shape,
            num_crops=num_crops,
            dtype="float32",
            name="proposal",
        )
        corners = proposal(found["saliency"])
        crops = _Crop(crop_shape, dtype="float32", name="crop")(inputs, corners)
        maps = local_network(crops)
        outputs = _Assemble(
            tuple(image_shape), tuple(crop_shape), dtype="float32", name="assemble"
        )(inputs, found, corners, crops, maps)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        self.image_shape = tuple(image_shape)
        self.num_crops = num_crops
        self.crop_shape = tuple(crop_shape)
        self.top_k_fraction = top_k_fraction
        self.local_num_filters = tuple(local_num_filters)
        self.local_num_blocks = tuple(local_num_blocks)

    @property
    def global_network(self) -> GlamGlobalNetwork:
        """The network that sees the whole image."""
        return self.get_layer("global_network")

    @property
    def local_network(self) -> GlamLocalNetwork:
        """The network that sees the crops."""
        return self.get_layer("local_network")


class _Crop(layers.Layer):
    """All images' crops in one list: (batch · crops, height, width, 1)."""

    def __init__(self, crop_shape, **kwargs):
        super().__init__(**kwargs)
        self.crop_shape = tuple(crop_shape)

    def call(self, images, corners):
        return ops.reshape(crop_images(images, corners, self.crop_shape), (-1, *self.crop_shape, 1))

    def compute_output_spec(self, images, corners):
        return keras.KerasTensor((None, *self.crop_shape, 1), "float32")


class _Assemble(layers.Layer):
    """The dictionary that `GLAM` returns."""

    def __init__(self, image_shape, crop_shape, **kwargs):
        super().__init__(**kwargs)
        self.image_shape = image_shape
        self.crop_shape = crop_shape

    def call(self, images, found, corners, crops, maps):
        num_crops = corners.shape[1]
        maps = ops.reshape(maps, (-1, num_crops, *maps.shape[1:]))
        local = paste_crops(maps, corners, image_shape=self.image_shape, crop_shape=self.crop_shape)
        whole = resize_nearest(found["saliency"], self.image_shape)
        broken = 0 * ops.sum(images, axis=(1, 2, 3))[:, None]  # (batch, 1): 0, or NaN
        return {
            "prediction": found["prediction"] + broken,
            "layer_predictions": found["layer_predictions"] + broken[:, None],
            "layer_saliency": found["layer_saliency"],
            "global_saliency": found["saliency"] + broken[:, None, None],
            "saliency": (local + whole) / 2 + broken[:, None, None],
            "crop_corners": corners,
            "crops": ops.reshape(crops, (-1, num_crops, *self.crop_shape)),
            "local_saliency": maps,
        }

    def compute_output_spec(self, images, found, corners, crops, maps):
        batch, num_crops = corners.shape[:2]
        shapes = {
            "prediction": found["prediction"].shape,
            "layer_predictions": found["layer_predictions"].shape,
            "layer_saliency": found["layer_saliency"].shape,
            "global_saliency": found["saliency"].shape,
            "saliency": (batch, *self.image_shape, maps.shape[-1]),
            "crop_corners": corners.shape,
            "crops": (batch, num_crops, *self.crop_shape),
            "local_saliency": (batch, num_crops, *maps.shape[1:]),
        }
        return {
            name: keras.KerasTensor(shape, "int32" if name == "crop_corners" else "float32")
            for name, shape in shapes.items()
        }
