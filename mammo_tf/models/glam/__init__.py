"""GLAM (Liu et al. 2021): global network, patch proposal, local network, the whole; any backend."""

from mammo_tf.models.glam.crops import PatchProposal, crop_images, paste_crops, propose_corners
from mammo_tf.models.glam.global_network import GlamGlobalNetwork
from mammo_tf.models.glam.local_network import GlamLocalNetwork
from mammo_tf.models.glam.losses import glam_loss, local_predictions
from mammo_tf.models.glam.model import GLAM
from mammo_tf.models.glam.standardise import standardise
from mammo_tf.models.glam.torch_names import load_torch_state_dict, torch_shapes

__all__ = [
    "GLAM",
    "GlamGlobalNetwork",
    "GlamLocalNetwork",
    "PatchProposal",
    "crop_images",
    "glam_loss",
    "load_torch_state_dict",
    "local_predictions",
    "paste_crops",
    "propose_corners",
    "standardise",
    "torch_shapes",
]
