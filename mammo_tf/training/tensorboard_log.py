"""What TensorBoard shows of a training: curves over epochs, PR curves, hyperparameters."""

import hashlib
from pathlib import Path

import numpy as np

from mammo_tf.errors import UserError

PR_THRESHOLDS = 201


class CellLog:
    """Writes one run of TensorBoard; a context manager.

    Args:
        log_dir: The run's folder; below the folder given to `tensorboard --logdir`.

    Raises:
        UserError: If TensorBoard is not installed.
    """

    def __init__(self, log_dir: str | Path):
        try:
            import tensorboard  # noqa: F401
        except ImportError:
            raise UserError(
                "TensorBoard is not installed, and the run's curves are written for it. "
                "Install it: pip install tensorboard."
            ) from None
        import tensorflow as tf

        self._tf = tf
        self._folder = Path(log_dir).resolve()
        self._writer = tf.summary.create_file_writer(str(log_dir))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._writer.close()

    def epoch(self, entry: dict) -> None:
        """Writes the scalars of one epoch and flushes, so that a running server shows them."""
        names = {
            "loss": "train/loss",
            "val_loss": "validation/loss",
            "val_auroc": "validation/auroc",
            "learning_rate": "train/learning_rate",
        }
        self.scalars({tag: entry[key] for key, tag in names.items()}, step=entry["epoch"])

    def scalars(self, values: dict[str, float], *, step: int) -> None:
        """Writes scalars by tag."""
        with self._writer.as_default():
            for tag, value in values.items():
                self._tf.summary.scalar(tag, value, step=step)
        self._writer.flush()

    def image(self, tag: str, pixels, *, step: int) -> None:
        """Writes a picture, (height, width, 3) uint8."""
        with self._writer.as_default():
            self._tf.summary.image(tag, np.asarray(pixels)[np.newaxis], step=step)
        self._writer.flush()

    def pr_curve(self, tag: str, labels, scores, *, step: int) -> None:
        """Writes the precision-recall curve of test predictions.

        Args:
            tag: Name of the curve, e.g. "test".
            labels: (n,) int, 0 or 1.
            scores: (n,) float in [0, 1].
            step: The epoch whose weights made the predictions.
        """
        from tensorboard.plugins.pr_curve import summary

        summary_proto = summary.pb(
            tag,
            labels=np.asarray(labels).astype(bool),
            predictions=np.asarray(scores, np.float64),
            num_thresholds=PR_THRESHOLDS,
        )
        with self._writer.as_default():
            self._tf.summary.experimental.write_raw_pb(summary_proto.SerializeToString(), step=step)
        self._writer.flush()

    def hparams(self, values: dict[str, float | str | bool], *, name: str) -> None:
        """Writes the hyperparameters of this run; its scalars are the metrics beside them.

        Args:
            values: By name; numbers, texts or booleans.
            name: Name of the run in TensorBoard's table; made unique by the folder's place, since
                TensorBoard takes trials of one name in two run folders for one.
        """
        from tensorboard.plugins.hparams import api

        place = hashlib.sha256(str(self._folder).encode()).hexdigest()[:8]
        with self._writer.as_default():
            api.hparams(values, trial_id=f"{name}-{place}")
        self._writer.flush()
