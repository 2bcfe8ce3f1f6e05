"""The layers: which folder may import which, and no module in a circle.

The order is that of the table in the design page. Every import counts, in whatever form and wherever it stands:
inside a function, for the types alone, relative, or by name through ``importlib``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import REPOSITORY

PACKAGE = "taskgated"


def drawn(page: str) -> tuple[frozenset[str], ...]:
    """The rows of the table of layers in the design page, the lowest first: the folders that each names."""
    _, head, rest = page.partition("| folders | what they are for |\n|---|---|\n")
    rows = rest.partition("\n\n")[0].splitlines()
    return tuple(frozenset(re.findall(r"`(\w+)`", row.split("|")[1])) for row in reversed(rows)) if head else ()


LAYERS = drawn((REPOSITORY / PACKAGE / "DESIGN.md").read_text())
PROGRAMS = {"__main__", "__init__"}
"""Beside the layers: the version, which everybody may know, and the daemon's entry, which knows what it starts."""


def modules(root: Path) -> dict[str, Path]:
    """The dotted name of each module, and its file."""
    found = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path, known: dict[str, Path]) -> Iterator[tuple[str, int]]:
    """What of ``known`` a module imports, each with its line."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names):
                wanted = [alias.name for alias in names]
            case ast.ImportFrom(module, names, level):
                base = ".".join(package.split(".")[: len(package.split(".")) - level + 1]) if level else ""
                base = ".".join(part for part in (base, module) if part)
                wanted = [f"{base}.{alias.name}" for alias in names]
            case ast.Call(
                ast.Name("__import__") | ast.Attribute(attr="import_module"), [ast.Constant(str(module)), *_]
            ):
                wanted = [module]
            case _:
                continue
        for target in wanted:
            while target and target not in known:
                target = target.rpartition(".")[0]
            if target and target != package:
                yield target, node.lineno


def folder(name: str) -> str:
    return [*name.split("."), "__init__"][1]


def rank(name: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if folder(name) in layer)


def trespasses(root: Path) -> list[str]:
    """Imports that point upwards, or to a neighbour in the same layer."""
    known = modules(root)
    wrong = []
    for name, path in known.items():
        if folder(name) in PROGRAMS:
            continue
        for target, line in imports(name, path, known):
            own = folder(target) == folder(name)
            if (
                not own
                and folder(target) != "__init__"
                and (folder(target) in PROGRAMS or rank(target) >= rank(name))
            ):
                wrong.append(f"{path.relative_to(root)}:{line}: {name} imports {target}")
    return wrong


def circles(root: Path) -> list[str]:
    """Modules that import each other, in however many steps."""
    known = modules(root)
    graph = {name: {target for target, _ in imports(name, path, known)} for name, path in known.items()}

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        ahead = list(graph[start])
        while ahead:
            name = ahead.pop()
            if name not in seen:
                seen.add(name)
                ahead += graph[name]
        return seen

    return sorted(name for name in graph if name in reached(name))


def test_every_folder_has_its_place() -> None:
    there = {folder(name) for name in modules(REPOSITORY)}
    assert sorted(there - PROGRAMS) == sorted(name for layer in LAYERS for name in layer)


def test_the_core_is_low_and_the_composition_high() -> None:
    """Whatever else is drawn: what is decided knows nothing of the outside, and nothing knows what composes it."""
    names = ("errors", "core", "host", "language", "store", "intake", "daemon")
    order = [rank(f"{PACKAGE}.{name}") for name in names]
    assert order == sorted(set(order))
    assert order[-1] == len(LAYERS) - 1


def test_imports_only_point_downwards() -> None:
    assert trespasses(REPOSITORY) == []


def test_no_module_is_in_a_circle() -> None:
    assert not circles(REPOSITORY)


@pytest.mark.parametrize(
    "line",
    [
        "from taskgated.daemon.health import Health",
        "from taskgated.daemon import health",
        "from taskgated import daemon",
        "import taskgated.daemon.health",
        "import taskgated.daemon.health as anything",
        "def f():\n    from taskgated.daemon import health",
        "if TYPE_CHECKING:\n    from taskgated.daemon import health",
        "from ..daemon import health",
        "from ..daemon.health import Health",
        "importlib.import_module('taskgated.daemon.health')",
        "__import__('taskgated.daemon')",
    ],
)
def test_no_form_of_import_is_overlooked(tmp_path: Path, line: str) -> None:
    for name in ("core/gate", "daemon/health"):
        path = tmp_path / PACKAGE / f"{name}.py"
        path.parent.mkdir(parents=True)
        path.write_text("")
        path.with_name("__init__.py").write_text("")
    (tmp_path / PACKAGE / "__init__.py").write_text("")
    assert trespasses(tmp_path) == []
    (tmp_path / PACKAGE / "core" / "gate.py").write_text(line)
    assert len(trespasses(tmp_path)) == 1


def test_a_circle_is_found(tmp_path: Path) -> None:
    (tmp_path / PACKAGE).mkdir()
    for name, other in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")):
        (tmp_path / PACKAGE / f"{name}.py").write_text(f"from taskgated import {other}\n")
    assert circles(tmp_path) == ["taskgated.a", "taskgated.b", "taskgated.c"]
