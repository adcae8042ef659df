"""What a recording of an explorable is made from: the definitions of the package that it reaches.

    parts_of(lessons/euler/euler_polygon.py)    # {(file, code), ...}

Names are followed from definition to definition, through the imports of each file. So a function
that is added beside one that is used changes nothing, nor do docstrings, comments and empty lines.
What a file does when it is imported, besides defining names, counts always.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

__all__ = ["forget", "parts_of"]

# What changes no picture: the titles of lessons, and what no explorable uses, compiled solves and
# trainings in several processes.
SILENT = ("course/syllabus.py", "solvers/compiled/", "training/distributed.py")
ACTS = ""  # in place of a name: the statements of a file that bind none


class Import(NamedTuple):
    """Where a name comes from: that of a file, or, without a name, the file itself."""

    file: Path
    name: str | None


class Module(NamedTuple):
    """The statements of a file.

    Attributes:
        names: a name of the file -> the statements that bind it.
        imports: a name -> where in the package it comes from.
        acts: the statements that bind no name.
        lines: of code, "" for those of docstrings and comments.
    """

    names: dict[str, list[ast.stmt]]
    imports: dict[str, Import]
    acts: list[ast.stmt]
    lines: list[str]


def parts_of(package: Path, file: Path) -> frozenset[tuple[str, str]]:
    """(file, code) of all definitions in `package` that `file` reaches, itself among them."""
    found: set[tuple[str, str]] = set()
    known: set[Import] = set()
    left = [Import(file, None)]
    while left:
        part = left.pop()
        path = part.file.relative_to(package).as_posix()
        if part not in known and not path.startswith(SILENT):
            known.add(part)
            codes, reached = _part(package, part)
            found |= {(path, code) for code in codes}
            left += reached
    return frozenset(found)


def forget() -> None:
    """Read the files anew: they have changed."""
    _module.cache_clear()
    _part.cache_clear()


@cache
def _part(package: Path, part: Import) -> tuple[list[str], list[Import]]:
    """The code of a definition, and what it reaches."""
    module = _module(package, part.file)
    reached = []
    if part.name == ACTS:
        statements = module.acts
        # To import a file is to import the folders that it lies in.
        for folder in part.file.relative_to(package).parents:
            first = package / folder / "__init__.py"
            if first.exists():
                reached.append(Import(first, ACTS))
    elif part.name is None:
        statements = [s for bound in module.names.values() for s in bound]
    else:
        statements = module.names.get(part.name, [])
        if part.name in module.imports:
            reached.append(module.imports[part.name])
    reached.append(Import(part.file, ACTS))
    for statement in statements:
        reached += _reached(package, part.file, module, statement)
    return [_code(module, statement) for statement in statements], reached


def _reached(package: Path, file: Path, module: Module, statement: ast.stmt) -> Iterator[Import]:
    """What the names in a statement stand for."""
    used = [node.id for node in ast.walk(statement) if isinstance(node, ast.Name)]
    attributes = [
        (node.value.id, node.attr)
        for node in ast.walk(statement)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    ]
    for name in sorted(set(used)):
        if name in module.names:
            yield Import(file, name)
        if name not in module.imports:
            continue
        target = module.imports[name]
        parts = [attribute for base, attribute in attributes if base == name]
        if target.name is None and len(parts) == used.count(name):  # of a file, only these
            for part in parts:
                yield _target(package, target.file, part)
        else:
            yield target


@cache
def _module(package: Path, file: Path) -> Module:
    text = file.read_text("utf-8")
    tree = ast.parse(text)
    module = Module({}, {}, [], _lines(text, tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            place = file.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            for alias in node.names:
                target = _target(package, place, alias.name)
                if target.file.exists():
                    module.imports[alias.asname or alias.name] = target
    for statement in tree.body:
        if isinstance(statement, (ast.Import, ast.ImportFrom)) or _is_docstring(statement):
            continue
        bound = set(_bound(statement))
        for name in bound:
            module.names.setdefault(name, []).append(statement)
        if not bound:
            module.acts.append(statement)
    return module


def _target(package: Path, place: Path, name: str) -> Import:
    """What `from place import name` means, for a module or a folder `place`."""
    if place.suffix == ".py":
        return Import(place, name)
    if (module := place.with_suffix(".py")).exists():
        return Import(module, name)
    if (module := place / f"{name}.py").exists():
        return Import(module, None)
    if (folder := place / name / "__init__.py").exists():
        return Import(folder, None)
    return Import(place / "__init__.py", name)


def _bound(node: ast.AST) -> Iterator[str]:
    """The names that a statement of a file binds there."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
        return
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    if not isinstance(node, ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from _bound(child)


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _lines(text: str, tree: ast.Module) -> list[str]:
    lines = text.splitlines()
    for node in ast.walk(tree):
        if _is_docstring(node) and isinstance(node, ast.Expr):
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[number] = ""
    return ["" if re.match(r"\s*(#|$)", line) else line for line in lines]


def _code(module: Module, statement: ast.stmt) -> str:
    first = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", ()))])
    lines = module.lines[first - 1 : statement.end_lineno]
    return "\n".join(line for line in lines if line)
