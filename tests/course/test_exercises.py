"""The machinery of exercises, on made-up ones."""

import json
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from node_tutorial import exercises
from node_tutorial.course import exercises as base
from node_tutorial.course import reports
from node_tutorial.course.answers import WrongKind
from node_tutorial.exercises import Exercise, Mistake, array, function, number, one_of


def ten_steps():
    return 0.9**10


def heun(f, t, y, h):
    k1 = f(t, y)
    return y + h / 2 * (k1 + f(t + h, y + h * k1))


def _field(t, y):
    return -y + t


NUMBER = Exercise(
    "91.1",
    "ten steps",
    number("the value of x"),
    ten_steps,
    "It is smaller than 1/e.",
    [
        Mistake("exact", math.exp(-1), "That is the exact solution."),
        Mistake("nine", 0.9**9, "One step is missing."),
    ],
    ["First `hint`.", "Second hint."],
    otherwise="Start at 1.",
)
FUNCTION = Exercise(
    "91.2",
    "Heun",
    function((_field, 0.5, 2.0, 0.1), (_field, 1.0, -1.0, 0.2)),
    heun,
    "Order two.",
    [Mistake("Euler", lambda f, t, y, h: y + h * f(t, y), "That is Euler's step.")],
    ["a", "b"],
)
PROPERTY = Exercise(
    "91.3",
    "an inverse",
    function(),
    lambda x: x - 1,
    "It undoes the step.",
    check=lambda g: None if abs(g(3.0) - 2.0) < 1e-9 else "g(f(x)) is not x.",
)
STATES = ("not started", "wrong kind", "not yet", "correct")


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(base, "EXERCISES", exercises.EXERCISES)
    for exercise in (NUMBER, FUNCTION, PROPERTY):
        monkeypatch.setitem(exercises.EXERCISES, exercise.id, exercise)
    monkeypatch.setattr(base, "_HINTS_SHOWN", {})
    _new_kernel(monkeypatch)


def _new_kernel(monkeypatch):
    """Forget what a kernel remembers for its report."""
    monkeypatch.delenv(reports.VARIABLE, raising=False)
    for name, empty in (("_EVENTS", []), ("_WRITTEN", {}), ("_FILE", [])):
        monkeypatch.setattr(reports, name, empty)


@pytest.mark.parametrize(
    "answer",
    [
        0.9**10,
        np.float32(0.9**10),
        np.float64(0.9**10),
        np.array(0.9**10),
        [torch.tensor(0.9**10, requires_grad=True)],
        np.array([0.9**10]),
        torch.tensor(0.9**10),
        torch.tensor([0.9**10], requires_grad=True),
        torch.tensor([[0.9**10]]),
        [[torch.tensor([0.9**10], requires_grad=True)]],
        (0.9**10,),
        Decimal("0.9") ** 10,
        [Decimal("0.9") ** 10],
        Fraction(9, 10) ** 10,
    ],
)
def test_every_numeric_type_is_accepted(answer):
    assert NUMBER.assess(answer).state == "correct"


@pytest.mark.parametrize(
    "answer",
    [
        "0.35",
        ["0.35"],
        True,
        1j,
        [1j],
        [1.0, 2.0],
        [1, [2, 3]],
        torch.zeros(2, 2),
        {},
        ten_steps,
        object(),
    ],
)
def test_a_wrong_kind_names_what_came_and_what_is_expected(answer):
    feedback = NUMBER.assess(answer)
    assert feedback.state == "wrong kind" and "expected the value of x, got" in feedback.message


@pytest.mark.parametrize(
    "answer, message",
    [
        (math.exp(-1), "That is the exact solution."),
        (0.9**9, "One step is missing."),
        (5, "Start at 1."),
        (math.nan, "Start at 1."),
        (math.inf, "Start at 1."),
    ],
)
def test_a_wrong_number_gets_the_hint_of_its_mistake(answer, message):
    feedback = NUMBER.assess(answer)
    assert (feedback.state, feedback.message) == ("not yet", message)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_dtype_that_numpy_lacks_is_a_number_too(dtype):
    half = Exercise("91.10", "half", number(), lambda: 0.5, "Yes.")
    pair = Exercise("91.11", "two halves", array(2), lambda: [0.5, 0.5], "Yes.")
    assert half.assess(torch.tensor(0.5, dtype=dtype)).state == "correct"
    assert half.assess(torch.tensor([0.5], dtype=dtype)).state == "correct"
    assert pair.assess(torch.tensor([0.5, 0.5], dtype=dtype)).state == "correct"
    assert pair.assess([torch.tensor(0.5, dtype=dtype)] * 2).state == "correct"


