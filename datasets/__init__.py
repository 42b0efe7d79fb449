"""TFDS builders; importing this module registers them with ``tensorflow_datasets``."""

if __name__ != "mammo_tf.datasets":
    raise ImportError("Import 'mammo_tf.datasets', not the bare folder 'datasets'.")

from mammo_tf.datasets.config import LadderConfig
from mammo_tf.datasets.jpeg2000_feature import (
    JPEG2000,
    JPEG2000Decoder,
    decoders_for,
    skip_decoders_for,
)
from mammo_tf.datasets.mini_mias.mini_mias_dataset_builder import MiniMiasConfig
from mammo_tf.datasets.ncc.ncc_dataset_builder import NccConfig

__all__ = [
    "JPEG2000",
    "JPEG2000Decoder",
    "LadderConfig",
    "MiniMiasConfig",
    "NccConfig",
    "decoders_for",
    "skip_decoders_for",
]
