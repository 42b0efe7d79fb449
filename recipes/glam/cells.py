"""The networks of a run as cells: how each is trained and what maps it gives."""

import functools
import hashlib
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from mammo_tf.config import to_plain
from mammo_tf.errors import UserError
from mammo_tf.files import read_checked_json, write_checked_json
from mammo_tf.models.glam import GLAM
from mammo_tf.models.registry import build_model
from mammo_tf.models.unet import UNet
from mammo_tf.pipelines.task import Task
from mammo_tf.recipes.glam import maps
from mammo_tf.recipes.glam.config import GlamConfig
from mammo_tf.recipes.glam.data import image_labels, is_marked, lesion_mask
from mammo_tf.recipes.glam.measure import measure
from mammo_tf.training.cells import CellJob
from mammo_tf.training.classifier_cells import ClassifierCells, data_and_folds
from mammo_tf.training.fit import seed_everything
from mammo_tf.training.fit_glam import GlamImages, fit_glam
from mammo_tf.training.fit_unet import fit_unet
from mammo_tf.training.folds import Fold
from mammo_tf.training.reused_model import ReusedModel
from mammo_tf.training.store import SEEDS_FOLLOW_FROM, Cell, CellStore


class Networks:
    """Makes, trains and tests the networks of one run.

    Args:
        config: Of the run.
        task: See `cut_images`.
        folds: Its division.
        run_dir: The run folder.

    Raises:
        UserError: If a network refuses an option, or the weights to begin with cannot be read.
    """

    def __init__(self, config: GlamConfig, task: Task, folds: Sequence[Fold], run_dir: Path):
        self.config, self.task, self.folds, self.run_dir = config, task, folds, run_dir
        self.labels = image_labels(task)
        self.about = {
            "data_and_folds": data_and_folds(task, folds),
            "findings": _digest_of_findings(task),
            "image_shape": list(config.network.image_shape),
            "seed": config.seed,
            "seeds_follow_from": SEEDS_FOLLOW_FROM,
        }
        self.stores = {
            "glam": CellStore(run_dir, self.about | self._glam_settings()),
            "unet": CellStore(run_dir, self.about | {"unet": to_plain(config.unet)}),
            "classifier": CellStore(run_dir, self.about | {"plain": to_plain(config.classifier)}),
        }
        make = functools.partial(
            build_model,
            config.classifier.model,
            image_shape=(*config.network.image_shape, 1),
            num_outputs=len(task.class_names),
        )
        self.classifiers = ClassifierCells(
            task=task,
            config=config.classifier.training,
            run_dir=run_dir,
            seed=config.seed,
            store=self.stores["classifier"],
            reused=ReusedModel(make, config.classifier.training),
        )

    def jobs(self, kind: str, repeats: int) -> list[CellJob]:
        """Returns what is to be done for a kind of network: one job each repeat and fold.

        Args:
            kind: "glam", "unet" or "classifier".
            repeats: Trainings of each.
        """
        return [self._job(kind, fold, repeat) for repeat in range(repeats) for fold in self.folds]

    def _job(self, kind: str, fold: Fold, repeat: int) -> CellJob:
        config = self.config
        name = config.classifier.model.name if kind == "classifier" else kind
        cell = Cell(name, fold.index, (), repeat)
        epochs = {
            "glam": config.training.num_epochs,
            "unet": config.unet.training.epochs,
            "classifier": config.classifier.training.epochs,
        }[kind]
        train = getattr(self, f"_train_{kind}")
        return CellJob(
            cell=cell,
            store=self.stores[kind],
            epochs=epochs,
            train=lambda on_epoch: train(cell, fold, on_epoch),
            test=lambda: self._test(kind, cell, fold),
        )

    def _glam_settings(self) -> dict:
        config = self.config
        start = config.start and hashlib.sha256(_read(config.start)).hexdigest()
        training = to_plain(config.training)
        training.pop("most_memory_gb")  # decides no number
        return {"network": to_plain(config.network), "training": training, "start": start}

    def _make(self, kind: str) -> keras.Model:
        config = self.config
        if kind == "unet":
            return UNet(
                image_shape=config.network.image_shape,
                stackwise_num_filters=config.unet.num_filters,
            )
        return GLAM(**to_plain(config.network))

    def _train_glam(self, cell: Cell, fold: Fold, on_epoch: Callable[[], object]) -> int:
        started, seed = time.monotonic(), cell.seed(self.config.seed)
        seed_everything(seed)
        model = self._make("glam")
        if self.config.start is not None:
            _begin_with(model, self.config.start)
        images = self.task.images(1)
        history = fit_glam(
            model,
            GlamImages(
                images=np.stack([images[row] for row in fold.train]),
                labels=self.labels[fold.train],
            ),
            self.config.training,
            seed=seed,
            folder=self.run_dir / "glam" / cell.name,
            settings=self._glam_settings(),
            on_epoch=lambda entry: on_epoch(),
        )
        return self._keep("glam", cell, model, history, started)

    def _train_unet(self, cell: Cell, fold: Fold, on_epoch: Callable[[], object]) -> int:
        started, seed = time.monotonic(), cell.seed(self.config.seed)
        seed_everything(seed)
        model, images = self._make("unet"), self.task.images(1)
        rows = [row for row in fold.train if is_marked(self.task, row)]
        history = fit_unet(
            model,
            np.stack([images[row] for row in rows]) if rows else np.zeros((0, 1, 1)),
            self._masks(rows),
            self.config.unet.training,
            seed=seed,
            on_epoch=on_epoch,
        )
        return self._keep("unet", cell, model, history, started)

    def _train_classifier(self, cell: Cell, fold: Fold, on_epoch: Callable[[], object]) -> int:
        return self.classifiers.train(cell, fold, (1,), on_epoch)

    def _masks(self, rows: Sequence[int]) -> np.ndarray:
        found = [
            np.stack([lesion_mask(self.task, row, name) for name in maps.CLASSES], axis=-1)
            for row in rows
        ]
        return np.stack(found) if found else np.zeros((0, 1, 1, 2), bool)

    def _keep(self, kind: str, cell: Cell, model, history: list[dict], started: float) -> int:
        self.stores[kind].save(
            cell,
            model,
            history,
            best_epoch=len(history),
            seconds=round(time.monotonic() - started, 1),
            num_parameters=model.count_params(),
            model_config=model.get_config(),
        )
        return len(history)

    def load(self, kind: str, cell: Cell) -> keras.Model:
        """Returns a finished cell's network."""
        if kind == "classifier":
            return self.classifiers.reused.load(self.stores[kind], cell)
        model = self._make(kind)
        self.stores[kind].load_weights(cell, model)
        return model

    def _test(self, kind: str, cell: Cell, fold: Fold) -> dict[float, dict]:
        """Measures a cell at each compression ratio, or reads what was measured."""
        found, model = {}, None
        for cratio in self.config.cratios:
            path = self.stores[kind].folder / cell.name / f"segmentation-cr{cratio:g}.json"
            try:
                found[cratio] = read_checked_json(path, made_from=self.about)
                continue
            except (OSError, ValueError):  # not there yet, or damaged: made anew
                pass
            model = self.load(kind, cell) if model is None else model
            methods = functools.partial(maps.METHODS[kind], model, self.config)
            found[cratio] = measure(self.task, fold, self.labels, methods, cratio)
            write_checked_json(path, found[cratio], made_from=self.about)
        return found


def _begin_with(model: keras.Model, path: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Keras only warns of layers that it leaves as they are
            model.load_weights(path)
    except (OSError, ValueError, KeyError, UserWarning) as error:
        reason = str(error).splitlines()[0][:200]
        raise UserError(
            f"{path} has no weights of such a GLAM ({reason}). Give those of a run with the same "
            "filters and blocks of the local network."
        ) from None


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None


def _digest_of_findings(task: Task) -> str:
    found = hashlib.sha256()
    for labels, boxes in zip(task.box_labels, task.boxes, strict=True):
        found.update(np.asarray(labels, np.int64).tobytes())
        found.update(np.asarray(boxes, np.float32).tobytes() + b"\0")
    return found.hexdigest()[:16]