@pytest.mark.parametrize(
    "huge",
    [10**400, -(10**400), [10**400], Fraction(10**400), Decimal("1e400")],
    ids=["integer", "negative", "list", "fraction", "decimal"],
)
def test_a_number_that_is_too_large_is_wrong_and_no_crash(huge):
    assert NUMBER.assess(huge).state == "not yet"


@pytest.mark.parametrize(
    "answer",
    [["1.0", "2.0"], ("1.0", 2.0), np.array(["1.0", "2.0"]), [1 + 1j, 2.0], torch.zeros(2) * 1j],
)
def test_texts_and_complex_numbers_are_no_numbers_in_an_array_either(answer):
    exercise = Exercise("91.12", "two", array(2), lambda: [1.0, 2.0], "Yes.")
    feedback = exercise.assess(answer)
    assert feedback.state == "wrong kind" and "expected a tensor or array" in feedback.message


def test_a_stub_is_recognized_in_every_form():
    def only_dots(f, t, y, h): ...

    def documented(f, t, y, h):
        """One step."""
        ...

    def partly(f, t, y, h):
        k1 = f(t, y)
        k2 = ...
        return y + h / 2 * (k1 + k2)

    def partly_after_work(f, t, y, h):
        f(t, y)
        return ...

    def not_implemented(f, t, y, h):
        raise NotImplementedError

    for stub in (..., None, only_dots, documented, partly, partly_after_work, not_implemented):
        assert FUNCTION.assess(stub).state == "not started", stub
    assert PROPERTY.assess(lambda x: ...).state == "not started"


def test_an_exception_in_a_learners_function_is_told_with_its_inputs():
    feedback = FUNCTION.assess(lambda f, t, y, h: 1 / 0)
    assert feedback.state == "not yet"
    assert (
        "ZeroDivisionError: division by zero" in feedback.message
        and "(_field, 0.5, 2.0, 0.1)" in feedback.message
    )


def test_other_arguments_than_expected_are_a_wrong_kind():
    feedback = FUNCTION.assess(lambda y: y)
    assert feedback.state == "wrong kind" and "TypeError" in feedback.message


def test_a_type_error_inside_the_body_is_not_taken_for_a_wrong_signature():
    def passes_too_few_arguments(f, t, y, h):
        return f(t)

    assert FUNCTION.assess(passes_too_few_arguments).state == "not yet"


def test_a_missing_return_is_named():
    def step(f, t, y, h):
        y + h * f(t, y)

    assert "`return` missing" in FUNCTION.assess(step).message


def test_an_output_of_another_kind_is_named():
    feedback = FUNCTION.assess(lambda f, t, y, h: [1.0, 2.0])
    assert feedback.state == "wrong kind" and "does not return what is expected" in feedback.message


def test_a_called_function_instead_of_the_function_is_named():
    assert "Pass the function itself" in FUNCTION.assess(heun(_field, 0.0, 1.0, 0.1)).message


def test_a_function_is_correct_by_what_it_does():
    assert FUNCTION.assess(lambda f, t, y, h: heun(f, t, y, h)).state == "correct"
    assert FUNCTION.assess(lambda f, t, y, h: torch.tensor(heun(f, t, y, h))).state == "correct"
    assert FUNCTION.assess(lambda f, t, y, h: y + h * f(t, y)).message == "That is Euler's step."
    assert FUNCTION.assess(lambda f, t, y, h: y).message == FUNCTION.otherwise


def test_a_property_check_decides_without_probes():
    assert PROPERTY.assess(lambda x: x - 1).state == "correct"
    assert PROPERTY.assess(lambda x: x + 1).message == "g(f(x)) is not x."
    assert PROPERTY.assess(lambda x: x / 0).state == "not yet"


