"""Facts of lesson 06: the exact gradients, the meters, the adjoint's jumps; readable figures."""

import math

import pytest
import torch

from node_tutorial import explore, odeint
from node_tutorial.gradients import GRADIENT_MODES
from node_tutorial.gradients.checkpoint import best_split
from node_tutorial.gradients.memory import PeakBytes
from node_tutorial.lessons.gradients import adjoint as adjoints
from node_tutorial.lessons.gradients import costs, figures
from node_tutorial.lessons.gradients.exercises import fewest_snapshots, gradient_of_decay, pull_back
from node_tutorial.plotting import text_problems

float64 = torch.float64
STATE = 2048  # bytes of one state of the neurons


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


def test_what_comes_back_is_off_by_the_error_at_the_end_times_its_growth():
    for lam in (10, 15, 20, 25):
        data = adjoints.reverse_data(lam, 1e-6)
        assert 0.1 < abs(data.x0 - 1) / float(data.growth[0]) < 10
    assert abs(adjoints.reverse_data(10, 1e-6).x0 - 1) < 0.05
    assert adjoints.reverse_data(20, 1e-6).x0 > 1e7
    assert abs(adjoints.reverse_data(20, 1e-6, dense=True).x0 - 1) < 1e-12


def test_torchdiffeq_comes_back_to_the_numbers_that_the_course_knows():
    torchdiffeq = pytest.importorskip("torchdiffeq")
    t = torch.tensor([0.0, 2.0], dtype=float64)

    def back(lam):
        def f(t, x):
            return -lam * x

        start = torch.ones(1, dtype=float64)
        end = torchdiffeq.odeint(f, start, t, rtol=1e-6, atol=1e-9)[-1]
        return torchdiffeq.odeint(f, end, t.flip(0), rtol=1e-6, atol=1e-9)[-1].item()

    assert back(10) == pytest.approx(1.0076, abs=1e-4)
    assert back(20) == pytest.approx(2e8, rel=0.1)


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


# ---- Pictures ----


def test_the_explorable_says_which_gradients_are_exact_for_their_steps():
    panel = explore.gradient_price()
    assert "equal to backprop" in panel.evaluate(mode="checkpoint", steps=8).text
    assert "equal to backprop" not in panel.evaluate(mode="adjoint", steps=8).text


def test_figures_are_readable():
    steps = [8, 32, 128]
    tols = [10.0**-k for k in range(2, 9)]
    kept = {
        mode: [2048 * n * (i + 1) for n in (8, 32, 128)] for i, mode in enumerate(GRADIENT_MODES)
    }
    rows = {
        "direct": tols,
        "adjoint": [3 * tol for tol in tols],
        "interpolated": [0.9 * tol for tol in tols],
    }
    drawn = [
        figures.memory_figure(steps, {"direct": kept["direct"]}),
        figures.memory_figure(steps, kept, kept),
        figures.jumps_figure(
            *(adjoints.adjoint_data(-0.5, [0.6, 1.3, 2.0], adds) for adds in (True, False))
        ),
        figures.reverse_figure({lam: adjoints.reverse_data(lam, 1e-6) for lam in (5, 10, 15, 20)}),
        figures.tolerance_figure(tols, {"leak 0": rows, "leak 2": rows}),
        figures.ratio_figure(
            tols[1:], {"a": [2.0] * 6, "b": [1.1] * 6, "network 2-50-2": [1.6] * 6}
        ),
    ]
    for fig in drawn:
        fig.png()
        assert not text_problems(fig)
