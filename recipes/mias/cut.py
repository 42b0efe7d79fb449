"""The patches of each way to cut."""

from mammo_tf.data_source import OpenData
from mammo_tf.pipelines.plan import make_task
from mammo_tf.pipelines.task import Task
from mammo_tf.pipelines.tasks import lesion_patches, sliding_patches
from mammo_tf.recipes.mias.classify_config import CUTS, ClassifyConfig


def cut_patches(opened: OpenData, variant: str, config: ClassifyConfig, *, seed: int) -> Task:
    """Cuts the patches of one variant; `seed` draws the normal ones."""
    cut = CUTS[variant]
    shared = {
        "cache_dir": opened.cache_dir,
        "seed": seed,
        "patch_size": cut.patch_size,
        "input_size": config.input_size,
    }
    if cut.sliding:
        plan = sliding_patches(
            opened.catalog,
            opened.builder,
            stride=max(1, round(config.stride_share * cut.patch_size)),
            keep_edges=cut.keep_edges,
            break_lesions=cut.break_lesions,
            normals_per_image=config.normals_per_image,
            **shared,
        )
    else:
        plan = lesion_patches(
            opened.catalog,
            opened.builder,
            extra_normals=config.extra_normals,
            lesion_copies=config.lesion_copies,
            by_class=True,
            **shared,
        )
    cratios = {1, *config.training.augment.cratios}
    return make_task(
        plan, opened.catalog, opened.builder, cratios=sorted(cratios), cache_dir=opened.cache_dir
    )
