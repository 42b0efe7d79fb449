"""TFDS builders; importing this module registers them with ``tensorflow_datasets``."""

if __name__ != "mammo_tf.datasets":
    raise ImportError("Import 'mammo_tf.datasets', not the bare folder 'datasets'.")

import importlib
import pkgutil

from mammo_tf.datasets.config import LadderConfig
from mammo_tf.datasets.jpeg2000_feature import JPEG2000, JPEG2000Decoder, decoders_for

NAMES = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg))
for _name in NAMES:
    importlib.import_module(f"{__name__}.{_name}.{_name}_dataset_builder")

__all__ = ["JPEG2000", "NAMES", "JPEG2000Decoder", "LadderConfig", "decoders_for"]
