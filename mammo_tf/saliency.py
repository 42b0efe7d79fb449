"""Saliency maps of classifiers, by tf-keras-vis."""

import contextlib
import io
import warnings

import numpy as np

from mammo_tf.config import check_choice
from mammo_tf.errors import UserError

METHODS = {"gradcam": "Grad-CAM", "gradcam++": "Grad-CAM++", "scorecam": "Score-CAM"}
MAX_CHANNELS = 32  # of the last convolution that Score-CAM tries, those that vary most


def check_saliency() -> None:
    """Raises UserError if tf-keras-vis is not installed; the message names the extra."""
    _kinds()


def _kinds() -> dict:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it imports SciPy by old names
            from tf_keras_vis.gradcam import Gradcam
            from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
            from tf_keras_vis.scorecam import Scorecam
    except ImportError as error:
        raise UserError(
            "Saliency maps need the extra 'saliency': pip install 'mammo-tf[saliency]'."
        ) from error
    return {"gradcam": Gradcam, "gradcam++": GradcamPlusPlus, "scorecam": Scorecam}


def saliency_maps(
    model, images: np.ndarray, method: str, *, output: int = 0, batch_size: int = 16
) -> np.ndarray:
    """Computes where a classifier looks for one of its outputs.

    Args:
        model: A functional Keras model with a convolution, on the TensorFlow backend.
        images: (n, height, width, channels) float32, as the model takes them.
        method: "gradcam", "gradcam++" or "scorecam", of the last convolution.
        output: Which logit.
        batch_size: Images at a time.

    Returns:
        (n, height, width) float32 in [0, 1]. A map is 0 everywhere where nothing in the image
        speaks for the output; it is then not divided by its highest value.

    Raises:
        UserError: If the method is unknown or tf-keras-vis is not installed.

    Reference:
        Selvaraju et al., Grad-CAM, ICCV 2017; Chattopadhay et al., Grad-CAM++, WACV 2018; Wang et
        al., Score-CAM, CVPR Workshops 2020. Jo et al. 2021, Fig. 3, does not say which it shows.
    """
    check_choice("method", method, tuple(METHODS))
    maker = _kinds()[method](model, clone=False)
    options = {"max_N": min(MAX_CHANNELS, _channels(model))} if method == "scorecam" else {}

    def score(outputs):
        return outputs[:, output]

    parts = []
    for start in range(0, len(images), batch_size):
        batch = np.asarray(images[start : start + batch_size], np.float32)
        # Keras warns of input structures, and its bar would stand in our output.
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            # normalised by us: theirs divides a blank map by its own highest value
            found = maker(score, batch, penultimate_layer=-1, normalize_cam=False, **options)
        parts.append(np.maximum(np.asarray(found, np.float32), 0))
    return _normalised(np.concatenate(parts))


def _channels(model) -> int:
    """Number of channels of the last convolution."""
    import keras

    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    last = next(layer for layer in reversed(model.layers) if isinstance(layer, kinds))
    return int(last.output.shape[-1])


def _normalised(maps: np.ndarray) -> np.ndarray:
    highest = maps.max(axis=(1, 2), keepdims=True)
    return np.divide(maps, highest, out=np.zeros_like(maps), where=highest > 0)
