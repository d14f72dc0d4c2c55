"""Packages that import what they offer when it is asked for: a worker process needs little of the library, and soon."""

import importlib
import sys
from collections.abc import Callable, Mapping


def importer(package: str, origins: Mapping[str, tuple[str, ...]]) -> Callable[[str], object]:
    """The `__getattr__` of a package (PEP 562); `origins` has the names that it offers, by their modules."""
    modules = {name: module for module, names in origins.items() for name in names}

    def resolve(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(modules[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return resolve
