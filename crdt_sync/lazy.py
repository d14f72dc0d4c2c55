"""Packages that import what they offer when it is asked for: a worker process, or a short command, needs little of the
library, and soon.
"""

import importlib
import sys
from collections.abc import Callable, Mapping


def importer(
    package: str, origins: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """The `__getattr__` and the `__dir__` of a package (PEP 562); `origins`: its names, by module."""
    modules = {name: module for module, names in origins.items() for name in names}

    def resolve(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(modules[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def offered() -> list[str]:
        return sorted({*vars(sys.modules[package]), *modules})

    return resolve, offered
