"""Synthetic mammograms, written in each data set's own raw layout.

What draws and writes them is imported when asked for.

Examples:
    >>> table = write_ncc("phantom", num_studies=4, seed=1, scale=0.25)  # doctest: +SKIP
"""

from typing import TYPE_CHECKING

from mammo_tf.lazy import lazy_names

if TYPE_CHECKING:
    from mammo_tf.phantom.marker import MARKER
    from mammo_tf.phantom.ncc import is_complete, write_ncc

__all__ = ["MARKER", "is_complete", "write_ncc"]
__getattr__ = lazy_names(__name__, {"marker": ("MARKER",), "ncc": ("is_complete", "write_ncc")})
