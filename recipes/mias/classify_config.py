"""Settings of the three-class patch classifier; the poster gives few of them.

Poster: Jin and Zheng, "Medical Image Processing with Deep Learning". It gives no score for the
classifier in numbers. Reproduced scores: docs/recipes/mias.md.
"""

from dataclasses import dataclass, field

import keras

from mammo_tf.config import check_range
from mammo_tf.errors import UserError
from mammo_tf.models import DepthwiseCNN
from mammo_tf.pipelines.augment import AugmentConfig
from mammo_tf.pipelines.mias_films import Films
from mammo_tf.pipelines.mias_patches import CLASSES, PatchSet, centred_patches, sliding_patches
from mammo_tf.training.config import TrainingConfig

PATCH_SIZES = (128, 256)
SPLITS = ("woman", "poster")


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A way to cut patches.

    Attributes:
        patch_size: Side in pixels of the film.
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
        splits: "woman" (to be believed) and "poster" (copies divided at random: a leak).
        poster_variants: Those of `variants` that the poster's split is shown on.
        poster_repeats: Random divisions of the poster's kind; not stated in the poster.
        input_size: Side of the network's input; not stated in the poster.
        stride_share: Step of sliding windows against their side; "more" or "fewer subpictures" in
            the poster.
        normals_per_film: See `sliding_patches`.
        extra_normals: See `centred_patches`.
        lesion_copies: See `centred_patches`.
        separable: False trains the plain network instead, see `DepthwiseCNN`.
        stackwise_num_filters: See `DepthwiseCNN`.
        kernel_size: See `DepthwiseCNN`.
        pooling: See `DepthwiseCNN`.
        training: How the network is trained. What is CNN3's alone is not read: `head_pooling`,
            `stackwise_num_filters`, `dense_units`. Not stated in the poster but for rotation and
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
    splits: tuple[str, ...] = SPLITS
    poster_variants: tuple[str, ...] = ("centred128", "centred256")
    poster_repeats: int = 1
    input_size: int = 64
    stride_share: float = 0.25
    normals_per_film: int = 6
    extra_normals: int = 4
    lesion_copies: int = 5
    separable: bool = True
    stackwise_num_filters: tuple[int, int, int, int] = (16, 32, 64, 64)
    kernel_size: int = 5
    pooling: str = "average"
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            epochs=20,
            batch_size=32,
            learning_rate=3e-3,
            schedule="cosine",
            warmup_epochs=2,
            weight_decay=1e-3,
            ema_momentum=0.99,
            dropout=0.3,
            patience=None,
            num_test_views=8,
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
        _check_names("splits", self.splits, SPLITS)
        if not set(self.poster_variants) <= set(CUTS):
            raise UserError(
                f"`poster_variants` must be of {', '.join(CUTS)}. Received: {self.poster_variants}."
            )
        check_range("poster_repeats", self.poster_repeats, 1, 100)
        check_range("input_size", self.input_size, 16, 128)
        check_range("stride_share", self.stride_share, 0.01, 1)
        check_range("normals_per_film", self.normals_per_film, 1, 10_000)
        check_range("extra_normals", self.extra_normals, 0, 100)
        check_range("lesion_copies", self.lesion_copies, 0, 100)


def make_classifier(config: ClassifyConfig) -> keras.Model:
    """Builds the untrained network; it checks its own arguments."""
    return DepthwiseCNN(
        image_shape=(config.input_size, config.input_size, 1),
        num_classes=len(CLASSES),
        stackwise_num_filters=config.stackwise_num_filters,
        kernel_size=config.kernel_size,
        pooling=config.pooling,
        dropout=config.training.dropout,
        separable=config.separable,
    )


def cut_patches(films: Films, variant: str, config: ClassifyConfig, *, seed: int) -> PatchSet:
    """Cuts the patches of one variant; `seed` draws the normal ones."""
    cut = CUTS[variant]
    shared = {"patch_size": cut.patch_size, "input_size": config.input_size, "seed": seed}
    if not cut.sliding:
        return centred_patches(
            films,
            extra_normals=config.extra_normals,
            lesion_copies=config.lesion_copies,
            **shared,
        )
    return sliding_patches(
        films,
        stride=max(1, round(config.stride_share * cut.patch_size)),
        keep_edges=cut.keep_edges,
        break_lesions=cut.break_lesions,
        normals_per_film=config.normals_per_film,
        **shared,
    )


def _check_names(name: str, values: tuple[str, ...], known: tuple[str, ...]) -> None:
    if not values or len(set(values)) != len(values) or not set(values) <= set(known):
        raise UserError(
            f"`{name}` must be different ones of {', '.join(known)}. Received: {values}."
        )
