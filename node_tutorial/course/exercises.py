"""Exercises: what is asked, how an answer is checked, and what is said about it.

    check("03.2", answer)      -> Feedback: not started, wrong kind, not yet, or correct
    hint("03.2")               -> one more hint at each call
    show_solution("03.2")      -> the source of the reference solution

An exercise is data. Given the reference solution and the common mistakes, the check follows: an
answer that agrees with the solution is correct, one that agrees with a mistake gets that mistake's
hint. Where a property decides (an observed order, an inverse), the exercise brings its own `check`.
No message ever contains the correct value.

What is compared with is computed when it is first needed, once in a kernel. A learner gets copies.
"""

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch

from .answers import Behavior, Kind, NotStarted, Raised, WrongKind, agree, copy_of, is_placeholder
from .feedback import Feedback, HintList, SolutionSource

__all__ = ["EXERCISES", "Exercise", "Mistake", "register"]

EXERCISES: dict[str, "Exercise"] = {}  # by id; filled by `register` when a lesson is imported
_HINTS_SHOWN: dict[str, int] = {}  # id -> how many hints the learner has unfolded


class Mistake(NamedTuple):
    """A common mistake.

    name: a few words for whoever teaches.
    answer: an answer that makes it; for a `function` exercise a function. For all others it may be
        a function without arguments that returns the answer, for answers that take a solve.
    hint: what is said to who makes it.
    """

    name: str
    answer: Any
    hint: str


@dataclass(frozen=True, eq=False)
class Exercise:
    """One exercise.

    id: "LL.N", lesson and number.
    title: what is asked, in a few words.
    kind: what answers look like, made by `number`, `array`, `one_of` or `function` (`answers.py`).
    solution: for a `function` exercise the function itself; for all others a function without
        arguments that returns the answer. Its source is what `show_solution` shows, so write it to
        be read.
    meaning: said when the answer is correct: what it means, and one step further.
    mistakes: list of `Mistake`.
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
    solution: Callable[..., Any]
    meaning: str
    mistakes: Sequence[Mistake] = ()
    hints: Sequence[str] = ()
    otherwise: str = "This is not the value that we look for. `hint(...)` unfolds the first hint."
    rtol: float = 1e-4
    atol: float = 1e-9
    check: Callable[[Any], str | None] | None = None
    _made: dict[int, "_Made"] = field(default_factory=dict, init=False, repr=False)

    def reference(self) -> Any:
        """The correct answer, in the form in which a learner hands it in."""
        return copy_of(self._make(self.solution).answer)

    def mistaken(self, mistake: Mistake) -> Any:
        """The answer that makes one of `mistakes`, in the form in which a learner hands it in."""
        return copy_of(self._make(mistake.answer).answer)

    def _make(self, answer: Any) -> "_Made":
        """Compute the solution or the answer of a mistake, when it is first asked for."""
        key = id(answer)  # both live as long as the exercise
        if key not in self._made:
            is_recipe = callable(answer) and not self.kind.takes_function
            value = answer() if is_recipe else answer
            self._made[key] = _Made(value, self.kind(copy_of(value)))
        return self._made[key]

    def assess(self, answer: Any) -> Feedback:
        """The `Feedback` for an answer."""
        try:
            if is_placeholder(answer):
                raise NotStarted(self.kind.wanted)
            with _usual_modes():
                received = self.kind(answer)
                problem = self._problem(received)
        except NotStarted as unstarted:
            message = f"replace the `...` by {unstarted}, then run the cell again."
            return Feedback(self.id, "not started", message)
        except WrongKind as wrong:
            return Feedback(self.id, "wrong kind", str(wrong))
        except Raised as raised:
            return Feedback(self.id, "not yet", str(raised))
        if problem is not None:
            return Feedback(self.id, "not yet", problem)
        return Feedback(self.id, "correct", self.meaning)

    def _problem(self, received: Any) -> str | None:
        """None for a correct answer, else what to say."""
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
        if agree(received, self._make(self.solution).converted, self.rtol, self.atol):
            return None
        return self._recognized(received) or self.otherwise

    def _recognized(self, received: Any) -> str | None:
        """The hint of the first mistake that gives the same answer, else None."""
        if isinstance(received, Behavior) and not received.probes:
            return None
        for mistake in self.mistakes:
            if agree(received, self._make(mistake.answer).converted, self.rtol, self.atol):
                return mistake.hint
        return None


class _Made(NamedTuple):
    """An answer that was computed, and what its kind makes of it."""

    answer: Any
    converted: Any


@contextmanager
def _usual_modes() -> Iterator[None]:
    """Gradients on, numpy's errors no exceptions, and no warnings, wherever `check` is called.

    A warning, such as that of an adjoint that has lost its solution, may be what an exercise is
    about. Solutions and learners' functions differentiate, also under `torch.no_grad()` or
    `torch.inference_mode()`.
    """
    usual = np.errstate(divide="warn", over="warn", under="ignore", invalid="warn")
    with warnings.catch_warnings(), torch.inference_mode(False), torch.enable_grad(), usual:
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def register(exercise: Exercise) -> Exercise:
    """Add an exercise to the registry; called once per exercise in a lesson's file.

    Raises:
        ValueError: another file has registered an exercise of the same id.
    """
    known = EXERCISES.get(exercise.id)
    if known is not None and known.solution.__module__ != exercise.solution.__module__:
        raise ValueError(
            f"two exercises have the id {exercise.id!r}: {known.title!r} and {exercise.title!r}"
        )
    EXERCISES[exercise.id] = exercise
    return exercise


def unfold_hint(exercise: Exercise) -> HintList:
    """The hints unfolded so far and one more."""
    shown = min(_HINTS_SHOWN.get(exercise.id, 0) + 1, len(exercise.hints))
    _HINTS_SHOWN[exercise.id] = shown
    return HintList(exercise.id, tuple(exercise.hints[:shown]), len(exercise.hints))


def solution_source(exercise: Exercise) -> SolutionSource:
    """The source of the reference solution, displayable."""
    return SolutionSource(exercise.id, inspect.getsource(exercise.solution).rstrip())
