"""What a lesson's notebook says about itself: its times, parts, predictions and exercises."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Contents", "Times", "cells_of", "contents", "exercise_ids", "times"]

Cell = dict[str, Any]  # "cell_type", "source", ...
FOOTER = ("What to remember", "Pitfalls", "Further reading", "Glossary")
WORDS_PER_LINE_OF_CODE = 5


class Times(NamedTuple):
    """What the first cell states, as texts: "40", or "30-40"."""

    minutes_to_read: str
    seconds_to_run: str


class Contents(NamedTuple):
    """The parts of a lesson: title -> size in words; and (title of the part, prediction)."""

    sizes: dict[str, int]
    predictions: list[tuple[str, str]]


def cells_of(path: Path) -> list[Cell]:
    """The cells of a notebook, each with its source as one text."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return [{**cell, "source": "".join(cell["source"])} for cell in cells]


def times(cells: list[Cell], name: str) -> Times:
    """The times that lesson `name` states.

    Raises:
        ValueError: one of them is missing.
    """
    found = []
    for what, unit in (("Reading time", "minutes"), ("Running time", "seconds")):
        stated = re.search(rf"\*\*{what}\*\*:? *\D{{0,9}}(\d+(-\d+)?) {unit}", cells[0]["source"])
        if stated is None:
            raise ValueError(f"{name}: the first cell lacks '**{what}**: N {unit}'")
        found.append(stated[1])
    return Times(*found)


def exercise_ids(cells: list[Cell]) -> set[str]:
    """The ids of the exercises that a lesson checks."""
    return {id for cell in cells for id in re.findall(r'\bcheck\("(\d\d\.\d+)"', cell["source"])}


def contents(cells: list[Cell]) -> Contents:
    """The parts of a lesson with their sizes, and its predictions; header and footer are no part.

    A line of code counts as five words.
    """
    sizes: dict[str, int] = {}
    predictions = []
    part = "beginning"
    for cell in cells[1:]:
        if cell["cell_type"] == "code":
            lines = [line for line in cell["source"].splitlines() if line.strip()]
            sizes[part] = sizes.get(part, 0) + WORDS_PER_LINE_OF_CODE * len(lines)
            continue
        for paragraph in re.split(r"\n\s*\n", cell["source"]):
            if heading := re.match(r"##+ (.*)", paragraph):
                part = heading[1]
            if part.startswith(FOOTER):
                continue
            sizes[part] = sizes.get(part, 0) + len(paragraph.split())
            if "**Predict" in paragraph and not paragraph.startswith("**Exercise"):
                predictions.append((part, _question(paragraph)))
    return Contents(sizes, predictions)


def _question(paragraph: str) -> str:
    """A paragraph with a prediction, on one line, without links and "Predict first:"."""
    line = " ".join(paragraph.split())
    line = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line)
    line = re.sub(r"\*\*Predict(?: first)?\*\*: *([a-z]|)", lambda match: match[1].upper(), line)
    return line.replace("**", "")
