"""Names of a package whose modules are imported when one is asked for."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(package: str, modules: Mapping[str, tuple[str, ...]]) -> Callable[[str], Any]:
    """A package's `__getattr__` (PEP 562), for settings and help that must not wait for networks.

    Args:
        package: The package's name, its `__name__`.
        modules: For each module of it the names that the package offers.

    Returns:
        A function from a name to what the module has under it; AttributeError for any other.
    """
    homes = {name: module for module, names in modules.items() for name in names}

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return find
