"""Exercises with feedback: `check("03.2", answer)`, `hint("03.2")`, `show_solution("03.2")`.

A lesson's exercises live in one file here, each registered under its id. An id is looked up in the file that mentions
it, so a lesson imports its own exercises and no others; `load_all()` imports every file, for the tests.
`report("anna.json")` writes down what was checked, for whoever teaches (`reports.py`).
"""

import importlib
import pathlib
import re

from .answers import array, function, number, one_of
from .base import EXERCISES, Exercise, Mistake, register, solution_source, unfold_hint
from .feedback import Feedback
from .reports import note, report

_MACHINERY = {"__init__", "base", "answers", "feedback", "reports"}


def check(id, answer):
    """Return the `Feedback` for an answer to exercise `id`, to be the last line of a cell."""
    feedback = find(id).assess(answer)
    note(id, feedback.state)
    return feedback


def hint(id):
    """Return the hints of exercise `id` unfolded so far, one more at each call."""
    hints = unfold_hint(find(id))
    note(id, hints=len(hints.hints))
    return hints


def show_solution(id):
    """Return the reference solution of exercise `id`, to be displayed."""
    source = solution_source(find(id))
    note(id, solution=True)
    return source


def find(id):
    """Return the exercise with this id, or raise a ValueError that lists the valid ones."""
    if id not in EXERCISES:
        for path in _lesson_files():
            if re.search(rf'["\']{re.escape(str(id))}["\']', path.read_text(encoding="utf-8")):
                importlib.import_module(f"{__name__}.{path.stem}")
    if id not in EXERCISES:
        raise ValueError(f"no exercise {id!r}; there are: {', '.join(sorted(load_all())) or 'none yet'}")
    return EXERCISES[id]


def load_all():
    """Import every lesson's file and return the registry: id -> Exercise."""
    for path in _lesson_files():
        importlib.import_module(f"{__name__}.{path.stem}")
    return EXERCISES


def _lesson_files():
    return [path for path in sorted(pathlib.Path(__file__).parent.glob("*.py")) if path.stem not in _MACHINERY]
