"""No file of a package imports, at run time or for types alone, what imports it."""

import grimp
import pytest

PACKAGES = ("cli", "exchange", "policy", "protocol", "records", "replica", "runtime", "storage")


def circles(graph: grimp.ImportGraph, package: str) -> list[tuple[str, ...]]:
    """Each module of the package that reaches itself, with the way back."""
    names = sorted(graph.find_descendants(package))
    found = []
    for name in names:
        for imported in sorted(graph.find_modules_directly_imported_by(name)):
            if imported in names and (back := graph.find_shortest_chain(imported, name)):
                found.append((name, *back))
    return found


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("crdt_sync", exclude_type_checking_imports=False, cache_dir=None)


@pytest.mark.parametrize("package", [f"crdt_sync.{each}" for each in PACKAGES])
def test_a_package_has_no_circles_types_included(graph: grimp.ImportGraph, package: str) -> None:
    assert circles(graph, package) == []


def test_a_planted_circle_is_found(graph: grimp.ImportGraph) -> None:
    importer, imported = "crdt_sync.replica.context", "crdt_sync.replica.replica"
    graph.add_import(importer=importer, imported=imported)
    try:
        assert ("crdt_sync.replica.context", "crdt_sync.replica.replica", "crdt_sync.replica.context") in circles(
            graph, "crdt_sync.replica"
        )
    finally:
        graph.remove_import(importer=importer, imported=imported)
