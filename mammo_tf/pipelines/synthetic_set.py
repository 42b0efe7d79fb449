"""Synthetic patches on disk: a TFDS data set that says of itself that it is synthetic."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from mammo_tf.errors import DataError, UserError
from mammo_tf.pipelines.synthesis import SYNTHETIC_CLASSES, SyntheticPatches

NAME, VERSION = "synthetic_patches", "1.0.0"


def write_synthetic(patches: SyntheticPatches, folder: str | Path) -> Path:
    """Writes patches as a TFDS data set with one split, "train".

    Args:
        patches: What to write.
        folder: A new folder, or an empty one; it appears whole or not at all.

    Returns:
        The folder that `tfds.builder_from_directory` reads.

    Raises:
        UserError: If the folder holds something already.
    """
    from mammo_tf.datasets.grey_image import grey_image

    folder = check_new(folder)
    shape, dtype = patches.images.shape[1:], patches.images.dtype.type

    class Writer(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        """Synthetic lesions on normal tissue, made by ciGAN."""

        name = NAME
        VERSION = tfds.core.Version(VERSION)

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                description="SYNTHETIC: patches made by ciGAN, no images of patients. Never to be "
                "tested on.",
                features=tfds.features.FeaturesDict(
                    {
                        "id": tfds.features.Text(),
                        "image": grey_image(shape, dtype),
                        "mask": grey_image(shape, np.uint8),
                        "label": tfds.features.ClassLabel(names=SYNTHETIC_CLASSES),
                        "is_synthetic": np.bool_,
                        "normal_id": tfds.features.Text(),
                        "lesion_id": tfds.features.Text(),
                    }
                ),
                metadata=tfds.core.MetadataDict(is_synthetic=True, patients=list(patches.patients)),
            )

        def _log_download_bytes(self):
            """Nothing is downloaded."""

        def _log_download_done(self):
            """TFDS would name the folder before it is moved into place."""

        def _split_generators(self, _dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for row in range(len(patches)):
                key = f"synthetic-{row:06}"
                yield (
                    key,
                    {
                        "id": key,
                        "image": patches.images[row][..., np.newaxis],
                        "mask": patches.masks[row][..., np.newaxis].astype(np.uint8),
                        "label": str(patches.labels[row]),
                        "is_synthetic": True,
                        "normal_id": str(patches.normal_ids[row]),
                        "lesion_id": str(patches.lesion_ids[row]),
                    },
                )

    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".partial-{folder.name}-"))
    try:
        Writer(data_dir=partial).download_and_prepare()
        if folder.exists():
            folder.rmdir()
        partial.chmod(0o755)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder / NAME / VERSION


def check_new(folder: str | Path) -> Path:
    """Returns the path of a folder that is new or empty; raises UserError for any other."""
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not empty. Nothing was changed; choose another folder.")
    return folder


def read_synthetic(folder: str | Path) -> SyntheticPatches:
    """Reads what `write_synthetic` wrote, in the order in which the patches were made.

    Raises:
        UserError: If the folder holds no synthetic data set.
        DataError: If it is damaged.
    """
    path = Path(folder) / NAME / VERSION
    if not (path / "dataset_info.json").exists():
        raise UserError(
            f"{folder} holds no synthetic patches: there is no {NAME}/{VERSION} in it. Give the "
            "folder that they were written to."
        )
    try:
        builder = tfds.builder_from_directory(path)
        labels = builder.info.features["label"]
        found = sorted(tfds.as_numpy(builder.as_dataset(split="train")), key=lambda one: one["id"])
        patients = tuple(builder.info.metadata["patients"])
        if len(found) != builder.info.splits["train"].num_examples or not found:
            raise ValueError("it has fewer patches than it says")
        return SyntheticPatches(
            images=np.stack([one["image"][..., 0] for one in found]),
            masks=np.stack([one["mask"][..., 0] for one in found]) != 0,
            labels=np.array([labels.int2str(int(one["label"])) for one in found]),
            normal_ids=np.array([one["normal_id"].decode() for one in found]),
            lesion_ids=np.array([one["lesion_id"].decode() for one in found]),
            patients=patients,
        )
    except Exception as error:  # TFDS and TensorFlow raise many kinds on a damaged file
        raise DataError(
            f"{path} is damaged ({type(error).__name__}). Delete it and make the patches again."
        ) from error


def check_patients(patches: SyntheticPatches, held_out, folder: str | Path) -> None:
    """Raises UserError if the network knew anyone of a validation or test part: that would leak.

    Args:
        patches: The synthetic patches.
        held_out: The patients of validation and test parts.
        folder: Where the patches come from, for the message.
    """
    shared = set(patches.patients) & set(np.asarray(held_out).tolist())
    if shared:
        raise UserError(
            f"{folder} was made by a network that learned from {len(shared)} patients of this "
            "run's validation or test part, so it was made from another split. Make it from the "
            "training part of this one."
        )
