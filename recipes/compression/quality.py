"""What compression does to the pixels themselves: CR achieved, PSNR and RMSE over some images."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mammo_tf.breast import breast_mask
from mammo_tf.codecs.jpeg2000 import Ladder
from mammo_tf.codecs.measure import Measurement, measure_one


@dataclass(frozen=True)
class Quality:
    """What one compression ratio did to a sample of images.

    Attributes:
        cratio: The compression ratio asked for.
        achieved: (n,) the compression ratio each image came to.
        psnr_db: (n,) PSNR of each image in dB, 100 for a perfect one.
        breast_psnr_db: (n,) PSNR of the breast alone; NaN for an image without one.
        breast_rmse: (n,) RMSE of the breast alone in grey levels; NaN likewise.
    """

    cratio: float
    achieved: np.ndarray
    psnr_db: np.ndarray
    breast_psnr_db: np.ndarray
    breast_rmse: np.ndarray


def measure_quality(ladders: Iterable[Ladder], cratios: Sequence[float]) -> list[Quality]:
    """Measures PSNR and RMSE against the least compressed image of each ladder.

    Args:
        ladders: Layered codestreams, one an image.
        cratios: Compression ratios in every ladder, ascending; the first is the reference.

    Returns:
        One entry for each of `cratios`.

    Reference:
        Jo et al. 2021, Eq. 1, with MAX = 2^16 − 1 for 16-bit containers and 255 for 8-bit ones.
    """
    measured = [_measure(ladder, cratios) for ladder in ladders]
    by_cratio = zip(cratios, *measured, strict=True)
    return [_quality(cratio, of_images) for cratio, *of_images in by_cratio]


def quality_line(quality: Quality) -> dict[str, float | int | None]:
    """One entry as plain values: means over the images, None where no image shows a breast."""
    has_breast = not np.isnan(quality.breast_psnr_db).all()
    return {
        "cratio": quality.cratio,
        "images": len(quality.psnr_db),
        "achieved_cratio": float(np.mean(quality.achieved)),
        "psnr_db": float(np.mean(quality.psnr_db)),
        "breast_psnr_db": float(np.nanmean(quality.breast_psnr_db)) if has_breast else None,
        "breast_rmse": float(np.nanmean(quality.breast_rmse)) if has_breast else None,
    }


def _measure(ladder: Ladder, cratios: Sequence[float]) -> list[Measurement]:
    reference = ladder.decode(cratios[0])
    breast = breast_mask(reference)
    return [measure_one(reference, ladder, cratio, breast=breast) for cratio in cratios]


def _quality(cratio: float, measured: Sequence[Measurement]) -> Quality:
    columns = ("achieved_cratio", "psnr_db", "breast_psnr_db", "breast_rmse")
    values = [np.array([getattr(m, name) for m in measured], float) for name in columns]
    return Quality(cratio, *values)
