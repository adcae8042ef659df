"""Exercises: what is asked, how an answer is checked, and what is said about it.

    check("03.2", answer)      -> Feedback: not started, wrong kind, not yet, or correct
    hint("03.2")               -> one more hint at each call
    show_solution("03.2")      -> the source of the reference solution

An exercise is data. Given the reference solution and the common mistakes, the check follows: an
answer that agrees with the solution is correct, one that agrees with a mistake gets that mistake's
hint. Where a property decides (an observed order, an inverse), the exercise brings its own `check`.
No message ever contains the correct value.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from .answers import Behavior, Kind, NotStarted, Raised, WrongKind, agree, is_placeholder
from .feedback import Feedback, HintList, SolutionSource

EXERCISES: dict[
    str, "Exercise"
] = {}  # id -> Exercise; filled by `register` when a lesson's file is imported
_HINTS_SHOWN: dict[str, int] = {}  # id -> how many hints the learner has unfolded


class Mistake(NamedTuple):
    """A common mistake: what it is, an answer that makes it, and the hint for who makes it."""

    name: str
    answer: object
    hint: str


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    id: "LL.N", lesson and number.
    title: what is asked, in a few words.
    kind: what answers look like, made by `number`, `array`, `one_of` or `function` (see
    `answers.py`). solution: for a `function` exercise the function itself; for all others a
    function without arguments that returns
        the answer. Its source is what `show_solution` shows, so write it to be read.
    meaning: said when the answer is correct: what it means, and one step further.
    mistakes: list of `Mistake`; for a `function` exercise their answers are functions.
    hints: list of texts, from a nudge to nearly everything, never the value.
    otherwise: said when the answer is wrong and no mistake is recognized.
    rtol, atol: how closely numbers must agree.
    check: optional, replaces the comparison with the solution: `check(answer) -> None` when
        correct, else the text to say. For a `function` exercise `answer` is the learner's function,
        safe to call.
    """

    id: str
    title: str
    kind: Kind
    solution: Callable
    meaning: str
    mistakes: list = field(default_factory=list)
    hints: list = field(default_factory=list)
    otherwise: str = "This is not the value that we look for. `hint(...)` unfolds the first hint."
    rtol: float = 1e-4
    atol: float = 1e-9
    check: Callable | None = None

    def reference(self):
        """Return the correct answer, in the form in which a learner hands it in."""
        return self.solution if self.kind.takes_function else self.solution()

    def assess(self, answer):
        """Return the `Feedback` for an answer."""

        def say(state, message):
            return Feedback(self.id, state, message)

        try:
            if is_placeholder(answer):
                raise NotStarted(self.kind.wanted)
            with _usual_modes():
                received = self.kind(answer)
                problem = self._problem(received)
        except NotStarted as unstarted:
            return say("not started", f"replace the `...` by {unstarted}, then run the cell again.")
        except WrongKind as wrong:
            return say("wrong kind", str(wrong))
        except Raised as raised:
            return say("not yet", str(raised))
        return say("not yet", problem) if problem else say("correct", self.meaning)

    def _problem(self, received):
        """Return None for a correct answer, else what to say."""
        if self.check is not None:
            try:
                problem = self.check(received)
            except (NotStarted, WrongKind, Raised):
                raise
            except Exception as error:
                raise WrongKind(
                    f"the check cannot use your answer: `{type(error).__name__}: {error}`."
                ) from error
            if problem is None:
                return None
            return self._recognized(received) or problem
        if agree(received, self.kind(self.reference()), self.rtol, self.atol):
            return None
        return self._recognized(received) or self.otherwise

    def _recognized(self, received):
        """Return the hint of the first mistake that gives the same answer, else None."""
        if isinstance(received, Behavior) and not received.probes:
            return None
        for mistake in self.mistakes:
            if agree(received, self.kind(mistake.answer), self.rtol, self.atol):
                return mistake.hint
        return None


@contextmanager
def _usual_modes() -> Iterator[None]:
    """Gradients on and numpy's errors as warnings, wherever the learner calls `check`.

    Solutions and learners' functions differentiate, also under `torch.no_grad()` or
    `torch.inference_mode()`.
    """
    usual = np.errstate(divide="warn", over="warn", under="ignore", invalid="warn")
    with torch.inference_mode(False), torch.enable_grad(), usual:
        yield


def register(exercise):
    """Add an exercise to the registry; called once per exercise in a lesson's file."""
    known = EXERCISES.get(exercise.id)
    if known is not None and known.solution.__module__ != exercise.solution.__module__:
        raise ValueError(
            f"two exercises have the id {exercise.id!r}: {known.title!r} and {exercise.title!r}"
        )
    EXERCISES[exercise.id] = exercise
    return exercise


def unfold_hint(exercise):
    """Return the hints unfolded so far and one more."""
    shown = min(_HINTS_SHOWN.get(exercise.id, 0) + 1, len(exercise.hints))
    _HINTS_SHOWN[exercise.id] = shown
    return HintList(exercise.id, tuple(exercise.hints[:shown]), len(exercise.hints))


def solution_source(exercise):
    """Return the reference solution's source, displayable."""
    return SolutionSource(exercise.id, inspect.getsource(exercise.solution).rstrip())
