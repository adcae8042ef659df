"""Explorables on pages without a kernel: which recordings there are, and the HTML that plays them.

recordings/<name>.json.gz in the package is what `python docs/build.py --record` has recorded of an
explorable (course/recording.py), recordings/index.json says of what. A recording whose sources have
changed since is stale, and is not shown. The site is built where the package is not installed, so
this file imports nothing but Python's own.
"""

import ast
import base64
import gzip
import hashlib
import json
import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from .sources import forget, parts_of

PACKAGE = Path(__file__).resolve().parents[2]
RECORDINGS = PACKAGE / "recordings"
INDEX = "index.json"
PLAYER = Path(__file__).parent
# What every recording depends on, besides the explorable and what it imports.
RECORDERS = ("recording.py", "operations.py", "grids.py")
LIBRARIES = ("matplotlib", "numpy", "scipy", "torch")
DIGITS = 12  # of a hash


class Panel(NamedTuple):
    """An explorable that a cell of a lesson shows."""

    cell: int
    name: str


# ------------------------------------------------------------------------- what a recording is of


def fingerprint(name: str, stem: str) -> str:
    """Of all that a recording depends on: code, and the stored results of the lesson.

    name, stem: of the explorable and of its lesson.
    """
    folder = PACKAGE / "lessons" / stem
    parts = set(parts_of(PACKAGE, folder / f"{name}.py"))
    for recorder in RECORDERS:
        parts |= parts_of(PACKAGE, PACKAGE / "course" / recorder)
    digest = hashlib.sha256()
    for file, code in sorted(parts):
        digest.update(f"{file}\n{code}\n".encode())
    for stored in sorted(folder.glob("stored.*")):
        digest.update(stored.read_bytes())
    return digest.hexdigest()[:DIGITS]


def libraries(constraints: Path) -> dict[str, str]:
    """The newest versions of LIBRARIES that constraints.txt names."""
    found = re.findall(r"(?m)^([\w-]+)==([\w.]+)", constraints.read_text("utf-8"))
    return {name: version for name, version in found if name in LIBRARIES}


# ---------------------------------------------------------------------------------- what there is


def index() -> dict[str, Any]:
    """By name of an explorable: of what its recording was made ("of", "libraries"), "data"."""
    file = RECORDINGS / INDEX
    return json.loads(file.read_text("utf-8")) if file.exists() else {}


def stale(name: str, stem: str, versions: dict[str, str] | None = None) -> str:
    """Why a recording must not be shown; "" if it is good.

    versions: those of the libraries that it should have been made with.
    """
    entry = index().get(name)
    file = RECORDINGS / f"{name}.json.gz"
    if entry is None or not file.exists():
        return "not recorded"
    if entry["data"] != _hash(file.read_bytes()):
        return "not what was recorded"
    if entry["of"] != fingerprint(name, stem):
        return "its code or its stored results have changed"
    if versions is not None and entry["libraries"] != versions:
        return "made with other versions of libraries"
    return ""


def store(name: str, stem: str, data: bytes, versions: dict[str, str]) -> None:
    """Store what has been recorded of an explorable, and of what."""
    RECORDINGS.mkdir(exist_ok=True)
    (RECORDINGS / f"{name}.json.gz").write_bytes(data)
    entry = {"of": fingerprint(name, stem), "data": _hash(data), "libraries": versions}
    # One line for each, so that changes of two people can be merged.
    lines = [
        f"{json.dumps(key)}: {json.dumps(value)}"
        for key, value in sorted({**index(), name: entry}.items())
    ]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    (RECORDINGS / INDEX).write_text(text, "utf-8", newline="\n")


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:DIGITS]


# ------------------------------------------------------------------------------------- the pages


def panels_of(sources: list[str]) -> list[Panel]:
    """The explorables that the code cells of a lesson show as their last line.

    sources: of all cells; those that are no code may be empty.
    """
    names: dict[str, str] = {}  # variable -> explorable
    found = []
    for cell, source in enumerate(sources):
        body = _statements(source)
        for statement in body:
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                made = _explorable(statement.value)
                if made:
                    names[statement.targets[0].id] = made
        if body and isinstance(body[-1], ast.Expr):
            last = body[-1].value
            shown = names.get(last.id) if isinstance(last, ast.Name) else _explorable(last)
            if shown:
                found.append(Panel(cell, shown))
    return found


