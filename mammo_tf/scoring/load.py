"""From a model's name to something that scores cases. Files are data: nothing in them is run."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from mammo_tf.record import ImageInfo
from mammo_tf.scoring.config import ScorerConfig


class Scorer(Protocol):
    """A model ready to score.

    Attributes:
        name: For tables, e.g. "model.onnx".
        config: How it is asked.
        fingerprint: Changes when the model's file, or the function's module, does.
    """

    name: str
    config: ScorerConfig
    fingerprint: str

    def score(self, decoded: Sequence[tuple[np.ndarray, ImageInfo]], what: str) -> float:
        """Returns the probability of one case.

        Args:
            decoded: (pixels, what is known) of each of its images; the label is not passed on.
            what: Names the case in errors.

        Raises:
            UserError: If the model fails or gives no probability.
        """


def load_scorer(config: ScorerConfig, *, show_traceback: bool = False) -> Scorer:
    """Loads a model.

    Keras files are loaded in safe mode, which refuses code in them; ONNX files hold none. A
    function is the user's own code and is run as such; its module is looked for in the working
    folder too.

    Args:
        config: Which one, and how it is asked.
        show_traceback: Whether a failing function's own traceback goes to stderr.

    Raises:
        UserError: If it cannot be loaded; the message says why.
    """
    if not config.is_file:
        from mammo_tf.scoring.function import FunctionScorer

        return FunctionScorer(config, show_traceback=show_traceback)
    from mammo_tf.scoring.network import load_keras, load_onnx

    return (load_keras if config.model.lower().endswith(".keras") else load_onnx)(config)
