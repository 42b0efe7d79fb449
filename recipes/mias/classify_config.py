"""Settings of the three-class patch classifier; the poster gives few of them.

Poster: Jin and Zheng, "Medical Image Processing with Deep Learning". It gives no score for the
classifier in numbers. Reproduced scores: docs/recipes/mias.md.
"""

from dataclasses import dataclass, field

from mammo_tf.config import check_range
from mammo_tf.errors import UserError
from mammo_tf.models.registry import ModelConfig
from mammo_tf.pipelines.augment import AugmentConfig
from mammo_tf.recipes.mias.division import check_splits
from mammo_tf.training.config import TrainingConfig

PATCH_SIZES = (128, 256)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A way to cut patches.

    Attributes:
        patch_size: Side in pixels of 0.2 mm, those of mini-MIAS.
        sliding: False for patches centred on lesions.
        keep_edges: Of sliding windows, see `sliding_patches`.
        break_lesions: Of sliding windows, see `sliding_patches`.
    """

    patch_size: int
    sliding: bool = False
    keep_edges: bool = True
    break_lesions: bool = True


def _cuts() -> dict[str, Cut]:
    cuts = {f"centred{size}": Cut(patch_size=size) for size in PATCH_SIZES}
    for size in PATCH_SIZES:
        for edges, keep_edges in (("edges", True), ("inner", False)):
            for lesion, break_lesions in (("break", True), ("whole", False)):
                cuts[f"sliding{size}_{edges}_{lesion}"] = Cut(
                    patch_size=size,
                    sliding=True,
                    keep_edges=keep_edges,
                    break_lesions=break_lesions,
                )
    return cuts


# The poster's figure: 128 or 256 pixels; keep edges or not; break the tumour or not.
CUTS = _cuts()


@dataclass(frozen=True, kw_only=True)
class ClassifyConfig:
    """Everything that decides the classifier's numbers, but folds and seed.

    Attributes:
        variants: Names from `CUTS`: "centred128", "centred256", and "sliding" with 128 or 256,
            "_edges" or "_inner" (edges kept or not), "_break" or "_whole" (lesions broken or not).
        splits: "patient" (to be believed), "poster" (copies divided at random: a leak), or both;
            None for both, but for "patient" alone where a data set has a split of its own.
        poster_variants: Those of `variants` that the poster's split is shown on.
        poster_repeats: Random divisions of the poster's kind; not stated in the poster.
        input_size: Side of the network's input; not stated in the poster.
        stride_share: Step of sliding windows against their side; "more" or "fewer subpictures" in
            the poster.
        normals_per_image: See `sliding_patches`.
        extra_normals: See `lesion_patches`.
        lesion_copies: See `lesion_patches`.
        model: The network, one that takes `num_classes`; the poster's is "depthwise_cnn".
        training: How the network is trained. Not stated in the poster but for rotation and
            vertical flip; the numbers are those with which CNN3 tells lesions from normal tissue.

    Raises:
        UserError: If a value is out of its range.
    """

    variants: tuple[str, ...] = (
        "centred128",
        "centred256",
        "sliding128_edges_break",
        "sliding128_inner_whole",
    )
    splits: tuple[str, ...] | None = None
    poster_variants: tuple[str, ...] = ("centred128", "centred256")
    poster_repeats: int = 1
    input_size: int = 64
    stride_share: float = 0.25
    normals_per_image: int = 6
    extra_normals: int = 4
    lesion_copies: int = 5
    model: ModelConfig = field(
        default_factory=lambda: ModelConfig(name="depthwise_cnn", options={"dropout": 0.3})
    )
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            epochs=20,
            batch_size=32,
            learning_rate=3e-3,
            schedule="cosine",
            warmup_epochs=2,
            weight_decay=1e-3,
            ema_momentum=0.99,
            patience=None,
            num_test_copies=8,
            # With turns by any angle a mirror image stands for the vertical flip too.
            augment=AugmentConfig(
                horizontal_flip=True,
                rotation_degrees=180,
                shift_px=4,
                scale_range=(0.9, 1.1),
                fill_mode="constant",
            ),
        )
    )

    def __post_init__(self):
        _check_names("variants", self.variants, tuple(CUTS))
        check_splits(self.splits)
        if not set(self.poster_variants) <= set(CUTS):
            raise UserError(
                f"`poster_variants` must be of {', '.join(CUTS)}. Received: {self.poster_variants}."
            )
        check_range("poster_repeats", self.poster_repeats, 1, 100)
        check_range("input_size", self.input_size, 16, 128)
        check_range("stride_share", self.stride_share, 0.01, 1)
        check_range("normals_per_image", self.normals_per_image, 1, 10_000)
        check_range("extra_normals", self.extra_normals, 0, 100)
        check_range("lesion_copies", self.lesion_copies, 0, 100)


def _check_names(name: str, values: tuple[str, ...], known: tuple[str, ...]) -> None:
    if not values or len(set(values)) != len(values) or not set(values) <= set(known):
        raise UserError(
            f"`{name}` must be different ones of {', '.join(known)}. Received: {values}."
        )
