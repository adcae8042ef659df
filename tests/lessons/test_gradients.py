"""Facts of lesson 06: the exact gradients, the meters, the adjoint, what its exercises accept."""

import ast
import builtins
import json
import math
import re
from functools import partial
from pathlib import Path

import pytest
import torch

from node_tutorial import exercises, explore, odeint, solve
from node_tutorial.gradients import GRADIENT_MODES
from node_tutorial.gradients.checkpoint import best_split
from node_tutorial.gradients.memory import PeakBytes
from node_tutorial.lessons.gradients import adjoint as adjoints
from node_tutorial.lessons.gradients import costs, reverse_solve
from node_tutorial.lessons.gradients.exercises import (
    distance,
    fewest_snapshots,
    gradient_of_decay,
    pull_back,
)
from node_tutorial.lessons.gradients.round_trip import (
    DECAY,
    EQUATIONS,
    round_trip,
    size_of,
    there_and_back,
)

# The lesson shows where the adjoint loses the solution; the package warns there.
pytestmark = pytest.mark.filterwarnings("ignore:the adjoint's backward solve:RuntimeWarning")

float64 = torch.float64
STATE = 2048  # bytes of one state of the neurons
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture(scope="module")
def prices():
    return costs.all_prices(16, 2.0)


# ---- Costs ----


@pytest.mark.parametrize("leak", [0.0, 2.0])
def test_the_exact_gradient_agrees_with_finite_differences(leak):
    field = costs.Neurons(leak)
    y0 = costs.start()
    exact = costs.exact_gradient(leak)
    h = 1e-5

    def loss():
        with torch.no_grad():
            y = odeint(field, y0, costs.SPAN, method="dopri8", rtol=1e-12, atol=1e-13)
            return y[-1].square().sum() / 2

    for tensor, place, index in (
        (y0, (3, 5), 3 * 16 + 5),
        (field.weight, (2, 7), 256 + 2 * 16 + 7),
    ):
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                tensor[place] += sign * h
                values.append(loss())
                tensor[place] -= sign * h
        assert float(values[0] - values[1]) / (2 * h) == pytest.approx(
            float(exact[index]), rel=1e-5, abs=1e-7
        )


def test_exact_modes_equal_backprop_through_their_steps_and_the_others_do_not(prices):
    exact = {mode for mode, row in prices.items() if row.own_error < 1e-8}
    assert exact == {"direct", "replay", "checkpoint", "reversible"}
    assert set(prices) == set(GRADIENT_MODES)


def test_on_a_contracting_flow_adjoint_and_reversible_are_wrong_and_the_others_right(prices):
    assert prices["adjoint"].error > 0.1 and prices["reversible"].error > 0.5
    others = ("direct", "interpolated", "replay", "checkpoint")
    assert max(prices[mode].error for mode in others) < 2e-3


