"""The settings of explorables that a lesson names, read from its cells without running them.

    panel = explore.crossing()
    panel.controls["n"].value = 1          # {"n": 1}
    for k, n in [(2.0, 2), (8.0, 5)]:
        panel.evaluate(k=k, n=n)           # {"k": 2.0, "n": 2}, {"k": 8.0, "n": 5}

A recording holds these, so that a page without a kernel shows what its text speaks of. Values that
are computed are not seen; what the text writes as `n = 4` is.
"""

import ast
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .notebooks import cells_of

Setting = dict[str, Any]  # name of a control -> value; controls that are not named are left out

_UNKNOWN = object()


def named_settings(path: Path) -> dict[str, list[Setting]]:
    """By name of an explorable: the settings that the code of the notebook at `path` names."""
    reader = _Reader()
    for cell in cells_of(path):
        if cell["cell_type"] == "code":
            code = "\n".join(
                line for line in cell["source"].splitlines() if not line.startswith(("%", "!"))
            )
            for statement in ast.parse(code).body:
                reader.read(statement, {})
    return reader.found


def numbers_in_text(path: Path, words: Mapping[str, Iterable[str]]) -> dict[str, set[float]]:
    """The numbers that the prose of a notebook gives to controls: "n = 4", "`h` = 0.1".

    words: name of a control -> how the prose may call it.
    """
    prose = "\n".join(
        cell["source"].replace("$", "").replace("`", "").replace("\\,", "")
        for cell in cells_of(path)
        if cell["cell_type"] == "markdown"
    )
    return {name: numbers_for(prose, called) for name, called in words.items()}


def numbers_for(prose: str, words: Iterable[str]) -> set[float]:
    """The numbers that follow one of the words and "=" in a text."""
    found: set[float] = set()
    for word in words:
        number = r"(-?\d+(?:\.\d+)?(?:e-?\d+)?)(?![\w.]*\d)"
        found |= {
            float(text) for text in re.findall(rf"(?<![\w.]){re.escape(word)} ?= ?{number}", prose)
        }
    return found


