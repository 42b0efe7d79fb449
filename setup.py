"""Lists the packages; all else is in setup.cfg."""

from pathlib import Path

from setuptools import setup

ROOTS = {"mammo_tf": "mammo_tf", "datasets": "mammo_tf.datasets", "recipes": "mammo_tf.recipes"}
setup(
    packages=[
        ".".join([package, *init.parent.relative_to(folder).parts])
        for folder, package in ROOTS.items()
        for init in sorted(Path(folder).rglob("__init__.py"))
    ]
)
