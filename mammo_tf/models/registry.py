"""Classifiers by name: one file of this folder each. No list to extend.

What a model's options are is read from its source, so that settings can be checked and shown
without importing a network.
"""

import ast
import dataclasses
import difflib
import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mammo_tf.config import check_choice, parse_like
from mammo_tf.errors import UserError
from mammo_tf.found import models

# Given by the task, not by the user.
_GIVEN = ("image_shape", "num_classes")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which network, and its options.

    Attributes:
        name: A file of `mammo_tf.models`, e.g. "cnn3"; `mammo_tf.found.models` lists them.
        options: Keyword arguments of its class; those left out have the class's defaults, and
            are filled in, so that the settings of a run say all. On the command line
            `--set model.dropout=0.3`.

    Raises:
        UserError: For an unknown model or option, or a value of another type than the default's.

    Examples:
        >>> ModelConfig(name="cnn3", options={"dropout": 0.3}).options["head_pooling"]
        'flatten'
    """

    name: str = "cnn3"
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        check_choice("model", self.name, models())
        known = model_options(self.name)
        for name, value in self.options.items():
            if name not in known:
                raise UserError(_unknown(self.name, name, known))
            if not _is_like(value, known[name]):
                raise UserError(
                    f"`model.{name}` must be like its default, {known[name]!r}. "
                    f"Received: {value!r}."
                )
        object.__setattr__(self, "options", known | dict(self.options))

    def replace_options(self, assignments: Mapping[str, str]) -> "ModelConfig":
        """Returns a copy with options changed as the command line gives them, as text.

        Args:
            assignments: Options; "name" may be among them, and another model than this starts
                from its own defaults.
        """
        assignments = dict(assignments)
        name = assignments.pop("name", self.name)
        base = self if name == self.name else ModelConfig(name=name)
        known = model_options(base.name)
        changes = {}
        for option, text in assignments.items():
            if option not in known:
                raise UserError(_unknown(base.name, option, known))
            changes[option] = parse_like(text, known[option], f"model.{option}")
        return dataclasses.replace(base, options=dict(base.options) | changes)


def model_options(name: str) -> dict[str, Any]:
    """Returns the options of a model and their defaults, read from its source.

    Args:
        name: A file of `mammo_tf.models`.
    """
    init = next(
        (
            node
            for node in _public_class(name).body
            if isinstance(node, ast.FunctionDef) and node.name == "__init__"
        ),
        None,
    )
    if init is None:
        return {}
    pairs = zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)
    return {
        argument.arg: ast.literal_eval(default)
        for argument, default in pairs
        if argument.arg not in _GIVEN and default is not None
    }


def build_model(config: ModelConfig, *, image_shape: tuple[int, int, int], num_outputs: int = 1):
    """Builds an untrained classifier.

    Args:
        config: Which one.
        image_shape: (height, width, channels) of its input.
        num_outputs: Logits: 1 for two classes, else one a class.

    Returns:
        A `keras.Model`.

    Raises:
        UserError: If the model cannot have so many outputs, or refuses an option.
    """
    tree = _public_class(config.name)
    module = importlib.import_module(f"mammo_tf.models.{config.name}")
    make = getattr(module, tree.name)
    options = dict(config.options)
    if _takes(tree, "num_classes"):
        options["num_classes"] = num_outputs
    elif num_outputs != 1:
        raise UserError(
            f"The model '{config.name}' has one output, for two classes. This task has "
            f"{num_outputs}; choose a model whose class takes `num_classes`."
        )
    return make(image_shape=tuple(image_shape), **options)


def _public_class(name: str) -> ast.ClassDef:
    path = Path(importlib.util.find_spec("mammo_tf.models").origin).parent / f"{name}.py"
    tree = ast.parse(path.read_text("utf-8"))
    wanted = models()[name]
    return next(node for node in tree.body if getattr(node, "name", "") == wanted)


def _takes(tree: ast.ClassDef, argument: str) -> bool:
    return any(
        argument == arg.arg
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name == "__init__"
        for arg in node.args.kwonlyargs
    )


def _is_like(value: Any, default: Any) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if isinstance(default, float):
        return isinstance(value, int | float)
    if isinstance(default, tuple):
        return isinstance(value, tuple | list)
    return default is None or isinstance(value, type(default))


def _unknown(model: str, option: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(option, known, n=2, cutoff=0.5)
    hint = f" Did you mean model.{' or model.'.join(near)}?" if near else ""
    return f"The model '{model}' has no option `{option}`, only {', '.join(known) or 'none'}.{hint}"
