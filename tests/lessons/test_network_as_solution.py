"""Facts that lesson 22 relies on: errors by the residual, what its panels show, its stored runs."""

import math
from statistics import median

import numpy as np
import pytest
import torch

from node_tutorial import exercises, explore
from node_tutorial.data import burgers_exact
from node_tutorial.lessons.network_as_solution import figures, runs
from node_tutorial.lessons.network_as_solution import trainings as made
from node_tutorial.lessons.network_as_solution.burgers_front import FRAMES, SIDE
from node_tutorial.lessons.network_as_solution.burgers_front import compute as front
from node_tutorial.lessons.network_as_solution.longer_swing import compute as swing
from node_tutorial.lessons.network_as_solution.longer_swing import measured
from node_tutorial.lessons.network_as_solution.loss_and_error import SHAPES, scaled
from node_tutorial.lessons.network_as_solution.loss_and_error import compute as error_of
from node_tutorial.lessons.network_as_solution.trainings import BOUNDED, KINDS, LINEAR, NU, SOFT
from node_tutorial.models import PINN, derivative
from node_tutorial.plotting import text_problems

f64 = torch.float64


# -- residual and error ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "error"), [(-1.0, 8.6466e-4), (0.0, 2e-3), (1.0, 6.3891e-3), (5.0, 4.405093)]
)
def test_the_panel_has_the_known_errors(rate, error):
    data = error_of(rate, 2.0, 1e-3, "constant")
    assert data.e[-1] == pytest.approx(error, rel=1e-4)
    assert data.bound == pytest.approx(error, rel=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_all_shapes_have_the_same_loss_and_errors_within_the_bound(shape):
    residual = scaled(shape, 0.01, 3.0)
    t = torch.linspace(0, 3, 3001, dtype=f64)
    assert float(torch.trapezoid(residual(t) ** 2, t) / 3) == pytest.approx(1e-4, rel=1e-3)
    for rate in (-5.0, -0.5, 0.0, 2.0):
        data = error_of(rate, 3.0, 0.01, shape)
        assert abs(data.e[-1]) <= data.bound * (1 + 1e-9)
        assert data.loss == pytest.approx(1e-4)


def test_the_error_of_the_panel_is_that_of_its_equation():
    """u = cos t + e solves u' = rate (u - cos t) - sin t + r, by differences."""
    for shape in SHAPES:
        data = error_of(1.5, 2.0, 0.1, shape)
        u = np.cos(data.t) + data.e
        slope = np.gradient(u, data.t, edge_order=2)
        right = 1.5 * (u - np.cos(data.t)) - np.sin(data.t) + data.r
        assert np.abs(slope - right)[1:-1].max() < 0.02


# -- longer swings ---------------------------------------------------------------------------------


def test_a_swing_that_dies_costs_one_over_twice_the_square_of_its_time():
    for end in (3.0, 20.0):
        dying = PINN(
            lambda y, t: derivative(y, t) - made.oscillator(t, y),
            [(0, end)],
            trial=lambda n, t, end=end: (1 - t / end) * torch.cat([t.cos(), -t.sin()], 1) + 0 * n,
            size=2,
        ).double()
        loss = float(dying.loss(*dying.points(50)).detach())
        assert loss == pytest.approx(1 / (2 * end**2), rel=1e-6)


def test_causal_weights_fall_with_what_was_left_before():
    torch.manual_seed(0)
    net = made.swing(BOUNDED, 0.0, 6.0, made.START)
    t = torch.tensor([[3.0], [1.0], [5.0]], dtype=f64)
    squares = net.residuals(t[[1, 0, 2]]).square().mean(-1)
    weights = torch.exp(-2 * torch.stack([0 * squares[0], squares[0], squares[0] + squares[1]]))
    loss, least = made.causal_loss_at(net, t, 2.0)
    assert torch.allclose(loss, (weights * squares).mean())
    assert torch.isclose(least, weights[2])
    plain, _ = made.causal_loss_at(net, t, 0.0)
    assert torch.allclose(plain, squares.mean())


def test_measuring_a_training_begins_before_it_ends_after_it_and_does_not_change_it():
    nets = []
    for measure in (None, made.mean_residual):
        torch.manual_seed(0)
        nets.append(made.swing(BOUNDED, 0.0, 1.0, made.START))
        before = made.mean_residual(nets[-1])
        trained = made.train(nets[-1], 10, 2 * made.EVERY, 5, measure=measure)
    assert len(trained.losses) == 4 and trained.losses == trained.errors
    assert trained.losses[0] == before and trained.losses[-1] == made.mean_residual(nets[1])
    assert made.mean_residual(nets[0]) == trained.losses[-1] < before


def test_all_kinds_of_starts_solve_the_same_equation():
    for kind in (*KINDS, LINEAR):
        torch.manual_seed(0)
        net = made.swing(kind, 1.0, 3.0, made.START)
        at = torch.tensor([[1.0]], dtype=f64)
        with torch.no_grad():
            assert (float((net(at)[0] - made.START).norm()) < 1e-12) == (kind != SOFT)
        t = torch.tensor([[1.5], [2.5]], dtype=f64, requires_grad=True)
        expected = derivative(net(t), t) - made.oscillator(t, net(t))
        assert torch.allclose(net.residuals(t), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("marching", [False, True])
def test_stored_errors_are_within_what_the_residual_allows(kind, marching):
    for periods in runs.PERIODS:
        data = swing(kind, periods, marching)
        if data.bound is not None:
            assert data.e.max() <= 1.02 * data.bound + 1e-5
        errors = measured(kind, periods, marching)[1]
        norm = np.sqrt((data.e**2).mean())
        assert norm == pytest.approx(median(errors), rel=0.3) or marching


def test_stored_runs_are_those_of_the_code():
    for check in runs.verify():
        assert abs(check.again - check.stored) <= check.within, check.what


# -- heat, Burgers, the inverse problem ------------------------------------------------------------


def test_the_nets_of_the_heat_equation_have_their_values_and_residual():
    torch.manual_seed(0)
    x = torch.tensor([[0.0], [1.0], [0.3]], dtype=f64)
    t = torch.tensor([[0.05], [0.1], [0.0]], dtype=f64)
    net = made.heat_net(hard=True)
    with torch.no_grad():
        assert torch.allclose(net(x, t), torch.sin(math.pi * x), atol=1e-15)
    soft = made.heat_net(hard=False, weight=10.0)
    assert len(soft.conditions) == 3 and {c.weight for c in soft.conditions} == {10.0}
    exact = PINN(
        made.heat_residual,
        [(0, 1), (0, 0.1)],
        trial=lambda n, x, t: made.heat_exact(x, t) + 0 * n,
    ).double()
    assert made.mean_residual(exact, 20) < 1e-24 and made.heat_error(exact) < 1e-15


def test_the_front_at_the_start_is_exact_and_on_all_grids_the_same():
    for nu in NU:
        for n in (16, SIDE):
            data = front(nu, n, 0)
            assert data.net_error.max() < 1e-12 and data.grid_error.max() < 1e-12
    data = front("0.1/π", 32, FRAMES - 1)
    assert data.t == 1
    exact = burgers_exact(torch.from_numpy(data.grid), 1.0, NU["0.1/π"]).numpy()
    assert np.allclose(np.abs(data.stepped - exact), data.grid_error, atol=1e-12)


def test_finer_grids_are_nearer_to_the_front():
    errors = [front("0.1/π", n, 10).grid_error.max() for n in (16, 64, 256)]
    assert errors[0] > 5 * errors[1] > 25 * errors[2] / 2


def test_the_formula_finds_omega_without_noise():
    t = torch.linspace(0.1, 6, 10, dtype=f64)[:, None]
    for omega in (0.7, 1.7, 3.1):
        data = 1.3 * torch.cos(omega * t + 0.4)
        assert made.by_formula(t, data) == pytest.approx(omega, abs=2e-3)
        assert made.by_solver(t, data, 1.05 * omega) == pytest.approx(omega, abs=1e-3)


def test_a_spring_that_swings_has_no_residual():
    t = torch.linspace(0, 3, 7, dtype=f64)[:, None].requires_grad_()
    right, wrong = (made.Spring(omega)(torch.cos(2 * t), t).detach() for omega in (2.0, 1.0))
    assert float(right.abs().max()) < 1e-12 and float(wrong.abs().max()) > 1


# -- panels, figures, exercises --------------------------------------------------------------------


def test_panels_say_what_they_show():
    assert "error at the end 2.00e-03" in explore.loss_and_error().text
    text = explore.longer_swing().text
    assert "1 period, one net" in text and "loss" in text
    panel = explore.longer_swing()
    panel.controls["marching"].value = True
    assert "one net a period" in panel.text
    assert "of 64 intervals" in explore.burgers_front().text


@pytest.mark.parametrize("name", figures.EXAMPLES)
def test_figures_are_readable(name):
    fig = figures.EXAMPLES[name]()
    fig.png()
    assert not text_problems(fig)


def by_backward(f, x):
    x = x.detach().clone().requires_grad_()
    (first,) = torch.autograd.grad(f(x), x, torch.ones_like(x), create_graph=True)
    first.backward(torch.ones_like(x))
    return x.grad


def by_rows(f, x):
    return torch.stack([torch.func.grad(torch.func.grad(f))(one) for one in x])


def by_differences(f, x):
    h = 1e-3
    return (f(x + h) - 2 * f(x) + f(x - h)) / h**2


def by_search(u, u_tt):
    omega = torch.linspace(0.05, 5, 100_000, dtype=f64)
    a, b, c = (u_tt * u_tt).sum(), (u_tt * u).sum(), (u * u).sum()
    return omega[(a + 2 * omega**2 * b + omega**4 * c).argmin()]


RIGHT = {
    "22.1": [
        lambda size, rate, end: size * math.expm1(rate * end) / rate,
        lambda size, rate, end: (
            size
            * sum(math.exp(rate * end * (i + 0.5) / 20_000) * end / 20_000 for i in range(20_000))
        ),
        lambda size, rate, end: size * torch.expm1(torch.tensor(rate * end, dtype=f64)) / rate,
    ],
    "22.2": [
        lambda n, t: 1 + t * t * n,
        lambda n, t: torch.cos(t) + (1 - torch.exp(-t)) ** 2 * n,
        lambda n, t: 1 + (1 - torch.cos(t)) * n,
        lambda n, t: 1 - t**2 / 2 + t**3 * n,
    ],
    "22.3": [by_backward, by_rows, by_differences, lambda f, x: by_rows(f, x).numpy()],
    "22.5": [
        by_search,
        lambda u, u_tt: float(np.sqrt(np.linalg.lstsq(u.numpy()[:, None], -u_tt.numpy())[0][0])),
        lambda u, u_tt: torch.sqrt(-(u @ u_tt) / (u @ u)),
    ],
    "22.4": [
        lambda steps, error, target: math.ceil(steps * error / target),
        lambda steps, error, target: steps * (math.sqrt(error / target)) ** 2,
        lambda steps, error, target: round(steps / (target / error)),
    ],
}
WRONG = {
    "22.1": [lambda size, rate, end: size * end * abs(rate)],
    "22.2": [
        lambda n, t: n,
        lambda n, t: (1 + t**2) * n,
        lambda n, t: 1 + t**2 * n.detach(),
        lambda n, t: torch.where(t == 0, torch.ones_like(n), n),
        lambda n, t: torch.cos(t),
    ],
    "22.3": [lambda f, x: x * 0, lambda f, x: -torch.sin(x), lambda f, x: f(x)],
    "22.5": [lambda u, u_tt: 2.0, lambda u, u_tt: float(u_tt.abs().max() / u.abs().max()) ** 0.5],
    "22.4": [lambda steps, error, target: 3000, lambda steps, error, target: 4 * steps],
}


@pytest.mark.parametrize("id", RIGHT)
def test_right_answers_in_other_words_are_right(id):
    for i, answer in enumerate(RIGHT[id]):
        assert exercises.find(id).assess(answer).state == "correct", i


@pytest.mark.parametrize("id", WRONG)
def test_other_wrong_answers_are_wrong(id):
    for i, answer in enumerate(WRONG[id]):
        assert exercises.find(id).assess(answer).state == "not yet", i
