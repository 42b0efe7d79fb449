"""One model for many cells: making TensorFlow's graphs anew takes longer than a small training."""

from collections.abc import Callable

import keras

from mammo_tf.training.config import TrainingConfig
from mammo_tf.training.fit import compile_classifier, seed_everything
from mammo_tf.training.store import Cell, CellStore


class ReusedModel:
    """A compiled model that is as good as new whenever it is asked to be.

    Args:
        make_model: Builds the untrained model; always of the same make.
        config: How it will be trained.
    """

    def __init__(self, make_model: Callable[[], keras.Model], config: TrainingConfig):
        self._make_model = make_model
        self._config = config
        self._model = None
        self._holds = None  # (folder, cell) whose weights the model has

    def start_anew(self, seed: int) -> keras.Model:
        """Returns the model with the weights and random states of one newly made with a seed."""
        self._holds = None
        keras.utils.clear_session()
        seed_everything(seed, deterministic=self._config.deterministic)
        fresh = self._make_model()
        if self._model is None:
            self._model = fresh
            compile_classifier(fresh, self._config)
        else:
            for mine, new in zip(_states(self._model), _states(fresh), strict=True):
                mine.assign(new)
        return self._model

    def save(self, store: CellStore, cell: Cell, history: list[dict], **facts) -> None:
        """Keeps the model's weights as those of a cell, see `CellStore.save`."""
        store.save(cell, self._model, history, **facts)
        self._holds = (store.folder, cell)

    def load(self, store: CellStore, cell: Cell) -> keras.Model:
        """Returns the model with a finished cell's weights."""
        if self._holds != (store.folder, cell):
            store.load_weights(cell, self.start_anew(0))
            self._holds = (store.folder, cell)
        return self._model


def _states(model: keras.Model) -> list:
    """All variables of the layers: weights, running statistics, states of dropout."""
    return [variable for layer in model.layers for variable in layer.variables]
