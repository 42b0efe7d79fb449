"""What a detector's training needs to go on after a kill: weights, optimiser, epochs done."""

import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from mammo_tf.config import differences
from mammo_tf.errors import DataError, UserError
from mammo_tf.training.checkpoint import NAME, read_checkpoint, save_checkpoint


@dataclass
class DetectorProgress:
    """Where a training is.

    Attributes:
        history: One dict for each finished epoch.
        seconds: What they took.
    """

    history: list[dict] = field(default_factory=list)
    seconds: float = 0.0


class DetectorCheckpoint:
    """The state after the last finished epoch, in one file that is replaced in one step.

    Args:
        folder: Folder of this training alone; it need not exist.
        settings: Plain values that decide the training's numbers.

    Attributes:
        progress: Where the training was.

    Raises:
        UserError: If the file was made with other settings.
        DataError: If it is damaged.
    """

    def __init__(self, folder: str | os.PathLike, settings: dict):
        self.folder, self.settings = Path(folder), settings
        self.progress, self._arrays = DetectorProgress(), None
        if (self.folder / NAME).exists():
            about, self._arrays = read_checkpoint(self.folder / NAME)
            changed = differences(about["settings"], settings)
            if changed:
                raise UserError(
                    f"{self.folder / NAME} was trained with other settings "
                    f"({'; '.join(changed[:3])}). Take another run folder, or delete it."
                )
            self.progress = DetectorProgress(**about["progress"])
        self._started = time.monotonic() - self.progress.seconds

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return len(self.progress.history)

    @property
    def seconds(self) -> float:
        """What the training has taken so far, its earlier parts included."""
        return time.monotonic() - self._started

    def restore(self, model) -> None:
        """Sets a compiled model and its optimiser to where they were; of a new one nothing.

        Raises:
            DataError: If the file holds another network's weights.
        """
        if self._arrays is None:
            return
        variables = _variables(model)
        shapes = [tuple(variable.shape) for variable in variables]
        if [array.shape for array in self._arrays] != shapes:
            raise DataError(
                f"{self.folder / NAME} holds the weights of another network. Delete it to train "
                "anew."
            )
        for variable, array in zip(variables, self._arrays, strict=True):
            variable.assign(array)
        self._arrays = None

    def save(self, model, entry: dict) -> None:
        """Keeps the state after an epoch whose history entry is given."""
        self.folder.mkdir(parents=True, exist_ok=True)
        history = [*self.progress.history, entry]
        self.progress = DetectorProgress(history, self.seconds)
        save_checkpoint(self.folder, _variables(model), self.progress, self.settings)

    def delete(self) -> None:
        """Removes the folder; the trained model is kept elsewhere by now."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _variables(model) -> list:
    """All that changes in training: weights, states of dropout's seeds, the optimiser's own."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]
