"""Every exercise: its stub, wrong kinds, every mistake that a hint recognizes, its solution.

pytest tests/lessons/test_exercises.py -k 01.2
"""

import functools
import importlib
import inspect
import json
import math
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from node_tutorial import exercises, odeint, solve
from node_tutorial.course.syllabus import READY
from node_tutorial.data import exact_spiral, observe, spiral

LESSONS = Path(__file__).parents[2] / "notebooks"


def _exercises():
    """Every exercise, and every lesson's file that cannot be imported, as a case of its own."""
    for lesson in READY.values():
        try:
            importlib.import_module(f"node_tutorial.lessons.{lesson.stem}.exercises")
        except Exception as error:
            yield pytest.param(error, id=f"import of {lesson.stem}")
    yield from (
        pytest.param(exercise, id=id) for id, exercise in sorted(exercises.EXERCISES.items())
    )


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


def numeric_reference(exercise):
    """The correct answer as a float64 array; the test is skipped where it is no number."""
    if exercise.kind.takes_function or isinstance(exercise.reference(), str):
        pytest.skip("no number")
    answer = exercise.reference()
    return np.asarray(answer.detach() if hasattr(answer, "detach") else answer, dtype=np.float64)


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


# -- every exercise takes right answers in other forms, and no wrong ones --------------------------


class Callable:
    """An object that is called like a function."""

    def __init__(self, function):
        self.function = function

    def __call__(self, *args, **kwargs):
        return self.function(*args, **kwargs)

    def method(self, *args, **kwargs):
        return self.function(*args, **kwargs)


def changed(output, change):
    """The output of a function with `change` applied to each number in it, float or tensor."""
    if isinstance(output, bool) or output is None or isinstance(output, str):
        return output
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return type(output)(*(changed(part, change) for part in output))
    if isinstance(output, (list, tuple)):
        return type(output)(changed(part, change) for part in output)
    if isinstance(output, dict):
        return {key: changed(part, change) for key, part in output.items()}
    return change(output)


def followed_by(function, change):
    """`function`, whose output is changed."""
    return lambda *args, **kwargs: changed(function(*args, **kwargs), change)


def to_numpy(value):
    return value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def to_python(value):
    return to_numpy(value).tolist()


def to_tensor(value):
    return value if isinstance(value, torch.Tensor) else torch.from_numpy(np.asarray(value))


def to_single(value):
    """In the precision of float32, in the dtype that it has."""
    if not isinstance(value, torch.Tensor):
        return float(np.float32(value)) if isinstance(value, float) else value
    return value.float().to(value.dtype) if value.is_floating_point() else value


# Where a form or a change does not apply: id -> names, with the reason.
NO_RIGHT_FORM = {
    # A step is compared with its equation to more digits than single precision has.
    **{id: {"single precision"} for id in ("02.1", "03.1", "04.2")},
    "11.2": {"returns numpy", "returns python"},  # a gradient has to lead back
}
NOT_WRONG = {
    "01.4": {"a little off"},  # an order that is measured, and need only round to the right one
    "02.2": {"a little off"},  # ratios that are measured, each near a whole number
    "03.1": {"other sign", "doubled", "a little off"},  # all multiples of the weights are right
    "02.4": {"doubled", "a little off"},  # any number of the right size
    "04.3": {"a little off"},  # read off two curves that cross
    "06.4": {"a little off"},  # a distance, whose size tells; it may be measured in several ways
    "09.1": {"other sign", "doubled", "a little off"},  # all multiples are kept
    "23.4": {"other sign", "doubled", "a little off", "NaN"},  # no number: true or false
    "23.5": {"a little off"},  # whatever beats two rivals
    "05.4": {"a little off"},  # a number that was fitted to data with errors
}


