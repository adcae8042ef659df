"""Every registered exercise: its stub, wrong kinds, every mistake that a hint recognizes, and the reference solution.

pytest tests/test_exercises.py -k 01.2
"""

import importlib
import re

import numpy as np
import pytest
import torch

from node_tutorial import exercises


def _exercises():
    """Every exercise, and every lesson's file that cannot be imported, as a case of its own."""
    for path in exercises._lesson_files():
        try:
            importlib.import_module(f"node_tutorial.exercises.{path.stem}")
        except Exception as error:
            yield pytest.param(error, id=f"import of {path.stem}")
    yield from (pytest.param(exercise, id=id) for id, exercise in sorted(exercises.EXERCISES.items()))


@pytest.fixture(params=list(_exercises()))
def exercise(request):
    if isinstance(request.param, Exception):
        raise request.param
    return request.param


def stubs(exercise):
    """What a learner hands in before starting."""
    yield from (..., None)
    if exercise.kind.takes_function:

        def only_dots(*args): ...

        def only_docstring(*args):
            """Say what to do."""

        def returns_dots(*args):
            return ...

        def not_implemented(*args):
            raise NotImplementedError("your code here")

        yield from (only_dots, only_docstring, returns_dots, not_implemented)


def wrong_kinds(exercise):
    """Answers of another kind."""
    yield from exercise.kind.examples_of_wrong
    if exercise.kind.takes_function:
        yield lambda: 1.0  # takes no arguments
        yield lambda *args: "a text"
    else:
        yield exercise.solution  # a function that was not called


def test_a_stub_is_not_started(exercise):
    for stub in stubs(exercise):
        feedback = exercise.assess(stub)
        assert feedback.state == "not started", f"{stub}: {feedback}"


def test_another_kind_is_named_with_what_is_expected(exercise):
    for answer in wrong_kinds(exercise):
        feedback = exercise.assess(answer)
        assert feedback.state == "wrong kind", f"{answer!r}: {feedback}"


def test_the_reference_solution_is_correct(exercise):
    feedback = exercise.assess(exercise.reference())
    assert feedback.state == "correct" and feedback.message == exercise.meaning, str(feedback)


def test_numpy_and_torch_answers_are_as_good_as_python_ones(exercise):
    answer = exercise.reference()
    if exercise.kind.takes_function or isinstance(answer, str):
        pytest.skip("no number")
    for form in (np.float64, torch.tensor, lambda x: torch.tensor(x, dtype=torch.float64, requires_grad=True)):
        value = np.asarray(answer.detach() if hasattr(answer, "detach") else answer, dtype=np.float64)
        converted = form(value.tolist() if value.ndim == 0 else value) if form is not np.float64 else form(value)
        assert exercise.assess(converted).state == "correct", f"{converted!r}"


def test_each_mistake_gets_its_own_hint(exercise):
    assert exercise.mistakes, "name at least one mistake that learners make here"
    hints = [mistake.hint for mistake in exercise.mistakes]
    assert len(set(hints)) == len(hints), "two mistakes have the same hint"
    for mistake in exercise.mistakes:
        feedback = exercise.assess(mistake.answer)
        assert feedback.state == "not yet", f"{mistake.name}: {feedback}"
        assert feedback.message == mistake.hint, f"{mistake.name} is answered by: {feedback.message}"


def test_hints_meaning_and_solution_are_there(exercise):
    assert len(exercise.hints) >= 2, "at least two hints, from a nudge to nearly everything"
    assert exercise.meaning.strip() and exercise.title.strip() and exercise.otherwise.strip()
    assert "def " in exercises.show_solution(exercise.id).source, "write the solution as a def: its source is shown"
    assert re.fullmatch(r"\d\d\.\d", exercise.id)


def test_no_message_contains_the_correct_value(exercise):
    answer = exercise.reference()
    if exercise.kind.takes_function or isinstance(answer, str):
        pytest.skip("no number")
    messages = [*exercise.hints, exercise.otherwise, exercise.title, *(mistake.hint for mistake in exercise.mistakes)]
    messages += [exercise.assess(wrong).message for wrong in (..., *exercise.kind.examples_of_wrong)]
    values = np.ravel(np.asarray(answer.detach() if hasattr(answer, "detach") else answer, dtype=np.float64))
    for value in values:
        digits = f"{value:.4g}"
        if sum(c.isdigit() for c in digits.lstrip("-0.")) < 3:
            continue  # too short to be recognized as the answer
        for message in messages:
            assert digits not in message, f"{digits} is given away by: {message}"