def test_bytes_and_evaluations_are_those_of_the_theory(prices):
    kept = {mode: row.price.kept // STATE for mode, row in prices.items()}
    assert kept == {
        "direct": 130,
        "adjoint": 3,
        "interpolated": 67,
        "replay": 16,
        "checkpoint": 1,
        "reversible": 4,
    }
    paid = {mode: (row.price.forward, row.price.backward) for mode, row in prices.items()}
    assert paid["direct"] == (64, 0)
    assert paid["adjoint"] == paid["replay"] == (64, 64)
    assert paid["reversible"] == (17, 32)


def test_the_peak_is_flat_or_grows_as_the_theory_says():
    _, peak = costs.memory(GRADIENT_MODES, [9, 36])
    grown = {mode: (b - a) / STATE for mode, (a, b) in peak.items()}
    assert grown["adjoint"] == grown["reversible"] == 0
    assert grown["checkpoint"] == 6 - 3  # snapshots
    assert grown["replay"] == 27 and grown["direct"] == 8 * 27


def test_the_peak_meter_counts_what_is_alive_at_one_time():
    with PeakBytes() as meter:
        a = torch.zeros(10, dtype=float64)
        b = a + 1  # 160 bytes
        del a
        c = b.view(2, 5).add_(1)  # a view, written in place: nothing new
        d = c * 2
        del b, c, d
    assert meter.peak == 160 and meter.now == 0


def test_counts_do_not_depend_on_the_number_of_threads():
    before = torch.get_num_threads()
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        paid = [
            costs.price(m, costs.Neurons(), costs.start(), costs.SPAN, rtol=1e-5, atol=1e-5)
            for m in ("direct", "adjoint")
        ]
        found.append([(p.kept, p.forward, p.backward) for p in paid])
    torch.set_num_threads(before)
    assert found[0] == found[1]


# ---- The adjoint ----


def test_the_adjoint_with_jumps_is_the_gradient_of_the_loss():
    x0 = torch.tensor(adjoints.X0, dtype=float64, requires_grad=True)
    times = [0.4, 0.9, 2.0]
    x = x0 * torch.exp(-0.8 * torch.tensor(times, dtype=float64))
    loss = (x - torch.tensor([adjoints.target(s) for s in times], dtype=float64)).square().sum() / 2
    (autograd,) = torch.autograd.grad(loss, x0)
    data = adjoints.adjoint_data(-0.8, times)
    assert data.gradient == pytest.approx(float(autograd), abs=1e-6)
    assert data.exact_gradient == pytest.approx(float(autograd), abs=1e-12)
    wrong = adjoints.adjoint_data(-0.8, times, adds=False).gradient
    assert wrong != pytest.approx(float(autograd), abs=0.05)


def test_with_one_observation_overwriting_goes_unnoticed():
    good, bad = (adjoints.adjoint_data(-0.8, [2.0], adds) for adds in (True, False))
    assert good.gradient == bad.gradient


def test_the_drawn_exact_adjoint_jumps_by_the_derivative_of_the_loss():
    data = adjoints.adjoint_data(-0.5, [0.6, 1.3, 2.0])
    pairs = zip(data.exact, data.exact[1:], data.x_at, data.targets)
    for (_, before), (_, after), x, d in pairs:
        assert float(before[-1] - after[0]) == pytest.approx(x - d, abs=1e-12)


def test_the_walk_of_the_adjoint_passes_through_the_exact_one():
    data = adjoints.adjoint_data(-0.5, [0.6, 1.3, 2.0])
    for t in (0.0, 0.3, 1.0, 1.9):
        ahead = zip(data.times, data.x_at, data.targets)
        exact = sum((x - d) * math.exp(-0.5 * (s - t)) for s, x, d in ahead if s > t)
        assert data.at(t) == pytest.approx(exact, abs=1e-4)
    assert data.at(0.0) == data.gradient and data.at(2.0) == data.jumps[0].after


def test_every_frame_of_the_way_back_is_drawn():
    panel = explore.adjoint_jumps()
    for frame in (0, 14, 40):
        assert f"t = {2 - frame / 20:.2f}" in panel.evaluate(frame=frame).text


# ---- There and back ----


def test_what_comes_back_is_off_by_the_error_at_the_end_times_its_growth():
    for lam in (10, 15, 20, 25):
        for rtol in (1e-6, 1e-8):
            data = round_trip(lam, rtol)
            assert data.end_error < rtol
            assert 0.1 < abs(data.y0 - 1) / float(data.growth[0]) < 10


def test_the_way_back_lies_whatever_atol_is():
    for lam, expected in ((10, 65), (15, 2e6), (20, 4e10)):
        for atol in (1e-9, 1e-30):
            assert round_trip(lam, 1e-6, atol).y0 == pytest.approx(expected, rel=0.05)
    assert round_trip(20, 1e-12).y0 > 1e4
    for lam in (10, 20, 25):
        assert round_trip(lam, dense=True).y0 == pytest.approx(1, abs=1e-12)


def test_two_solves_in_a_row_are_the_round_trip():
    for lam in (5, 10, 20):
        back = there_and_back(odeint, lam)
        assert back == pytest.approx(round_trip(lam).y0, rel=1e-6)


def test_sizes_are_said_with_as_many_digits_as_hold():
    assert [size_of(y) for y in (0.99972, 65.4, -38.48, 4.09e10, -1.18e10)] == [
        "0.9997",
        "65",
        "-38",
        "4e10",
        "-1e10",
    ]


def test_for_plain_decay_it_is_atol_alone():
    for lam in (20, 25):
        assert round_trip(lam, equation=DECAY).y0 > 1e7
        assert round_trip(lam, atol=1e-30, equation=DECAY).y0 == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("equation", EQUATIONS)
def test_the_exact_solutions_are_exact(equation):
    lam = 3.0
    t = torch.linspace(0, 2, 5, dtype=float64)

    def f(t, y):
        return EQUATIONS[equation].field(lam, t, y)

    y = odeint(f, torch.tensor(1.0, dtype=float64), t, rtol=1e-10, atol=1e-12)
    assert torch.allclose(y, EQUATIONS[equation].exact(lam, t), rtol=1e-8)


def test_torchdiffeq_comes_back_to_wrong_values_of_the_same_size():
    torchdiffeq = pytest.importorskip("torchdiffeq")
    t = torch.tensor([0.0, 2.0], dtype=float64)

    def back(lam, atol):
        def f(t, y):
            return -lam * (y - torch.cos(t))

        start = torch.ones(1, dtype=float64)
        end = torchdiffeq.odeint(f, start, t, rtol=1e-6, atol=atol)[-1]
        return torchdiffeq.odeint(f, end, t.flip(0), rtol=1e-6, atol=atol)[-1].item()

    for atol in (1e-9, 1e-30):
        assert 10 < abs(back(10, atol)) < 100 and 1e9 < abs(back(20, atol)) < 1e11


# ---- What is exact ----


def test_backprop_is_exact_with_its_steps_held_fixed_only():
    """van der Pol, L = |y(5)|^2 / 2: at 1e-3 backprop is nearer to the truth than the derivative of
    the computed loss, and equal to it where the steps cannot change.
    """

    def loss(theta, **solver):
        def f(t, y):
            return theta * torch.stack([y[1], (1 - y[0] ** 2) * y[1] - y[0]])

        start = torch.tensor([2.0, 0.0], dtype=float64)
        t = torch.tensor([0.0, 5.0], dtype=float64)
        return odeint(f, start, t, **solver)[-1].square().sum() / 2

    def both(**solver):
        theta = torch.tensor(1.0, dtype=float64, requires_grad=True)
        (backprop,) = torch.autograd.grad(loss(theta, **solver), theta)
        with torch.no_grad():
            change = loss(theta + 1e-5, **solver) - loss(theta - 1e-5, **solver)
        return float(backprop), float(change) / 2e-5

    assert both(rtol=1e-3, atol=1e-3) == pytest.approx((2.584, 3.104), abs=2e-3)
    assert both(rtol=1e-9, atol=1e-9) == pytest.approx((2.557, 2.557), abs=1e-3)
    backprop, change = both(method="rk4_classic", options={"step_size": 0.1})
    assert backprop == pytest.approx(change, rel=1e-6)


@pytest.mark.parametrize("z", [-2.0, -0.1, 0.5])
def test_a_step_of_reversible_heun_has_determinant_minus_one(z):
    columns = []
    for y, x in ((1.0, 0.0), (0.0, 1.0)):
        x1 = 2 * y - x + z * x
        columns.append([y + z / 2 * (x + x1), x1])
    matrix = torch.tensor(columns, dtype=float64).T
    assert torch.allclose(
        matrix, torch.tensor([[1 + z, z**2 / 2], [2, z - 1]], dtype=float64), atol=1e-12
    )
    assert torch.linalg.det(matrix).item() == pytest.approx(-1)


def test_the_pushes_of_the_lesson_are_those_of_equations_too():
    """The multipliers of a linear and a nonlinear equation, in the lesson's folded box."""
    generator = torch.Generator().manual_seed(0)
    draw = partial(torch.randn, generator=generator, dtype=float64)
    matrix = draw(4, 4) + 4 * torch.eye(4, dtype=float64)
    change = draw(4, 4)
    b = draw(4)
    g = draw(4)
    theta = torch.tensor(0.5, dtype=float64, requires_grad=True)
    x = torch.linalg.solve(matrix + theta * change, b)
    multiplier = torch.linalg.solve((matrix + theta * change).T, g)
    assert torch.allclose(torch.autograd.grad(g @ x, theta)[0], -multiplier @ (change @ x))

    x = torch.zeros(4, dtype=float64)
    for _ in range(100):  # F = x - b - theta tanh(change x) / 8
        x = b + theta * torch.tanh(change @ x) / 8
    slopes = (1 - torch.tanh(change @ x) ** 2)[:, None] * change
    multiplier = torch.linalg.solve((torch.eye(4, dtype=float64) - theta / 8 * slopes).T, g)
    by_theta = -torch.tanh(change @ x) / 8
    assert torch.allclose(torch.autograd.grad(g @ x, theta)[0], -multiplier @ by_theta)


# ---- Exercises ----


def test_the_reference_solutions_equal_the_closed_forms():
    end = 1.5 * math.exp(-1.4)
    assert gradient_of_decay().tolist() == pytest.approx([2 * end**2, end**2 / 1.5], rel=1e-7)
    theta = 0.4
    t = [0.0, 0.3, 1.0]
    g = [1.0, -2.0, 0.5]
    assert pull_back(theta, t, g) == pytest.approx(
        sum(w * math.exp(theta * s) for s, w in zip(t, g)), rel=1e-12
    )


def state(id, answer):
    return exercises.find(id).assess(answer).state


def test_the_gradient_of_a_decay_may_come_in_any_form():
    """Tensors with one entry, as in the lesson, floats, and what autograd gives."""
    pair = gradient_of_decay()
    x0 = torch.tensor([1.5], dtype=float64, requires_grad=True)
    theta = torch.tensor(-0.7, dtype=float64, requires_grad=True)
    by_autograd = torch.autograd.grad(((x0 * torch.exp(2 * theta)) ** 2 / 2).sum(), (theta, x0))
    for answer in (by_autograd, pair.tolist(), pair.numpy(), (pair[0], float(pair[1]))):
        assert state("06.1", answer) == "correct"
    with torch.no_grad():
        assert state("06.1", pair.float()) == "correct"
    for wrong in (-pair, pair.flip(0), pair * torch.tensor([1.0, 1.5])):
        assert state("06.1", wrong) == "not yet"
    for factors, word in (((1, -1), "second"), ((-1, -1), "Both"), ((0.5, 1), "integral")):
        said = exercises.find("06.1").assess(pair * torch.tensor(factors)).message
        assert word in said


def by_popping(theta, t, g):
    a = 0.0
    while len(t) > 1:
        a = (a + g.pop()) * math.exp(theta * (t[-1] - t[-2]))
        t.pop()
    return a + g.pop()


def by_reversing(theta, t, g):
    t.reverse()
    g.reverse()
    a = torch.tensor(g[0])
    for late, early, g_i in zip(t, t[1:], g[1:]):
        a = a * math.exp(theta * (late - early)) + g_i
    return a


def by_a_sum(theta, t, g):
    t = torch.tensor(t, dtype=float64)
    return (torch.tensor(g, dtype=float64) * torch.exp(theta * (t - t[0]))).sum()


def test_observations_may_be_pulled_back_in_any_way():
    for _ in range(2):  # a function that uses up its lists spoils nothing for the next
        for right in (by_popping, by_reversing, by_a_sum, pull_back):
            assert state("06.2", right) == "correct", right.__name__
    for wrong in (
        lambda theta, t, g: sum(g),
        lambda theta, t, g: g[-1] * math.exp(theta * (t[-1] - t[0])),
        lambda theta, t, g: -by_a_sum(theta, t, g),
    ):
        assert state("06.2", wrong) == "not yet"


def by_backward(f, y0, t):
    found = []
    for mode in ("adjoint", "replay"):
        f.zero_grad()
        y = GRADIENT_MODES[mode](f, y0, t, rtol=1e-6, atol=1e-6)
        (y[-1] ** 2 / 2).sum().backward()
        found.append([p.grad.clone() for p in f.parameters()])
    square = sum(((a - b) ** 2).sum() for a, b in zip(*found))
    return math.sqrt(square / sum((b**2).sum() for b in found[1]))


def against_direct(f, y0, t):
    names = ("adjoint", "direct")
    solved = [GRADIENT_MODES[name](f, y0, t, rtol=1e-6, atol=1e-6)[-1] for name in names]
    losses = [0.5 * (y * y).sum() for y in solved]
    a, b = (
        torch.cat([part.reshape(-1) for part in torch.autograd.grad(loss, list(f.parameters()))])
        for loss in losses
    )
    return float(torch.linalg.norm(a - b) / torch.linalg.norm(b))


def test_two_gradients_may_be_compared_in_any_way():
    for right in (distance, by_backward, against_direct, lambda *args: distance(*args).numpy()):
        assert state("06.4", right) == "correct"
    for wrong in (
        lambda *args: 0.1,
        lambda *args: 1 - distance(*args),
        lambda f, y0, t: distance(f, y0, t / 2),
    ):
        assert state("06.4", wrong) == "not yet"


def test_the_meaning_of_06_4_says_what_comes_out():
    calm, leaky = (distance(costs.Neurons(leak), costs.start(), costs.SPAN) for leak in (0.0, 2.0))
    assert calm < 1e-3 and 0.05 < leaky < 0.15


def test_the_fewest_snapshots_are_the_first_that_are_enough():
    def cost(n, s):  # by trying all splits
        if n not in table[s]:
            k_range = range(1, n)
            table[s][n] = min(k + cost(n - k, s - 1) + cost(k, s) for k in k_range)
        return table[s][n]

    table = [{n: n * (n - 1) // 2 for n in range(1, 41)} for _ in range(2)] + [
        {1: 0} for _ in range(5)
    ]
    assert cost(40, 5) == sum_of_best(40, 5)
    fewest = fewest_snapshots()
    assert sum_of_best(1000, fewest) <= 2000 < sum_of_best(1000, fewest - 1)


def sum_of_best(n, s):
    if s == 1 or n <= 1:
        return n * (n - 1) // 2
    k = best_split(n, s)
    return k + sum_of_best(n - k, s - 1) + sum_of_best(k, s)


@pytest.mark.parametrize("id", ["05.4", "06.2"])
def test_code_that_is_given_to_be_repaired_uses_only_names_that_its_lesson_has(id):
    [lesson] = NOTEBOOKS.glob(f"{id[:2]}_*.ipynb")
    cells = json.loads(lesson.read_text("utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells]
    [text] = [source for source in sources if f"**Exercise {id}.**" in source]
    [given] = re.findall(r"```python\n(.*?)```", text[text.index(id) :], re.DOTALL)
    first = next(s for cell, s in zip(cells, sources) if cell["cell_type"] == "code")
    imported = {
        alias.asname or alias.name
        for node in ast.walk(ast.parse(first))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    tree = ast.parse(given)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    stored = [node for node in ast.walk(tree) if isinstance(getattr(node, "ctx", None), ast.Store)]
    own = {node.id for node in stored if isinstance(node, ast.Name)}
    own |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    assert names - own - set(dir(builtins)) <= imported


# ---- Explorables ----


def test_with_twice_the_steps_the_bytes_of_three_modes_double_and_all_evaluations():
    few, many = (costs.all_prices(n, 0.0) for n in (32, 64))
    doubled = [mode for mode in few if many[mode].price.kept > 1.9 * few[mode].price.kept]
    assert doubled == ["direct", "interpolated", "replay"]
    assert all(many[m].price.forward > 1.9 * few[m].price.forward for m in few)


def test_the_explorable_says_which_gradients_are_exact_for_their_steps():
    panel = explore.gradient_price()
    assert "equal to backprop" in panel.evaluate(mode="checkpoint", steps=8).text
    assert "equal to backprop" not in panel.evaluate(mode="adjoint", steps=8).text


def test_on_the_way_back_it_is_the_adjoint_that_wants_short_steps():
    """y alone comes back in about as many evaluations as it went; a takes twice as many."""
    field = costs.Neurons(0.0)
    y0 = costs.start()
    tol = {"rtol": 1e-6, "atol": 1e-6}
    forward = solve(field, y0, costs.SPAN, **tol)
    back = solve(field, forward.y[-1].detach(), costs.SPAN.flip(0), **tol).stats.nfe
    of_a = costs.price("interpolated", field, y0, costs.SPAN, **tol).backward
    both = costs.price("adjoint", field, y0, costs.SPAN, **tol).backward
    assert back < 1.2 * forward.stats.nfe < 0.6 * both and 0.9 * both < of_a <= both


def test_the_seminorm_saves_more_the_larger_the_batch():
    """The number of parameters stays the same; the integrals over the batch grow."""
    saved = []
    for batch in (20, 1000):
        states = torch.randn(
            batch, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64
        )
        found = []
        for options in ({}, {"norm": "seminorm"}):
            paid = costs.price(
                "adjoint",
                costs.Network(),
                states.requires_grad_(),
                costs.SPAN,
                rtol=1e-5,
                atol=1e-5,
                adjoint_options=options,
            )
            found.append(paid.backward)
        saved.append(1 - found[1] / found[0])
    assert saved[0] < 0.25 < 0.3 < saved[1]


def test_how_tight_a_tolerance_brings_y_back():
    """What the folded answer of section 7 says of lambda = 10 and 20."""
    assert round_trip(10, 1e-9).y0 == pytest.approx(1.09, abs=0.005)
    assert abs(round_trip(10, 1e-10).y0 - 1) < 0.02 < abs(round_trip(10, 1e-9).y0 - 1)
    assert abs(round_trip(20, 1e-12).y0) > 5e4


def test_the_way_back_is_walked_from_the_end_to_the_start():
    settings = {
        "lam": 10.0,
        "rtol": 1e-6,
        "tiny": False,
        "equation": next(iter(EQUATIONS)),
        "dense": False,
    }
    frames = [reverse_solve.compute(**settings, frame=k) for k in range(reverse_solve.FRAMES)]
    assert [frames[0].t, frames[-1].t] == [2.0, 0.0]
    assert frames[-1].y == frames[-1].trip.y0 and frames[-1].exact == pytest.approx(1.0)
    assert all(frame.trip is frames[0].trip for frame in frames), "solved once"
    off = [abs(frame.y - frame.exact) for frame in frames]
    assert off[0] < 1e-6 < 1 < off[-1]