def right_forms(exercise):
    """name -> the reference solution in another form."""
    solution = exercise.reference()
    if exercise.kind.takes_function:
        forms = {
            "lambda": lambda *args, **kwargs: solution(*args, **kwargs),
            "partial": functools.partial(solution),
            "object": Callable(solution),
            "method": Callable(solution).method,
        }
        if exercise.kind(solution).returns is not None:
            forms |= {
                "returns numpy": followed_by(solution, to_numpy),
                "returns python": followed_by(solution, to_python),
                "returns tensors": followed_by(solution, to_tensor),
                "single precision": followed_by(solution, to_single),
            }
    elif isinstance(solution, str):
        forms = {
            "capitals": solution.upper(),
            "capitalized": solution.capitalize(),
            "spaces": f"  {solution} ",
        }
    else:
        values = to_numpy(solution).astype(np.float64)
        plain = values.tolist()
        rounded = np.array([float(f"{value:.4g}") for value in values.ravel()])
        forms = {
            "python": plain,
            "float64": np.float64(values),
            "float32": np.float32(values),
            "tensor": torch.tensor(plain, dtype=torch.float64),
            "single tensor": torch.tensor(plain, dtype=torch.float32),
            "with a graph": torch.tensor(plain, dtype=torch.float64, requires_grad=True) * 1,
            "four digits": rounded.reshape(values.shape),
        }
        if values.ndim == 0:
            forms |= {
                "0-d array": np.array(plain),
                "1-element tensor": torch.tensor([plain], dtype=torch.float64),
                "1-element list": [plain],
                "1-element tuple": (torch.tensor(plain, dtype=torch.float64, requires_grad=True),),
                "decimal": Decimal(repr(plain)),
            }
        else:
            forms |= {
                "tuple": tuple(plain),
                "list of tensors": [torch.tensor(row, requires_grad=True) for row in plain],
                "list of arrays": list(values),
            }
    return {k: v for k, v in forms.items() if k not in NO_RIGHT_FORM.get(exercise.id, ())}


def wrong_forms(exercise):
    """name -> the reference solution with an error in it."""
    solution = exercise.reference()
    if isinstance(solution, str):
        return {}
    little = max(0.01, 3 * exercise.rtol)
    changes = {
        "other sign": lambda value: -value,
        "doubled": lambda value: 2 * value,
        "a little off": lambda value: (1 + little) * value,
        "NaN": lambda value: value * math.nan,
    }
    if exercise.kind.takes_function:
        forms = {name: followed_by(solution, change) for name, change in changes.items()}
    else:
        values = to_numpy(solution).astype(np.float64)
        forms = {name: change(values) for name, change in changes.items()}
    return {k: v for k, v in forms.items() if k not in NOT_WRONG.get(exercise.id, ())}


def test_a_right_answer_may_have_many_forms(exercise):
    forms = right_forms(exercise)
    assert len(forms) >= 3
    for name, answer in forms.items():
        feedback = exercise.assess(answer)
        assert feedback.state == "correct", f"{name}: {feedback}"


def test_an_answer_that_is_nearly_right_is_wrong(exercise):
    forms = wrong_forms(exercise)
    assert len(forms) + len(exercise.mistakes) >= 3
    for name, answer in forms.items():
        feedback = exercise.assess(answer)
        assert feedback.state in ("not yet", "wrong kind"), f"{name}: {feedback}"


def test_the_solution_of_a_function_has_the_name_and_the_arguments_of_the_lessons_stub(exercise):
    if not exercise.kind.takes_function:
        pytest.skip("no function")
    [lesson] = LESSONS.glob(f"{exercise.id[:2]}_*.ipynb")
    cells = ["".join(cell["source"]) for cell in json.loads(lesson.read_text("utf-8"))["cells"]]
    name = exercise.solution.__name__
    [cell] = [cell for cell in cells if f'check("{exercise.id}", {name})' in cell]
    assert f"def {name}{inspect.signature(exercise.solution)}:" in cell


