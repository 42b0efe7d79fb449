"""A scorer that is a Python function of the user's own."""

import hashlib
import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.record import ImageInfo
from mammo_tf.scoring.answer import read_answer, to_probability
from mammo_tf.scoring.config import ScorerConfig
from mammo_tf.scoring.views import make_view


class FunctionScorer:
    """Calls "package.module:function" with a `ScoredView`, or with a tuple of a unit's images.

    Importing the module and calling the function run the user's own code.

    Args:
        config: How it is asked; `config.model` names it.
        show_traceback: Whether the user's own traceback is written to stderr when the function
            fails.

    Raises:
        UserError: If the module or the function cannot be found or imported.
    """

    def __init__(self, config: ScorerConfig, *, show_traceback: bool = False):
        self.config = config
        self.name = config.model
        self.show_traceback = show_traceback
        self._function, source = self._load()
        self.fingerprint = hashlib.sha256(source).hexdigest()

    def score(self, decoded: Sequence[tuple[np.ndarray, ImageInfo]], what: str) -> float:
        """Scores one case.

        Args:
            decoded: (pixels, what is known) of each of its images.
            what: Names the case in errors.

        Raises:
            UserError: If the function raises an exception, or does not answer with a score.
        """
        config = self.config
        images = tuple(
            make_view(pixels, info, config, config.input_shape) for pixels, info in decoded
        )
        argument = images[0] if config.unit == "image" else images
        who = f"--scorer {config.model}, {what}"
        try:
            answer = self._function(argument)
        except (Exception, SystemExit) as error:
            raise self._failed(error, who) from error
        return to_probability(read_answer(answer, who), config.output, who)

    def _load(self) -> tuple[Callable, bytes]:
        module_name, _, function_name = self.config.model.partition(":")
        # As `python -m` has it; last, so that a file of the folder hides no installed module.
        if os.getcwd() not in sys.path and "" not in sys.path:
            sys.path.append(os.getcwd())
        who = f"--scorer {self.config.model}"
        try:
            module = importlib.import_module(module_name)
        except (Exception, SystemExit) as error:
            raise self._failed(error, who) from error
        function = getattr(module, function_name, None)
        if not callable(function):
            raise UserError(f"{who}: {module_name} has no function {function_name!r}.")
        try:
            source = Path(inspect.getfile(module)).read_bytes()
        except (TypeError, OSError):
            source = b""
        return function, self.config.model.encode() + b"\n" + source

    def _failed(self, error: BaseException, who: str) -> UserError:
        if self.show_traceback:
            traceback.print_exception(error, file=sys.stderr)
        frames = traceback.extract_tb(error.__traceback__)
        where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
        hint = "" if self.show_traceback else " Add --scorer-traceback to see where."
        return UserError(f"{who}: {type(error).__name__}: {error}{where}.{hint}")