def test_a_check_that_cannot_use_an_output_is_feedback_too():
    feedback = PROPERTY.assess(lambda x: "a text")
    assert feedback.state == "wrong kind" and "TypeError" in feedback.message


def test_a_learners_function_may_write_into_its_arguments():
    def in_place(y):
        y += 1
        return y

    exercise = Exercise(
        "91.7", "add", function((torch.zeros(2),), returns=array(2)), lambda y: y + 1, "Yes."
    )
    assert [exercise.assess(in_place).state for _ in range(2)] == ["correct", "correct"]


def test_what_is_compared_with_is_computed_when_needed_and_once():
    computed = []

    def solution():
        computed.append("solution")
        return np.array([1.0, 2.0])

    def forgotten():
        computed.append("mistake")
        return [1.0, 0.0]

    exercise = Exercise(
        "91.8", "two", array(2), solution, "Yes.", [Mistake("half", forgotten, "One is missing.")]
    )
    assert exercise.assess(...).state == "not started" and computed == []
    assert exercise.assess([1.0, 2.0]).state == "correct" and computed == ["solution"]
    for _ in range(2):
        assert exercise.assess([1.0, 0.0]).message == "One is missing."
    assert exercise.mistaken(exercise.mistakes[0]) == [1.0, 0.0]
    assert computed == ["solution", "mistake"]


def test_a_learner_who_writes_into_the_solution_changes_it_for_nobody():
    for answer in (np.array([1.0, 2.0]), torch.tensor([1.0, 2.0]), [1.0, 2.0]):
        exercise = Exercise("91.9", "two", array(2), lambda answer=answer: answer, "Yes.")
        exercise.reference()[0] = 7.0
        assert exercise.assess([1.0, 2.0]).state == "correct"
        assert exercise.assess([7.0, 2.0]).state == "not yet"


def test_a_learners_function_may_use_up_its_lists():
    def uses_up(t, pairs, table):
        t.reverse()
        pairs[0].clear()
        pairs[1][0] += 1
        table["a"].pop()
        return sum(t) + len(table["a"])

    probe = ([1.0, 2.0], ([3.0], torch.zeros(1)), {"a": [4.0]})
    exercise = Exercise(
        "91.8", "sum", function(probe), lambda t, pairs, table: sum(t) + len(table["a"]) - 1, "Yes."
    )
    assert [exercise.assess(uses_up).state for _ in range(3)] == 3 * ["correct"]
    assert probe == ([1.0, 2.0], ([3.0], torch.zeros(1)), {"a": [4.0]})


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_check_differentiates_where_gradients_are_off(mode):
    def slope(x):
        x = torch.tensor(x, requires_grad=True)
        return torch.autograd.grad(x**2, x)[0]

    exercise = Exercise("91.9", "slope", function((3.0,)), slope, "Yes.")
    with mode():
        assert exercise.assess(slope).state == exercise.assess(lambda x: 2 * x).state == "correct"
        assert not torch.is_grad_enabled()


def test_numpys_error_handling_is_left_to_the_learner():
    exercise = Exercise("91.6", "tiny", number(), lambda: float(np.float64(1e-300) ** 2), "Yes.")
    with np.errstate(all="raise"):
        assert exercise.assess(0.0).state == "correct"
        assert np.geterr()["under"] == "raise"


def test_a_number_of_16_bits_is_read():
    assert number()(torch.tensor(0.5, dtype=torch.bfloat16)) == 0.5
    halves = torch.full((2,), 0.5, dtype=torch.bfloat16, requires_grad=True)
    assert array(2)(halves).tolist() == array(2)(list(halves)).tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    "answer",
    [["1", "2"], [1.0, "2"], np.array(["1", "2"]), [1j, 2], np.array([1j, 2]), [0, 10**400]],
)
def test_an_array_holds_real_numbers_and_no_texts(answer):
    with pytest.raises(WrongKind, match="expected a tensor or array of shape"):
        array(2)(answer)