def test_each_mistake_gets_its_own_hint(exercise):
    assert exercise.mistakes, "name at least one mistake that learners make here"
    hints = [mistake.hint for mistake in exercise.mistakes]
    assert len(set(hints)) == len(hints), "two mistakes have the same hint"
    for mistake in exercise.mistakes:
        feedback = exercise.assess(exercise.mistaken(mistake))
        assert feedback.state == "not yet", f"{mistake.name}: {feedback}"
        assert feedback.message == mistake.hint, (
            f"{mistake.name} is answered by: {feedback.message}"
        )


def test_hints_meaning_and_solution_are_there(exercise):
    assert len(exercise.hints) >= 2, "at least two hints, from a nudge to nearly everything"
    assert exercise.meaning.strip() and exercise.title.strip() and exercise.otherwise.strip()
    assert "def " in exercises.show_solution(exercise.id).source, (
        "write the solution as a def: its source is shown"
    )
    assert re.fullmatch(r"\d\d\.\d", exercise.id)


def test_no_message_contains_the_correct_value(exercise):
    values = numeric_reference(exercise).ravel()
    hints = [*exercise.hints, *(mistake.hint for mistake in exercise.mistakes)]
    answers = [exercise.assess(wrong) for wrong in (..., *exercise.kind.examples_of_wrong)]
    messages = [exercise.title, exercise.otherwise, *hints, *(said.message for said in answers)]
    for value in values:
        digits = f"{value:.4g}"
        if sum(c.isdigit() for c in digits.lstrip("-0.")) < 3:
            continue  # too short to be recognized as the answer
        for message in messages:
            assert digits not in message, f"{digits} is given away by: {message}"


