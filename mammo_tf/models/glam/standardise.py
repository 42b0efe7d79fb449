"""One image as GLAM wants it."""

import numpy as np

from mammo_tf.errors import DataError

MIN_DEVIATION = 1e-5


def standardise(image: np.ndarray) -> np.ndarray:
    """Returns the image with mean 0 and standard deviation 1; zeros if all its pixels are equal.

    Args:
        image: (height, width), of any number type; the breast at the left.

    Raises:
        DataError: If it is no grey image, or a pixel is NaN or infinite.

    Reference:
        Liu et al. 2021, as in the authors' published code: (x − mean) / max(deviation, 1e-5).
    """
    image = np.asarray(image)
    if image.ndim != 2 or not image.size:
        raise DataError(f"GLAM needs a grey image, (height, width). Received: {image.shape}.")
    values = image.astype(np.float64)
    if not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        raise DataError(f"{count} of the image's pixels are NaN or infinite.")
    spread = max(float(values.std()), MIN_DEVIATION)
    return ((values - values.mean()) / spread).astype(np.float32)
