"""The maps and image scores that each kind of network gives of one image."""

import numpy as np
from scipy.special import expit, softmax

from mammo_tf.models.glam import standardise
from mammo_tf.recipes.glam.config import GlamConfig
from mammo_tf.recipes.glam.data import CLASSES
from mammo_tf.saliency import saliency_maps

__all__ = ["CLASSES", "METHODS", "METHOD_NAMES"]

METHOD_NAMES = {
    "glam": "GLAM",
    "glam_global": "GLAM's global map alone",
    "gradcam": "Grad-CAM of a plain classifier",
    "unet": "U-Net, given masks",
}
# {method: ((n, height, width, 2) maps, (n, 2) scores of the images)}
Found = dict[str, tuple[np.ndarray, np.ndarray]]


def glam(model, config: GlamConfig, images: np.ndarray) -> Found:
    """Maps of GLAM, and of its global network alone, resized (nearest)."""
    outputs = model.predict_on_batch(_batch(images))
    saliency, coarse = outputs["saliency"], outputs["global_saliency"]
    rows = (np.arange(saliency.shape[1]) * coarse.shape[1]) // saliency.shape[1]
    columns = (np.arange(saliency.shape[2]) * coarse.shape[2]) // saliency.shape[2]
    score = outputs["prediction"]
    return {
        "glam": (saliency, score),
        "glam_global": (coarse[:, rows[:, np.newaxis], columns], score),
    }


def unet(model, config: GlamConfig, images: np.ndarray) -> Found:
    """Maps of U-Net; the score of a class is the mean of its highest pixels, as GLAM's."""
    shares = expit(model.predict_on_batch(_batch(images)))
    flat = shares.reshape(len(shares), -1, 2)
    most = max(1, round(config.network.top_k_fraction * flat.shape[1]))
    return {"unet": (shares, np.partition(flat, -most, axis=1)[:, -most:].mean(axis=1))}


def classifier(model, config: GlamConfig, images: np.ndarray) -> Found:
    """Grad-CAM of the outputs benign and malignant."""
    batch = _batch(images)
    found = [saliency_maps(model, batch, "gradcam", output=output) for output in (1, 2)]
    logits = np.asarray(model.predict_on_batch(batch), np.float64)
    return {"gradcam": (np.stack(found, axis=-1), softmax(logits, axis=1)[:, 1:])}


METHODS = {"glam": glam, "unet": unet, "classifier": classifier}


def _batch(images: np.ndarray) -> np.ndarray:
    return np.stack([standardise(image) for image in images])[..., np.newaxis]
