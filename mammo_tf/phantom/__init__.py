"""Synthetic mammograms, written in each data set's own raw layout.

Examples:
    >>> table = write_ncc("phantom", num_studies=4, seed=1, scale=0.25)  # doctest: +SKIP
"""

from mammo_tf.phantom.marker import MARKER
from mammo_tf.phantom.ncc import is_complete, write_ncc

__all__ = ["MARKER", "is_complete", "write_ncc"]
