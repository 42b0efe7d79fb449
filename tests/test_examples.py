"""Every example in a docstring gives what it says."""

import doctest
import importlib
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"mammo_tf": "mammo_tf", "mammo_tf.datasets": "datasets", "mammo_tf.recipes": "recipes"}


def modules_with_examples() -> list[str]:
    return sorted(
        ".".join([package, *path.relative_to(ROOT / folder).with_suffix("").parts])
        for package, folder in FOLDERS.items()
        for path in (ROOT / folder).rglob("*.py")
        if ">>> " in path.read_text("utf-8")
    )


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples(name):
    module = importlib.import_module(name.removesuffix(".__init__"))
    result = doctest.testmod(module, extraglobs={"np": np}, optionflags=doctest.ELLIPSIS)
    assert result.failed == 0
