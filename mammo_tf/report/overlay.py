"""Detections drawn over a mammogram. NumPy and Pillow only."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mammo_tf.errors import UserError

# Two colours of Okabe and Ito's palette, which colour-blind readers tell apart; the lines differ
# in style as well, so that a grey print does for all.
DETECTION_COLOUR = (230, 159, 0)
MISS_COLOUR = (86, 180, 233)
TRUTH_COLOUR = (255, 255, 255)
_HALO = (0, 0, 0)
_DASH = 5  # in line widths
_SMALLEST_FONT = 9


def draw_detections(
    image: np.ndarray,
    *,
    boxes_px: np.ndarray | Sequence,
    captions: Sequence[str] = (),
    truths_px: np.ndarray | Sequence = (),
    hits: Sequence[bool] | None = None,
    max_side: int = 900,
) -> np.ndarray:
    """Draws detections, and the true lesions if known, over a grey image.

    A detection is a solid orange box; one that hits no lesion is a dashed blue box. A true lesion
    is a thin white ellipse. All lines have a thin black edge, so that they show on bright tissue.

    Args:
        image: (height, width) uint8.
        boxes_px: (n, 4) detections in the format "yxyx", edges in pixels of `image`; 0 is the
            outer edge of the first row or column. What leaves the image is clipped.
        captions: Text beside each box, such as its score; none, or one for each box. Text that
            finds no room beside its box goes inside it, and always stays in the picture.
        truths_px: (k, 4) boxes round the true lesions, likewise; each becomes the ellipse in it.
        hits: Whether each detection hits a lesion; None if that is not known.
        max_side: The larger side of the picture in pixels; a larger image is shrunk, a smaller
            one stays as it is. At least 16.

    Returns:
        (height, width, 3) uint8; without any box it is the grey image.

    Raises:
        UserError: If the arguments do not fit together.

    Examples:
        >>> drawn = draw_detections(np.zeros((60, 40), np.uint8), boxes_px=[(10, 5, 30, 25)])
        >>> drawn.shape
        (60, 40, 3)
    """
    boxes, truths = _check_boxes("boxes_px", boxes_px), _check_boxes("truths_px", truths_px)
    _check(image, boxes, captions, hits, max_side)
    picture = Image.fromarray(np.ascontiguousarray(image)).convert("RGB")
    scale = min(1.0, max_side / max(image.shape))
    if scale < 1:
        shape = [max(1, round(side * scale)) for side in image.shape]
        picture = picture.resize(shape[::-1], Image.Resampling.BILINEAR)
    factors = np.tile(np.array(picture.size[::-1]) / image.shape, 2)
    draw = ImageDraw.Draw(picture)
    width = max(1, round(max(picture.size) / 400))
    for truth in truths * factors:
        _ellipse(draw, _pixels(truth, picture.size), max(1, width // 2))
    corners = [_pixels(box, picture.size) for box in boxes * factors]
    colours = []
    for index, corner in enumerate(corners):
        is_miss = hits is not None and not hits[index]
        colours.append(MISS_COLOUR if is_miss else DETECTION_COLOUR)
        _box(draw, corner, colours[-1], width, dashed=is_miss)
    _write_captions(draw, picture.size, corners, captions, colours)
    return np.asarray(picture).copy()


def add_footer(picture: np.ndarray, text: str) -> np.ndarray:
    """Returns a picture with text on a black strip below it; the picture itself stays as it is.

    Args:
        picture: (height, width, 3) uint8.
        text: Broken into as many lines as the width needs.

    Returns:
        (height + strip, width, 3) uint8.
    """
    height, width, _ = picture.shape
    size = max(_SMALLEST_FONT, round(max(height, width) / 75))
    font = ImageFont.load_default(size=size)
    draw = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and draw.textlength(longer, font=font) > width - size:
            lines.append(word)
        else:
            lines[-1] = longer
    strip = Image.new("RGB", (width, round(1.4 * size * len(lines) + size)))
    ImageDraw.Draw(strip).multiline_text(
        (size // 2, size // 2), "\n".join(lines), fill=TRUTH_COLOUR, font=font, spacing=0.3 * size
    )
    return np.concatenate([picture, np.asarray(strip)])


def png_bytes(array: np.ndarray) -> bytes:
    """Encodes a picture as PNG.

    Args:
        array: (height, width) or (height, width, 3) uint8, or (height, width) uint16.

    Returns:
        The content of a PNG file, with nothing in it but the pixels.
    """
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array)).save(stream, format="PNG")
    return stream.getvalue()


def data_uri(array: np.ndarray) -> str:
    """Encodes a picture as "data:image/png;base64,…", for `mammo_tf.report.Figure`."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(array)).decode("ascii")


def _check_boxes(name: str, boxes) -> np.ndarray:
    array = np.asarray(boxes, np.float64)
    array = array.reshape(0, 4) if array.size == 0 else array
    if array.ndim != 2 or array.shape[1] != 4 or not np.isfinite(array).all():
        raise UserError(f"`{name}` must be (n, 4) finite numbers. Received: {array.shape}.")
    if (array[:, 2:] < array[:, :2]).any():
        raise UserError(f"`{name}` must be (ymin, xmin, ymax, xmax), each minimum first.")
    return array