class _Reader:
    """Follows the panels of a lesson through its statements."""

    def __init__(self) -> None:
        self.found: dict[str, list[Setting]] = {}
        self.panels: dict[str, str] = {}  # variable -> name of the explorable
        self.moved: dict[str, Setting] = {}  # variable -> where its controls have been moved
        self.known: dict[str, Any] = {}  # variables of the lesson with literal values

    def read(self, node: ast.AST, names: dict[str, Any]) -> None:
        """Read a statement or an expression; names: those of the loops around it."""
        if isinstance(node, ast.For):
            self._loop(node.target, node.iter, node.body, names)
        elif isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)):
            body: list[ast.AST] = (
                [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
            )
            self._comprehension(node.generators, body, names)
        elif isinstance(node, ast.Assign):
            self.read(node.value, names)
            for target in node.targets:
                self._assign(target, node.value, names)
        else:
            for child in ast.iter_child_nodes(node):
                self.read(child, names)
            if isinstance(node, ast.Call):
                self._call(node, names)

    def _loop(
        self, target: ast.expr, over: ast.expr, body: Iterable[ast.AST], names: dict[str, Any]
    ) -> None:
        self.read(over, names)
        for inner in self._rounds(target, over, names):
            for statement in body:
                self.read(statement, inner)

    def _comprehension(
        self, loops: list[ast.comprehension], body: list[ast.AST], names: dict[str, Any]
    ) -> None:
        if not loops:
            for part in body:
                self.read(part, names)
            return
        for inner in self._rounds(loops[0].target, loops[0].iter, names):
            self._comprehension(loops[1:], body, inner)

    def _rounds(
        self, target: ast.expr, over: ast.expr, names: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """The names at each round of a loop; one round without them, if they are not known."""
        items = self._value(over, names)
        if items is _UNKNOWN:
            unknown = {n.id: _UNKNOWN for n in ast.walk(target) if isinstance(n, ast.Name)}
            return [{**names, **unknown}]
        return [{**names, **_bound(target, item)} for item in items]

    def _assign(self, target: ast.expr, value: ast.expr, names: dict[str, Any]) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for one, its in zip(target.elts, value.elts):
                self._assign(one, its, names)
            return
        if isinstance(target, ast.Name):
            explorable = _explorable(value)
            if explorable is not None:
                self.panels[target.id] = explorable
                self.moved[target.id] = {}
            self.known[target.id] = self._value(value, names)
            return
        match target:
            case ast.Attribute(
                value=ast.Subscript(
                    value=ast.Attribute(value=ast.Name(id=panel), attr="controls"),
                    slice=ast.Constant(value=control),
                ),
                attr="value",
            ) if panel in self.panels:
                self.moved[panel] = self.moved[panel] | {str(control): self._value(value, names)}
                self._name(panel, {})

    def _call(self, call: ast.Call, names: dict[str, Any]) -> None:
        explorable = _explorable(call)
        if explorable is not None:
            self._add(explorable, self._keywords(call, names))
            return
        match call.func:
            case ast.Attribute(value=ast.Name(id=panel), attr=what) if panel in self.panels:
                if what == "reset":
                    self.moved[panel] = {}
                elif what in ("evaluate", "start_at", "compute"):
                    self._name(panel, self._keywords(call, names))
            case ast.Attribute(value=ast.Call() as made, attr="evaluate"):
                explorable = _explorable(made)
                if explorable is not None:
                    self._add(explorable, self._keywords(call, names))

    def _keywords(self, call: ast.Call, names: dict[str, Any]) -> Setting:
        setting: Setting = {}
        for keyword in call.keywords:
            value = self._value(keyword.value, names)
            if keyword.arg is not None:
                setting[keyword.arg] = value
            elif isinstance(value, dict):
                setting |= value
        return setting

    def _name(self, panel: str, setting: Setting) -> None:
        self._add(self.panels[panel], self.moved[panel] | setting)

    def _add(self, explorable: str, setting: Setting) -> None:
        known = {name: value for name, value in setting.items() if value is not _UNKNOWN}
        found = self.found.setdefault(explorable, [])
        if known and known not in found:
            found.append(known)

    def _value(self, node: ast.expr, names: dict[str, Any]) -> Any:
        """The value of a literal, of one with known names, or _UNKNOWN."""
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return names.get(name, self.known.get(name, _UNKNOWN))
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                return [self._value(part, names) for part in parts]
            case ast.Dict(keys=keys, values=parts):
                known = [self._value(key, names) if key else _UNKNOWN for key in keys]
                if _UNKNOWN in known:
                    return _UNKNOWN
                return {key: self._value(part, names) for key, part in zip(known, parts)}
            case ast.UnaryOp(op=ast.USub(), operand=part):
                value = self._value(part, names)
                return -value if isinstance(value, (int, float)) else _UNKNOWN
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                one = self._value(left, names)
                other = self._value(right, names)
                both = isinstance(one, (int, float)) and isinstance(other, (int, float))
                return one / other if both else _UNKNOWN
            case ast.Call(func=ast.Name(id="range"), args=parts):
                values = [self._value(part, names) for part in parts]
                whole = all(isinstance(value, int) for value in values)
                return list(range(*values)) if whole else _UNKNOWN
            case ast.Call(func=ast.Attribute(value=inner, attr="items"), args=[]):
                value = self._value(inner, names)
                return list(value.items()) if isinstance(value, dict) else _UNKNOWN
        return _UNKNOWN


def _explorable(node: ast.AST) -> str | None:
    """The name, where `node` is explore.NAME(...)."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="explore"), attr=name)):
            return name
    return None


def _bound(target: ast.expr, item: Any) -> dict[str, Any]:
    """The names of a loop's target, with their parts of `item`."""
    if isinstance(target, ast.Name):
        return {target.id: item}
    if isinstance(target, ast.Tuple) and isinstance(item, (tuple, list)):
        if len(item) == len(target.elts):
            return {
                name: value
                for part, its in zip(target.elts, item)
                for name, value in _bound(part, its).items()
            }
    return {node.id: _UNKNOWN for node in ast.walk(target) if isinstance(node, ast.Name)}
