"""TFDS builders; importing this module registers them with ``tensorflow_datasets``.

A worker process of `mammo_tf.parallel` registers none: it reads and encodes, with a function that
may lie in a data set's folder, and TensorFlow would cost each worker seconds and a gigabyte.
"""

if __name__ != "mammo_tf.datasets":
    raise ImportError("Import 'mammo_tf.datasets', not the bare folder 'datasets'.")

import importlib
import pkgutil

from mammo_tf import parallel

NAMES = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg))

if not parallel.in_worker():
    from mammo_tf.datasets.config import LadderConfig
    from mammo_tf.datasets.jpeg2000_feature import JPEG2000, JPEG2000Decoder, decoders_for

    for _name in NAMES:
        importlib.import_module(f"{__name__}.{_name}.{_name}_dataset_builder")

__all__ = ["JPEG2000", "NAMES", "JPEG2000Decoder", "LadderConfig", "decoders_for"]