def test_arrays_are_checked_for_shape_and_values():
    exercise = Exercise(
        "91.4",
        "b",
        array((3,)),
        lambda: [1 / 6, 4 / 6, 1 / 6],
        "Simpson.",
        [Mistake("trapezoid", [0.5, 0.0, 0.5], "That is the trapezoid.")],
    )
    assert exercise.assess(torch.tensor([1 / 6, 4 / 6, 1 / 6])).state == "correct"
    assert (
        exercise.assess((1 / 6, 4 / 6, torch.tensor(1 / 6, requires_grad=True))).state == "correct"
    )
    one_by_one = [torch.tensor([1 / 6]), np.array([[4 / 6]]), torch.tensor(1 / 6)]
    assert exercise.assess(one_by_one).state == "correct"
    assert exercise.assess([torch.tensor([1 / 6, 4 / 6, 1 / 6])]).state == "wrong kind"
    assert exercise.assess([0.5, 0, 0.5]).message == "That is the trapezoid."
    assert "shape (3,), got shape (2,)" in exercise.assess([0.5, 0.5]).message
    assert exercise.assess([0.5, ..., 0.5]).state == "not started"
    assert exercise.assess([0.5, None, 0.5]).state == "not started"
    assert exercise.assess(["a", "b", "c"]).state == "wrong kind"
    assert exercise.assess([[1.0], [2.0, 3.0], 4.0]).state == "wrong kind"
    any_length = Exercise("91.5", "any", array((None, 2)), lambda: np.ones((4, 2)), "")
    assert any_length.assess(np.ones((4, 2))).state == "correct"


def test_a_choice_ignores_case_and_spaces_and_lists_the_options():
    exercise = Exercise(
        "91.6",
        "which",
        one_of("Stiff", "diverging"),
        lambda: "stiff",
        "Yes.",
        [Mistake("other", "diverging", "It stays bounded.")],
    )
    assert exercise.assess(" STIFF ").state == "correct"
    assert exercise.assess("diverging").message == "It stays bounded."
    assert 'one of "Stiff", "diverging"' in exercise.assess("chaotic").message


def test_check_hint_and_solution_by_id(registered):
    assert repr(exercises.check("91.1", ...)) == (
        "91.1 not started: replace the `...` by the value of x, then run the cell again."
    )
    first, second, third = (repr(exercises.hint("91.1")) for _ in range(3))
    assert "hint 1 of 2: First" in first and "Second" not in first
    assert "hint 2 of 2: Second" in second and "show_solution" in second and third == second
    assert "return 0.9**10" in repr(exercises.show_solution("91.1"))


def test_an_unknown_id_is_answered_by_the_list(registered):
    with pytest.raises(ValueError, match=r"no exercise '91\.9'; there are: .*91\.1, 91\.2"):
        exercises.check("91.9", 1.0)


def test_two_exercises_with_one_id_are_refused(registered):
    def elsewhere():
        return 1.0

    elsewhere.__module__ = "another.module"
    with pytest.raises(ValueError, match=r"two exercises have the id '91\.1'"):
        base.register(Exercise("91.1", "again", number(), elsewhere, ""))


def test_html_escapes_and_spells_the_state_out(registered):
    feedback = FUNCTION.assess(lambda f, t, y, h: 1 / 0)
    html = feedback._repr_html_()
    assert "91.2 not yet" in html and "<code>ZeroDivisionError" in html
    assert "&lt;" in NUMBER.assess("<b>")._repr_html_()
    assert {
        exercise.assess(a).state for exercise in (NUMBER,) for a in (..., "x", 5, 0.9**10)
    } == set(STATES)
    assert (
        "<li>" in exercises.hint("91.1")._repr_html_()
        and "<pre" in exercises.show_solution("91.1")._repr_html_()
    )


# ---------------------------------------------------------------------------------- reports


def _entry(file, id):
    """An entry of a report as (state, attempts, hints, solution)."""
    entry = json.loads(file.read_text("utf-8"))["exercises"][id]
    return tuple(entry[name] for name in ("state", "attempts", "hints", "solution"))


