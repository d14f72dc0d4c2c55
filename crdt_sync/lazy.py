"""Packages that import what they offer when it is asked for: a worker process, or a short command, needs little of the
library, and soon.
"""

import importlib
import sys
from collections.abc import Callable, Mapping


def importer(
    package: str, origins: Mapping[str, tuple[str, ...]], whole: tuple[str, ...] = ()
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """The `__getattr__` and the `__dir__` of a package (PEP 562); `origins`: its names, by module; `whole`: modules
    that it offers as such. What is listed is its `__all__`, imported already or not.
    """
    modules = {name: module for module, names in origins.items() for name in names}
    offered_whole = {module.rpartition(".")[2]: module for module in whole}

    def resolve(name: str) -> object:
        if name in modules:
            value = getattr(importlib.import_module(modules[name]), name)
        elif name in offered_whole:
            value = importlib.import_module(offered_whole[name])
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        setattr(sys.modules[package], name, value)
        return value

    def offered() -> list[str]:
        return sorted(vars(sys.modules[package])["__all__"])

    return resolve, offered
