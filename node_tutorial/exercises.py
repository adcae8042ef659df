"""Exercises with feedback: `check("03.2", answer)`, `hint("03.2")`, `show_solution("03.2")`.

The exercises of a lesson live in `lessons/<stem>/exercises.py`, each registered under its id,
"LL.N". An id begins with the number of its lesson, so that a lesson imports its own exercises and
no others. `report("anna.json")` writes down what was checked, for whoever teaches
(`course/reports.py`).
"""

from importlib import import_module
from typing import Any

from .course.answers import array, function, number, one_of
from .course.exercises import EXERCISES, Exercise, Mistake, register, solution_source, unfold_hint
from .course.feedback import Feedback, HintList, SolutionSource
from .course.reports import note, report
from .course.syllabus import READY

__all__ = [
    "EXERCISES",
    "Exercise",
    "Feedback",
    "Mistake",
    "array",
    "check",
    "find",
    "function",
    "hint",
    "load_all",
    "number",
    "one_of",
    "register",
    "report",
    "show_solution",
]


def check(id: str, answer: Any) -> Feedback:
    """The `Feedback` for an answer to exercise `id`; the last line of a cell."""
    feedback = find(id).assess(answer)
    note(id, feedback.state)
    return feedback


def hint(id: str) -> HintList:
    """The hints of exercise `id` unfolded so far, one more at each call."""
    hints = unfold_hint(find(id))
    note(id, hints=len(hints.hints))
    return hints


def show_solution(id: str) -> SolutionSource:
    """The reference solution of exercise `id`, to be displayed."""
    source = solution_source(find(id))
    note(id, solution=True)
    return source


def find(id: str) -> Exercise:
    """The exercise with this id.

    Raises:
        ValueError: that lists the valid ids, for one that is none.
    """
    lesson = READY.get(str(id)[:2])
    if lesson is not None:
        import_module(f".lessons.{lesson.stem}.exercises", __package__)
    if id not in EXERCISES:
        raise ValueError(f"no exercise {id!r}; there are: {', '.join(sorted(load_all()))}")
    return EXERCISES[id]


def load_all() -> dict[str, Exercise]:
    """The exercises of all lessons by id."""
    for lesson in READY.values():
        import_module(f".lessons.{lesson.stem}.exercises", __package__)
    return EXERCISES