def test_without_being_asked_nothing_is_written(registered, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exercises.check("91.1", 5)
    assert not list(tmp_path.iterdir())


def test_a_report_has_what_was_checked_before_and_after(registered, tmp_path):
    exercises.check("91.1", ...)
    exercises.check("91.1", 5)
    file = exercises.report(tmp_path / "anna.json")
    assert file == tmp_path / "anna.json"
    assert _entry(file, "91.1") == ("not yet", 1, 0, False)
    exercises.hint("91.1")
    exercises.hint("91.1")
    exercises.check("91.1", "a text")
    assert _entry(file, "91.1") == ("not yet", 2, 2, False)
    exercises.check("91.1", 0.9**10)
    exercises.show_solution("91.2")
    assert _entry(file, "91.1") == ("correct", 3, 2, False)
    assert _entry(file, "91.2") == ("not started", 0, 0, True)
    assert [path.name for path in tmp_path.iterdir()] == ["anna.json"]


def test_nothing_counts_after_the_correct_answer(registered, tmp_path):
    file = exercises.report(tmp_path / "anna.json")
    exercises.check("91.1", 0.9**10)
    before = file.read_text("utf-8")
    exercises.check("91.1", 5)
    exercises.hint("91.1")
    exercises.show_solution("91.1")
    exercises.check("91.1", ...)
    assert file.read_text("utf-8") == before


def test_another_kernel_continues_a_report(registered, tmp_path, monkeypatch):
    file = exercises.report(tmp_path / "anna.json")
    exercises.check("91.1", 5)
    exercises.check("91.2", heun)
    _new_kernel(monkeypatch)
    exercises.check("91.1", 0.9**9)
    exercises.check("91.3", lambda x: x - 1)
    exercises.report(file)
    exercises.report(file)  # the cell is run twice
    assert _entry(file, "91.1") == ("not yet", 2, 0, False)
    assert _entry(file, "91.2") == _entry(file, "91.3") == ("correct", 1, 0, False)


def test_a_second_file_gets_all_of_this_kernel_too(registered, tmp_path):
    exercises.check("91.1", 5)
    first = exercises.report(tmp_path / "ana.json")
    second = exercises.report(tmp_path / "anna.json")
    exercises.check("91.1", 5)
    assert _entry(first, "91.1") == ("not yet", 1, 0, False)
    assert _entry(second, "91.1") == ("not yet", 2, 0, False)


def test_a_report_that_was_deleted_is_written_anew_with_all_of_this_kernel(registered, tmp_path):
    file = exercises.report(tmp_path / "anna.json")
    exercises.check("91.2", heun)
    file.unlink()
    exercises.check("91.1", 5)
    assert _entry(file, "91.2") == ("correct", 1, 0, False)


def test_a_report_has_a_name_that_collect_finds(registered, tmp_path):
    assert exercises.report(tmp_path / "anna.b") == tmp_path / "anna.b.json"


def test_an_environment_variable_names_the_report(registered, tmp_path, monkeypatch):
    file = tmp_path / "anna.json"
    monkeypatch.setenv(reports.VARIABLE, str(file))
    exercises.check("91.1", 0.9**10)
    assert _entry(file, "91.1") == ("correct", 1, 0, False)


@pytest.mark.parametrize(
    "content", ["{}", "[]", "my notes", '{"report": "node_tutorial", "exercises": {"91.1": {}}}']
)
def test_a_file_that_is_no_report_is_left_alone(registered, tmp_path, monkeypatch, content):
    file = tmp_path / "anna.json"
    file.write_text(content)
    with pytest.raises(
        ValueError, match=r"anna\.json is no report of exercises; give another name"
    ):
        exercises.report(file)
    monkeypatch.setenv(reports.VARIABLE, str(file))
    with pytest.warns(UserWarning, match="your report is not written: .*is no report") as seen:
        assert (
            exercises.check("91.1", 0.9**10).state == "correct"
        )  # the learner still gets an answer
    assert seen[0].filename == __file__
    assert file.read_text() == content


def test_a_missing_folder_is_named(registered, tmp_path):
    with pytest.raises(
        OSError, match=r"the folder .*nowhere does not exist; make it, or name another file"
    ):
        exercises.report(tmp_path / "nowhere" / "anna.json")


@pytest.mark.parametrize("name", ["", ".", "/", ".."])
def test_a_report_needs_a_name(registered, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"file must be the name of a file, such as 'anna\.json'"):
        exercises.report(name)
    monkeypatch.setenv(reports.VARIABLE, "..")
    with pytest.warns(UserWarning, match="your report is not written: file must be"):
        assert exercises.check("91.1", 0.9**10).state == "correct"
    assert not list(tmp_path.iterdir())
