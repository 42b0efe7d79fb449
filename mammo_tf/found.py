"""Which data sets, models and recipes there are, told from their folders; imports none of them."""

import ast
import importlib.util
from pathlib import Path


def data_sets() -> dict[str, str]:
    """Returns the name of each data set and the first line of its README.md."""
    return {
        folder.name: _first_line(folder / "README.md").lstrip("# ")
        for folder in _folders("mammo_tf.datasets")
        if (folder / f"{folder.name}_dataset_builder.py").exists()
    }


def default_task(dataset: str) -> str:
    """Returns the task that a data set is made for, its builder's `DEFAULT_TASK`; else "auto"."""
    if dataset not in data_sets():  # refused by name where the settings are checked
        return "auto"
    folder = _package_folder("mammo_tf.datasets") / dataset
    tree = ast.parse((folder / f"{dataset}_dataset_builder.py").read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if names == ["DEFAULT_TASK"]:
                return str(node.value.value)
    return "auto"


def downloads() -> tuple[str, ...]:
    """Returns the names of the data sets whose raw files can be downloaded, sorted."""
    names = {path.stem for path in _package_folder("mammo_tf.fetch").glob("*.py")}
    return tuple(sorted(names & set(data_sets())))


def exports() -> tuple[str, ...]:
    """Returns the names of the data sets that can be written as small files, sorted."""
    folders = _folders("mammo_tf.datasets")
    return tuple(folder.name for folder in folders if (folder / "export.py").exists())


def recipes() -> dict[str, str]:
    """Returns the name of each recipe and the first line of its package's docstring."""
    return {
        folder.name: _docstring(folder / "__init__.py").partition("\n")[0]
        for folder in _folders("mammo_tf.recipes")
        if (folder / "command.py").exists()
    }


def models() -> dict[str, str]:
    """Returns the name of each model's file and that of its class; without a family's folder.

    A file is a model's when a class in it is registered with Keras.
    """
    found = {}
    for path in sorted(_package_folder("mammo_tf.models").glob("*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and any(map(_registers, node.decorator_list)):
                found[path.stem] = node.name
    return found


def _registers(decorator: ast.expr) -> bool:
    return "register_keras_serializable" in ast.unparse(decorator)


def _folders(package: str) -> list[Path]:
    return sorted(path for path in _package_folder(package).iterdir() if path.is_dir())


def _package_folder(package: str) -> Path:
    return Path(importlib.util.find_spec(package).origin).parent


def _first_line(path: Path) -> str:
    return path.read_text("utf-8").partition("\n")[0] if path.exists() else ""


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