def test_importing_exercises_solves_nothing():
    """What a hint needs is computed when a learner gives a wrong answer, not at the first check."""
    code = """
import sys
solved = set()
def watch(frame, event, argument):
    if event == "call" and frame.f_code.co_name in ("odeint", "solve", "fit"):
        while frame and not frame.f_code.co_filename.endswith("exercises.py"):
            frame = frame.f_back
        solved.add(frame.f_code.co_filename if frame else "?")
from node_tutorial.exercises import load_all
sys.setprofile(watch)
load_all()
print(*sorted(solved), sep="\\n")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    solving = done.stdout.strip()
    assert not solving, f"give mistakes a function as their answer in: {solving}"


# -- right answers in other words, and wrong ones that look right ----------------------------------


def state(id, answer):
    return exercises.find(id).assess(answer).state


def test_an_order_may_be_measured_in_any_norm():
    for norm in (math.inf, 1, 2):

        def observed_order(output, N, norm=norm):
            changes = [
                torch.linalg.vector_norm(output(2 * n) - output(n), norm) for n in (N, 2 * N)
            ]
            return torch.log2(changes[0] / changes[1])

        assert state("01.4", observed_order) == "correct", norm


def test_a_training_loop_without_bugs_finds_the_truth_with_any_optimizer_and_solver():
    def recover(t, x):
        theta = torch.zeros((), dtype=x.dtype, requires_grad=True)
        optimizer = torch.optim.LBFGS([theta], line_search_fn="strong_wolfe")

        def closure():
            optimizer.zero_grad()
            loss = (odeint(lambda s, z: theta * z, x[0], t) - x).square().mean()
            loss.backward()
            return loss

        optimizer.step(closure)
        return theta

    solution = exercises.find("05.4").solution
    for theta, times in ((-0.5, [0.0, 0.1, 0.3, 1.5, 2.0]), (0.4, [0.0, 0.9, 1.0, 1.1, 1.2])):
        t = torch.tensor(times, dtype=torch.float64)
        assert solution(t, torch.exp(theta * t)) == pytest.approx(theta, rel=2e-3)
    assert state("05.4", recover) == "correct"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_integral_may_be_solved_in_both_precisions(dtype):
    def log_prob(rate, t, end):
        times = torch.tensor([0.0, end], dtype=dtype)
        return (
            torch.log(rate(t)).sum()
            - odeint(lambda s, y: rate(s), torch.tensor(0.0, dtype=dtype), times)[-1]
        )

    assert state("12.3", log_prob) == "correct"


def test_a_sum_over_64_pixels_may_be_64_times_their_mean():
    def loss(x, logits, mean, log_var):
        entries = 64 * binary_cross_entropy_with_logits(logits, x, reduction="none").mean(-1)
        return (entries + 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(-1)).mean()

    assert state("10.4", loss) == "correct"


def test_a_coupling_hands_its_net_points_and_no_row_of_numbers():
    def undo(y, net):
        s, r = net(y[:, 0])
        return torch.stack([y[:, 0], (y[:, 1] - r) * torch.exp(-s)], dim=1)

    feedback = exercises.find("14.3").assess(undo)
    assert feedback.state == "wrong kind"
    assert "as (N, 1), got shape (3,); `y[:, :1]` keeps" in feedback.message


@pytest.mark.parametrize("id", ["15.1", "15.3"])
def test_matrices_in_single_precision_are_good_enough(id):
    solution = exercises.find(id).solution
    assert state(id, lambda A, *rest: solution(A.float(), *rest)) == "correct"


@pytest.mark.parametrize(
    ("id", "answer", "formula"),
    [
        ("10.4", lambda x, logits, mean, log_var: 1.0, "mean over images"),
        ("12.3", lambda rate, t, end: 1.0, "integral"),
        ("14.2", lambda c: 7.0, "slope"),
        ("15.4", [0, 1, 1, 0], "entropy"),
    ],
)
def test_the_first_word_on_a_wrong_answer_is_no_recipe(id, answer, formula):
    exercise = exercises.find(id)
    feedback = exercise.assess(answer)
    assert feedback.state == "not yet" and feedback.message == exercise.otherwise
    assert formula not in exercise.otherwise


@pytest.mark.parametrize("id", ["05.4", "06.2", "10.4"])
def test_code_that_a_lesson_gives_to_be_repaired_gets_the_hint_of_its_bugs(id):
    [lesson] = LESSONS.glob(f"{id[:2]}_*.ipynb")
    texts = ["".join(cell["source"]) for cell in json.loads(lesson.read_text("utf-8"))["cells"]]
    [code] = re.findall(
        rf"\*\*Exercise {id}\.\*\*.*?```python\n(.*?)```", "\n".join(texts), re.DOTALL
    )
    names = {"torch": torch, "math": math, "odeint": odeint}
    names["binary_cross_entropy_with_logits"] = binary_cross_entropy_with_logits
    exec(code, names)
    exercise = exercises.find(id)
    feedback = exercise.assess(names[exercise.solution.__name__])
    assert feedback.message in [mistake.hint for mistake in exercise.mistakes], str(feedback)


# -- what hints and meanings say -------------------------------------------------------------------


def test_the_loss_of_the_spiral_is_as_wrong_as_the_hints_of_05_3_say():
    def truth(t):
        return exact_spiral(t, torch.tensor([2.0, 0.0], dtype=torch.float64))

    def error(tol):
        return float(
            (odeint(spiral, truth(t[:1])[0], t, rtol=tol, atol=tol) - y).square().mean() / right - 1
        )

    t, y = observe(truth, 60, end=12.0, noise=0.1)
    right = (truth(t) - y).square().mean()
    assert (
        error(1e-2) > 1 and error(1e-3) == pytest.approx(0.25, abs=0.05) and abs(error(1e-5)) < 0.01
    )


def test_the_solution_of_03_3_is_thousands_of_times_as_far_off_as_asked():
    t = torch.linspace(0, 0.99, 100, dtype=torch.float64)
    tol = exercises.find("03.3").reference()
    y = solve(lambda t, y: y**2, torch.ones(1, dtype=torch.float64), t, rtol=tol, atol=tol).y[:, 0]
    assert 1000 < float((y - 1 / (1 - t)).abs().max()) / tol < 10_000