def _check(image, boxes, captions, hits, max_side) -> None:
    if image.ndim != 2 or image.dtype != np.uint8 or not image.size:
        raise UserError(
            f"`image` must be (height, width) uint8. Received: {image.shape} {image.dtype}."
        )
    if len(captions) not in (0, len(boxes)):
        raise UserError(
            f"`captions` must be none or one for each of the {len(boxes)} boxes. "
            f"Received: {len(captions)}."
        )
    if hits is not None and len(hits) != len(boxes):
        raise UserError(
            f"`hits` must be None or one for each of the {len(boxes)} boxes. Received: {len(hits)}."
        )
    if max_side < 16:
        raise UserError(f"`max_side` must be at least 16. Received: {max_side}.")


def _pixels(box: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom): the outermost pixels of a box, all within the picture."""
    limits = np.array([size[1], size[0]]) - 1
    low = np.clip(np.floor(box[:2]), 0, limits).astype(int)
    high = np.clip(np.ceil(box[2:]) - 1, low, limits).astype(int)
    return int(low[1]), int(low[0]), int(high[1]), int(high[0])


def _box(draw, corner, colour, width: int, *, dashed: bool) -> None:
    """Draws inwards from the box's edge, so that it never leaves the picture."""
    left, top, right, bottom = corner
    bars = [
        (left, top, right, min(top + width - 1, bottom)),
        (left, max(bottom - width + 1, top), right, bottom),
        (left, top, min(left + width - 1, right), bottom),
        (max(right - width + 1, left), top, right, bottom),
    ]
    if dashed:
        bars = [dash for bar in bars for dash in _dashes(bar, _DASH * width)]
    for bar in bars:
        draw.rectangle(_grown(bar, 1), fill=_HALO)
    for bar in bars:
        draw.rectangle(bar, fill=colour)


def _dashes(bar, length: int) -> list[tuple[int, int, int, int]]:
    """Cuts a bar into dashes with gaps as long between them; it begins and ends with a dash."""
    left, top, right, bottom = bar
    along = max(right - left, bottom - top) + 1
    count = max(1, round((along / length + 1) / 2))
    found = []
    for index in range(count):
        start = round(along * 2 * index / (2 * count - 1))
        end = round(along * (2 * index + 1) / (2 * count - 1)) - 1
        if right - left > bottom - top:
            found.append((left + start, top, left + end, bottom))
        else:
            found.append((left, top + start, right, top + end))
    return found


def _ellipse(draw, corner, width: int) -> None:
    draw.ellipse(_grown(corner, 1), outline=_HALO, width=width + 2)
    draw.ellipse(corner, outline=TRUTH_COLOUR, width=width)


def _grown(corner, by: int) -> tuple[int, int, int, int]:
    left, top, right, bottom = corner
    return left - by, top - by, right + by, bottom + by


def _write_captions(draw, size, corners, captions, colours) -> None:
    font_size = max(_SMALLEST_FONT, round(max(size) / 55))
    font = ImageFont.load_default(size=font_size)
    margin = max(1, font_size // 6)
    taken = []
    for corner, caption, colour in zip(corners, captions, colours, strict=False):
        text = _shorten(draw, caption, font, size[0] - 2 * margin)
        if not text:
            continue
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        width, height = right - left + 2 * margin, bottom - top + 2 * margin
        place = _place(corner, (width, height), size, taken)
        taken.append(place)
        draw.rectangle(place, fill=_HALO)
        draw.text((place[0] + margin - left, place[1] + margin - top), text, fill=colour, font=font)


def _shorten(draw, text: str, font, most: int) -> str:
    """One line that is no wider than the picture."""
    text = " ".join(text.split())
    if draw.textlength(text, font=font) <= most:
        return text
    while text and draw.textlength(text + "…", font=font) > most:
        text = text[:-1]
    return text + "…" if text else ""


def _place(corner, extent, size, taken) -> tuple[int, int, int, int]:
    """Where a caption goes: (left, top, right, bottom), above, below, beside or in its box."""
    left, top, right, bottom = corner
    width, height = extent
    wanted = [
        (left, top - height - 2),
        (left, bottom + 2),
        (right + 2, top),
        (left - width - 2, top),
        (left + 2, top + 2),
        (left + 2, bottom - height - 2),
    ]
    inside = [
        (x, y)
        for x, y in wanted
        if x >= 0 and y >= 0 and x + width <= size[0] and y + height <= size[1]
    ]
    # The box above and the box below as near as the picture lets them, if nothing else fits.
    shifted = [
        (min(max(x, 0), max(size[0] - width, 0)), min(max(y, 0), max(size[1] - height, 0)))
        for x, y in wanted
    ]
    candidates = [(x, y, x + width - 1, y + height - 1) for x, y in inside + shifted]
    free = [place for place in candidates if not any(_overlap(place, other) for other in taken)]
    return (free or candidates)[0]


def _overlap(first, second) -> bool:
    return (
        first[0] <= second[2]
        and second[0] <= first[2]
        and first[1] <= second[3]
        and second[1] <= first[3]
    )
