"""What follows from the number of a classifier's outputs: its loss, its measures, its scores."""

import keras
import numpy as np
from scipy.special import expit, log_softmax, softmax
from sklearn.metrics import roc_auc_score

from mammo_tf.errors import UserError


class BinaryHead:
    """One logit; positive means class 1. Logits and probabilities are (n,)."""

    num_classes = 2
    needs = "both classes"

    def loss(self, label_smoothing: float) -> keras.losses.Loss:
        """The training loss on (b, 1) labels and (b, 1) logits."""
        return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=label_smoothing)

    def logits(self, outputs: np.ndarray) -> np.ndarray:
        """A model's outputs as float64 of the shape that the other methods take."""
        return outputs.astype(np.float64).reshape(-1)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """(n,) probabilities of class 1."""
        return expit(logits)

    def losses(self, labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """(n,) cross-entropy of each example, without smoothing and weights."""
        return np.logaddexp(0, np.where(labels == 1, -logits, logits))

    def auroc(self, labels: np.ndarray, logits: np.ndarray) -> float:
        """AUROC of class 1."""
        return float(roc_auc_score(labels, logits))

    def check_labels(self, labels: np.ndarray) -> None:
        """Any labels pass here; the counts by class are checked."""

    def describe(self, counts) -> str:
        """The numbers of examples of each class, for a message."""
        return f"{counts[0]} negative and {counts[1]} positive"


class SoftmaxHead:
    """K logits, one a class. Logits and probabilities are (n, K).

    Args:
        num_classes: K, at least 2.
    """

    needs = "every class"

    def __init__(self, num_classes: int):
        self.num_classes = num_classes

    def loss(self, label_smoothing: float) -> keras.losses.Loss:
        """The training loss on (b, 1) labels 0 … K − 1 and (b, K) logits."""
        return _SparseCrossentropy(self.num_classes, label_smoothing)

    def logits(self, outputs: np.ndarray) -> np.ndarray:
        """A model's outputs as float64 of the shape that the other methods take."""
        return outputs.astype(np.float64)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """(n, K) softmax."""
        return softmax(logits, axis=1)

    def losses(self, labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """(n,) cross-entropy of each example, without smoothing and weights."""
        return -log_softmax(logits, axis=1)[np.arange(len(labels)), labels]

    def auroc(self, labels: np.ndarray, logits: np.ndarray) -> float:
        """Mean over the classes that occur of the AUROC of each against all others."""
        scores = self.probabilities(logits)
        present = [k for k in range(self.num_classes) if (labels == k).any()]
        return float(np.mean([roc_auc_score(labels == k, scores[:, k]) for k in present]))

    def check_labels(self, labels: np.ndarray) -> None:
        """Raises a UserError if a label is none of 0 … K − 1."""
        if not np.isin(labels, np.arange(self.num_classes)).all():
            raise UserError(
                f"Labels must be whole numbers from 0 to {self.num_classes - 1}. "
                f"Received: {np.unique(labels)[:5].tolist()}."
            )

    def describe(self, counts) -> str:
        """The numbers of examples of each class, for a message."""
        return ", ".join(f"{count} of class {k}" for k, count in enumerate(counts))


def head_of(model: keras.Model) -> BinaryHead | SoftmaxHead:
    """The head for a model's outputs: (batch, 1) or (batch, K)."""
    units = model.output_shape[-1]
    return BinaryHead() if units == 1 else SoftmaxHead(units)


class _SparseCrossentropy(keras.losses.Loss):
    """Keras' sparse loss has no label smoothing, and its other one wants one-hot labels."""

    def __init__(self, num_classes: int, label_smoothing: float):
        super().__init__(name="sparse_crossentropy")
        self.num_classes = num_classes
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        labels = keras.ops.cast(keras.ops.reshape(y_true, (-1,)), "int32")
        return keras.losses.categorical_crossentropy(
            keras.ops.one_hot(labels, self.num_classes),
            y_pred,
            from_logits=True,
            label_smoothing=self.label_smoothing,
        )