def _statements(cell: str) -> list[ast.stmt]:
    """The statements of a cell; none of one that is no Python."""
    lines = [line for line in cell.splitlines() if not line.startswith(("%", "!"))]
    try:
        return ast.parse("\n".join(lines)).body
    except SyntaxError:
        return []


def _explorable(node: ast.expr) -> str | None:
    """The name, where `node` is explore.NAME(...)."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if isinstance(node.func.value, ast.Name) and node.func.value.id == "explore":
            return node.func.attr
    return None


def recording_of(name: str) -> dict[str, Any]:
    """What course/recording.py has recorded; the key "settings" has the defaults first."""
    return json.loads(gzip.decompress((RECORDINGS / f"{name}.json.gz").read_bytes()))


def start_of(recording: dict[str, Any], sentence: str) -> int | None:
    """The number of the first setting with this sentence."""
    for number, (frame, *_) in enumerate(recording["settings"]):
        if recording["texts"][recording["frames"][frame][0]] == sentence:
            return number
    return None


def figure(name: str, question: str, sentence: str, picture: str, start: int, source: str) -> str:
    """The HTML of an explorable: what is seen without scripts, and what the player needs.

    Args:
        name, question: of the explorable.
        sentence: what the picture shows.
        picture: its address.
        start: the number of the setting.
        source: the address of the script with the recording; "" where the page has it.
    """
    return (
        f'<figure class="explorable" data-name="{name}" data-start="{start}" '
        f'data-source="{escape(source)}">\n'
        f'<p class="question">{escape(question)}</p>\n'
        f'<img src="{escape(picture)}" alt="{escape(sentence)}" />\n'
        f"<figcaption>{escape(sentence)}</figcaption>\n</figure>"
    )


def script(name: str) -> str:
    """The script that hands the recording to the player."""
    data = base64.b64encode((RECORDINGS / f"{name}.json.gz").read_bytes()).decode()
    return f'explorable("{name}", "{data}");\n'


def player() -> str:
    """The player's style and script, to be written into a page of its own."""
    style = (PLAYER / "player.css").read_text("utf-8")
    code = (PLAYER / "player.js").read_text("utf-8")
    return f"<style>\n{style}</style>\n<script>\n{code}</script>"


def let_play(
    cells: list[Any],
    stem: str,
    head: str,
    address: Callable[[str], str] | None = None,
    versions: dict[str, str] | None = None,
) -> list[str]:
    """Let the explorables play that the cells of an executed lesson show; returns what does not.

    Args:
        cells: of the notebook; outputs are changed in place.
        stem: of the lesson.
        head: what the page needs once, before the first of them.
        address: name of an explorable -> where the page finds the script with its recording;
            without, it is written into the page.
        versions: see `stale`.
    """
    sources = [_text(cell["source"]) if cell["cell_type"] == "code" else "" for cell in cells]
    problems = []
    for panel in panels_of(sources):
        data = _picture_of(cells[panel.cell])
        if data is None:
            continue
        reason = stale(panel.name, stem, versions)
        sentence = _text(data["text/plain"])
        recording = {} if reason else recording_of(panel.name)
        start = None if reason else start_of(recording, sentence)
        if start is None:
            reason = reason or "the picture that the lesson shows is not in it"
            problems.append(f"{panel.name} is a picture only, its recording is not good: {reason}")
            continue
        picture = f"data:image/png;base64,{_text(data['image/png']).strip()}"
        source = address(panel.name) if address else ""
        html = figure(panel.name, recording["question"], sentence, picture, start, source)
        if not address:
            html += f"\n<script>{script(panel.name)}</script>"
        data.clear()
        data["text/html"] = f"{head}\n{html}" if head else html
        data["text/plain"] = sentence
        head = ""
    return problems


def _picture_of(cell: Any) -> Any:
    """The data of the first output that is a picture."""
    for output in cell.get("outputs", []):
        if "image/png" in output.get("data", {}):
            return output["data"]
    return None


def _text(lines: str | list[str]) -> str:
    return "".join(lines)
