"""What may change at random in a training image, drawn so that every seed gives the same images."""

from dataclasses import dataclass

import numpy as np

from mammo_tf.codecs.cratios import check_drawn_cratios, join_cratios
from mammo_tf.config import check_choice, check_range
from mammo_tf.errors import UserError

NUM_DRAWS = 9
FILL_MODES = ("constant", "nearest", "reflect")


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Random changes of a training image; the defaults change nothing.

    The paper states no augmentation but that by compression ratio (several training CRs).

    Attributes:
        horizontal_flip: Mirror half of the images left to right.
        vertical_flip: Mirror half of the images top to bottom.
        quarter_turns: Turn by 0, 90, 180 or 270 degrees; for square inputs.
        rotation_degrees: Turn by any angle up to this one, either way; 0 to 180.
        shift_px: Move by up to this many whole pixels, either way, along both axes.
        scale_range: (lowest, highest) magnification.
        brightness: After standardisation, add up to this many standard deviations, either way.
        contrast: After standardisation, multiply by 1 ± up to this share, 0 to 1 exclusive.
        cratios: Compression ratios, of which each training image is shown at one, drawn anew in
            each pass: a layer of the stored ladder, nothing is encoded again. Empty for the ratio
            that is trained on. Validation, test and test copies keep their own ratio.
        fill_mode: What stands where the stored image ends: "reflect", "nearest" (its edge pixels)
            or "constant" (its darkest level). Stored images with a margin hardly need any.
        synthetic: Folder of synthetic patches that training images are mixed with, see
            `mammo_tf.pipelines.mixing`; for tasks of patches. "{fold}" in it stands for the fold's
            number. None for none. Validation and test never have any.
        synthetic_share: Share of the training images that are synthetic, 0.01 to 0.95; needed
            with `synthetic`.

    Raises:
        UserError: If a value is out of its range.
    """

    horizontal_flip: bool = False
    vertical_flip: bool = False
    quarter_turns: bool = False
    rotation_degrees: float = 0.0
    shift_px: int = 0
    scale_range: tuple[float, float] = (1.0, 1.0)
    brightness: float = 0.0
    contrast: float = 0.0
    cratios: tuple[float, ...] = ()
    fill_mode: str = "reflect"
    synthetic: str | None = None
    synthetic_share: float | None = None

    def __post_init__(self):
        check_range("rotation_degrees", self.rotation_degrees, 0, 180)
        check_range("shift_px", self.shift_px, 0, 10_000)
        check_range("brightness", self.brightness, 0, 10)
        check_range("contrast", self.contrast, 0, 0.99)
        low, high = self.scale_range
        if not 0.1 <= low <= high <= 10:
            raise UserError(
                "`scale_range` must be (lowest, highest) between 0.1 and 10. "
                f"Received: {self.scale_range}."
            )
        object.__setattr__(self, "cratios", check_drawn_cratios(self.cratios))
        check_choice("fill_mode", self.fill_mode, FILL_MODES)
        if (self.synthetic is None) != (self.synthetic_share is None):
            raise UserError(
                "`synthetic` and `synthetic_share` are given together or not at all. Received: "
                f"{self.synthetic} and {self.synthetic_share}."
            )
        if self.synthetic_share is not None:
            check_range("synthetic_share", self.synthetic_share, 0.01, 0.95)

    @property
    def is_identity(self) -> bool:
        """True if no image is changed; `cratios` and `synthetic` choose images and do not count."""
        return not self.moves_pixels and not self.changes_intensity

    @property
    def moves_pixels(self) -> bool:
        """True if images are flipped, turned, moved or magnified."""
        turns = self.quarter_turns or self.rotation_degrees > 0
        flips = self.horizontal_flip or self.vertical_flip
        return flips or turns or self.shift_px > 0 or tuple(self.scale_range) != (1.0, 1.0)

    @property
    def changes_intensity(self) -> bool:
        """True if grey values are changed."""
        return self.brightness > 0 or self.contrast > 0


def describe_drawn_cratios(cratios: tuple[float, ...]) -> str:
    """Returns in words what a report says of an augmentation by compression."""
    return (
        f"each training image of each pass at one of CR {join_cratios(cratios)}, drawn at random; "
        "images of validation and test keep their own"
    )


def draw_uniforms(seed: int, epoch: int, num_examples: int) -> np.ndarray:
    """Draws what one epoch needs; a row depends on seed, epoch and position alone.

    Args:
        seed: Seed of the feed, at least 0.
        epoch: Number of the epoch, from 0.
        num_examples: Number of examples of the epoch, in stored order.

    Returns:
        (num_examples, NUM_DRAWS) float64, uniform in [0, 1).
    """
    return np.random.default_rng([seed, epoch, 1]).random((num_examples, NUM_DRAWS))


def affine_transforms(
    config: AugmentConfig,
    uniforms: np.ndarray,
    *,
    stored_shape: tuple[int, int],
    input_shape: tuple[int, int],
) -> np.ndarray:
    """Turns uniform draws into maps from a pixel of the network's input to one of the stored image.

    Without any change the map is the centre crop, exactly.

    Args:
        config: What may change.
        uniforms: (n, NUM_DRAWS) in [0, 1), see `draw_uniforms`.
        stored_shape: (height, width) of the stored image.
        input_shape: (height, width) of the network's input.

    Returns:
        (n, 8) float32 projective transforms [a0 … a7] as TensorFlow's ImageProjectiveTransformV3
        takes them: input (x, y) comes from stored (a0 x + a1 y + a2, a3 x + a4 y + a5).
    """
    sign_x = _sign(uniforms[:, 0], config.horizontal_flip)
    sign_y = _sign(uniforms[:, 1], config.vertical_flip)
    degrees = config.rotation_degrees * (2 * uniforms[:, 2] - 1)
    if config.quarter_turns:
        degrees = degrees + 90 * np.floor(4 * uniforms[:, 3])
    low, high = config.scale_range
    scale = low * (high / low) ** uniforms[:, 4]
    shift_x = _whole(uniforms[:, 5], config.shift_px)
    shift_y = _whole(uniforms[:, 6], config.shift_px)

    cosine, sine = _cosine_and_sine(degrees)
    a0, a1 = sign_x * cosine / scale, -sign_y * sine / scale
    a3, a4 = sign_x * sine / scale, sign_y * cosine / scale
    (height, width), (stored_height, stored_width) = input_shape, stored_shape
    centre_y, centre_x = (height - 1) / 2, (width - 1) / 2
    stored_y = (stored_height - height) // 2 + centre_y + shift_y
    stored_x = (stored_width - width) // 2 + centre_x + shift_x
    a2 = stored_x - a0 * centre_x - a1 * centre_y
    a5 = stored_y - a3 * centre_x - a4 * centre_y
    zeros = np.zeros_like(a0)
    return np.stack([a0, a1, a2, a3, a4, a5, zeros, zeros], axis=1).astype(np.float32)


def intensity_factors(config: AugmentConfig, uniforms: np.ndarray) -> np.ndarray:
    """Returns (n, 2) float32: what to multiply a standardised image by, and what to add then."""
    factor = 1 + config.contrast * (2 * uniforms[:, 7] - 1)
    offset = config.brightness * (2 * uniforms[:, 8] - 1)
    return np.stack([factor, offset], axis=1).astype(np.float32)


def _sign(uniform: np.ndarray, enabled: bool) -> np.ndarray:
    return np.where(enabled & (uniform < 0.5), -1.0, 1.0)


def _whole(uniform: np.ndarray, limit: int) -> np.ndarray:
    return np.floor((2 * limit + 1) * uniform) - limit


def _cosine_and_sine(degrees: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine without the 1e-16 that would blur a quarter turn by interpolation."""
    radians = np.deg2rad(degrees)
    return np.round(np.cos(radians), 12), np.round(np.sin(radians), 12)


def describe_synthetic(config: AugmentConfig) -> str:
    """Returns in words what a report says of synthetic training images."""
    return (
        f"{config.synthetic_share:.0%} of the training images are synthetic, from "
        f"{config.synthetic}; none of validation and test"
    )
