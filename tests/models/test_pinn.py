"""A net as the solution: the residual, values that hold whatever the net, marching, errors."""

import copy
import math

import pytest
import torch
from torch import nn

from node_tutorial import odeint
from node_tutorial.data.systems import oscillator
from node_tutorial.models import (
    MLP,
    PINN,
    Condition,
    Marched,
    derivative,
    error_from_residual,
    march,
    ode_net,
    polish,
)
from node_tutorial.training import fit

f64 = torch.float64


def column(*values):
    return torch.tensor(values, dtype=f64)[:, None]


def decay(hidden=(8,), **options):
    """u' = -u on [0, 2] from 1, in float64."""
    torch.manual_seed(0)
    net = PINN(lambda u, t: derivative(u, t) + u, [(0, 2)], hidden=hidden, **options)
    return net.double()


# -- derivatives -----------------------------------------------------------------------------------


def test_derivatives_are_those_of_the_formulas_again_and_again():
    x = column(0.3, 1.0, -2.0).requires_grad_()
    first = derivative(torch.sin(x), x)
    second = derivative(first, x)
    third = derivative(second, x)
    assert torch.allclose(first, x.cos()) and torch.allclose(second, -x.sin())
    assert torch.allclose(third, -x.cos())


def test_each_component_has_its_own_derivative_and_each_row_its_own_place():
    x = column(0.5, 2.0).requires_grad_()
    t = column(1.0, 3.0).requires_grad_()
    u = torch.cat([x**2 * t, t**3 + x], -1)
    assert torch.allclose(derivative(u, x), torch.cat([2 * x * t, torch.ones_like(x)], -1))
    assert torch.allclose(derivative(u, t), torch.cat([x**2, 3 * t**2], -1))


def test_the_derivative_of_a_net_is_the_quotient_of_differences():
    net = MLP(1, 16, 16, 2).double()
    x = column(-0.4, 0.1, 0.9).requires_grad_()
    h = 1e-4
    quotient = (net(x + h) - net(x - h)) / (2 * h)
    assert torch.allclose(derivative(net(x), x), quotient, atol=1e-7)
    bend = (net(x + h) - 2 * net(x) + net(x - h)) / h**2
    assert torch.allclose(derivative(derivative(net(x), x), x), bend, atol=1e-5)


def test_relu_has_no_second_derivative():
    net = MLP(1, 16, 16, 1, activation=nn.ReLU).double()
    x = column(-0.4, 0.1, 0.9).requires_grad_()
    slope = derivative(net(x), x)
    assert bool((slope != 0).any()) and not bool((derivative(slope, x) != 0).any())


def test_what_has_no_derivative_is_refused_with_the_remedy():
    x = column(1.0, 2.0)
    with pytest.raises(ValueError, match="requires_grad=True"):
        derivative(x**2, x)
    x.requires_grad_()
    for u in (torch.ones(2, 1, dtype=f64), derivative(3 * x, x), column(1.0, 2.0).requires_grad_()):
        with pytest.raises(ValueError, match="not computed from this very tensor"):
            derivative(u, x)
    for u, at in ((x[:, 0] ** 2, x), (x**2, x[:, 0])):
        with pytest.raises(ValueError, match=r"becomes one by t\[:, None\]"):
            derivative(u, at)


# -- the net ---------------------------------------------------------------------------------------


def test_hard_values_hold_whatever_the_net():
    both = PINN(
        lambda u, t: derivative(derivative(u, t), t) + u,
        [(0, 3)],
        trial=lambda n, t: 1 + t**2 * n,
    ).double()
    t = column(0.0).requires_grad_()
    u = both(t)
    assert u.item() == 1 and derivative(u, t).item() == 0
    walls = PINN(
        lambda u, x, t: u,
        [(0, 1), (0, 1)],
        trial=lambda n, x, t: torch.sin(math.pi * x) + t * x * (1 - x) * n,
    ).double()
    x = column(0.0, 1.0, 0.25)
    assert torch.allclose(walls(x, column(0.7, 0.2, 0.0)), torch.sin(math.pi * x), atol=1e-15)


def test_coordinates_are_scaled_so_that_a_shifted_domain_changes_nothing():
    torch.manual_seed(0)
    near = PINN(lambda u, t: u, [(0, 2)]).double()
    far = PINN(lambda u, t: u, [(100, 300)]).double()
    far.load_state_dict({**near.state_dict(), "low": far.low, "high": far.high})
    t = column(0.0, 0.5, 2.0)
    assert torch.allclose(near(t), far(100 + 100 * t))


def test_points_lie_one_in_each_strip_and_follow_the_generator():
    net = PINN(lambda u, x, t: u, [(-1, 1), (0, 5)])
    x, t = net.points(50, torch.Generator().manual_seed(1))
    assert x.shape == t.shape == (50, 1)
    for at, low, high in ((x, -1, 1), (t, 0, 5)):
        strips = ((at - low) / (high - low) * 50).floor().long().sort(0).values[:, 0]
        assert torch.equal(strips, torch.arange(50))
    again = net.points(50, torch.Generator().manual_seed(1))
    assert torch.equal(again[0], x) and torch.equal(again[1], t)
    assert net.double().points(3)[0].dtype == f64


def test_the_loss_is_the_mean_square_of_the_residual_and_of_the_conditions():
    start = Condition((torch.zeros(1, 1),), torch.ones(1, 1), weight=3.0)  # float32 is taken over
    net = decay(conditions=[start])
    t = column(0.1, 1.0, 1.9)
    seen = t.clone().requires_grad_()
    residual = derivative(net(seen), seen) + net(seen)
    assert torch.allclose(net.residuals(t), residual)
    off = (net(column(0.0)) - 1).square().mean()
    assert torch.isclose(net.loss(t), residual.square().mean() + 3 * off)


def test_residuals_can_be_asked_for_where_gradients_are_off():
    net = decay()
    t = column(0.1, 1.0)
    expected = net.residuals(t)
    with torch.no_grad():
        assert torch.allclose(net.residuals(t), expected)
    assert not t.requires_grad


def test_a_net_that_solves_the_equation_has_no_residual():
    net = PINN(
        lambda u, t: derivative(u, t) + u, [(0, 2)], trial=lambda n, t: torch.exp(-t) + 0 * n
    ).double()
    assert net.loss(*net.points(20)).item() < 1e-28


def test_a_short_training_solves_a_decay():
    net = decay(trial=lambda n, t: 1 + t * n)
    fit(net, lambda net, step: net.loss(*net.points(20)), 200, lr=1e-2, progress=False, seed=0)
    polish(net, net.points(40), 100)
    t = torch.linspace(0, 2, 50, dtype=f64)[:, None]
    with torch.no_grad():
        assert float((net(t) - torch.exp(-t)).abs().max()) < 1e-3


def test_polishing_makes_the_loss_smaller_and_leaves_no_gradients():
    net = decay(trial=lambda n, t: 1 + t * n)
    points = net.points(30)
    before = net.loss(*points).item()
    polish(net, points, 50)
    assert net.loss(*points).item() < 1e-3 * before
    assert all(p.grad is None for p in net.parameters())


def test_an_unknown_of_the_equation_is_trained_with_the_net():
    class Rate(nn.Module):
        def __init__(self):
            super().__init__()
            self.rate = nn.Parameter(torch.tensor(0.5))

        def forward(self, u, t):
            return derivative(u, t) + self.rate * u

    torch.manual_seed(0)
    t = torch.linspace(0, 2, 8, dtype=f64)[:, None]
    net = PINN(
        Rate(), [(0, 2)], conditions=[Condition((t,), torch.exp(-1.3 * t), 10.0)], hidden=(16,)
    ).double()
    assert any(p is net.residual.rate for p in net.parameters())
    fit(net, lambda net, step: net.loss(*net.points(30)), 300, lr=1e-2, progress=False, seed=0)
    polish(net, net.points(30), 200)
    assert float(net.residual.rate.detach()) == pytest.approx(1.3, abs=0.02)


def test_a_copy_has_parameters_and_unknowns_of_its_own():
    net = decay()
    other = copy.deepcopy(net)
    with torch.no_grad():
        for p in other.parameters():
            p.zero_()
    t = column(0.5)
    assert other(t).item() == 0 and net(t).item() != 0


# -- ordinary equations, and marching --------------------------------------------------------------


def test_a_net_of_an_ordinary_equation_has_its_start_and_its_residual():
    torch.manual_seed(0)
    y0 = torch.tensor([1.0, -0.5], dtype=f64)
    net = ode_net(oscillator, y0, 2.0, 5.0)
    assert torch.equal(net(column(2.0))[0], y0)
    t = column(2.5, 4.0).requires_grad_()
    expected = derivative(net(t), t) - oscillator(t, net(t))
    assert torch.allclose(net.residuals(t), expected)
    soft = ode_net(oscillator, y0, 2.0, 5.0, hard=False, weight=7.0)
    off = (soft(column(2.0))[0] - y0).square().mean()
    at = column(3.0)
    assert torch.isclose(soft.loss(at), soft.residuals(at).square().mean() + 7 * off)


def test_a_far_end_does_not_make_the_trial_large():
    """t - first in place of 1 - e^(first - t) would."""
    torch.manual_seed(0)
    net = ode_net(oscillator, torch.zeros(2, dtype=f64), 0.0, 1000.0)
    with torch.no_grad():
        assert float(net(column(1000.0)).abs().max()) < 2


def test_marching_starts_each_piece_where_the_last_one_ended():
    torch.manual_seed(0)
    times = torch.tensor([0.0, 1.0, 2.5, 3.0], dtype=f64)
    y0 = torch.tensor([1.0, 0.0], dtype=f64)
    seen = []
    found = march(
        lambda first, last, y: ode_net(oscillator, y, first, last, hidden=(8,)),
        seen.append,
        times,
        y0,
    )
    assert seen == list(found.pieces) and len(seen) == 3
    assert torch.equal(found(times[:1, None])[0], y0)
    for i in (1, 2):
        at = times[i : i + 1, None]
        assert torch.allclose(found.pieces[i - 1](at), found.pieces[i](at))
    t = column(2.9, 0.2, 1.7, 1.0, 0.0, 3.0)
    chosen = [2, 0, 1, 1, 0, 2]
    expected = torch.cat([found.pieces[i](t[[k]]) for k, i in enumerate(chosen)])
    assert torch.allclose(found(t), expected)


def test_a_marched_solution_can_be_differentiated():
    torch.manual_seed(0)
    pieces = [
        ode_net(oscillator, torch.ones(2, dtype=f64), a, a + 1.0, hidden=(8,)) for a in (0, 1)
    ]
    found = Marched(pieces, torch.tensor([0.0, 1.0, 2.0], dtype=f64))
    t = column(1.5, 0.5).requires_grad_()
    slope = derivative(found(t), t)
    for row, piece in ((0, pieces[1]), (1, pieces[0])):
        at = t.detach()[[row]].requires_grad_()
        assert torch.allclose(slope[[row]], derivative(piece(at), at))


def test_marched_periods_come_near_the_solver():
    """Two short intervals, in seconds: near enough to tell it from the start that is kept."""
    y0 = torch.tensor([1.0, 0.0], dtype=f64)

    def train(net):
        fit(net, lambda net, step: net.loss(*net.points(30)), 150, lr=5e-3, progress=False)
        polish(net, net.points(30), 100)

    torch.manual_seed(0)
    times = torch.tensor([0.0, 1.5, 3.0], dtype=f64)
    found = march(
        lambda first, last, y: ode_net(oscillator, y, first, last, hidden=(16, 16)),
        train,
        times,
        y0,
    )
    y = odeint(oscillator, y0, times, rtol=1e-9, atol=1e-9)
    with torch.no_grad():
        assert torch.allclose(found(times[:, None]), y, atol=0.02)


# -- the error -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "error"), [(-1.0, 8.6466e-4), (0.0, 2e-3), (1.0, 6.3891e-3), (5.0, 4.405093)]
)
def test_a_constant_residual_makes_the_known_errors(rate, error):
    found = error_from_residual(lambda s: 1e-3 * torch.ones_like(s), rate, 2.0)
    assert float(found) == pytest.approx(error, rel=1e-4)
    if rate:
        assert float(found) == pytest.approx(1e-3 * math.expm1(2 * rate) / rate, rel=1e-10)


def test_the_worked_case_is_the_difference_to_the_solution():
    """u = 1 - t + t^2/2 for u' = -u: the residual is t^2/2, its mean square over [0, 1] 1/20."""
    found = error_from_residual(lambda s: s**2 / 2, -1.0, 1.0)
    assert float(found) == pytest.approx(0.5 - math.exp(-1), abs=1e-12)
    assert float(found) == pytest.approx(0.132120559, abs=1e-9)
    t = torch.linspace(0, 1, 100_001, dtype=f64)
    assert float((t**2 / 2).square().mean()) == pytest.approx(0.05, abs=1e-5)


def test_the_error_is_that_of_a_solver_with_the_residual_added():
    def residual(s):
        return 0.3 * torch.sin(3 * s) + 0.1

    t = torch.tensor([0.0, 2.0], dtype=f64)
    for rate in (-2.0, 0.7):
        e = odeint(
            lambda s, e, rate=rate: rate * e + residual(s),
            torch.zeros(1, dtype=f64),
            t,
            rtol=1e-10,
            atol=1e-12,
        )[-1]
        assert float(error_from_residual(residual, rate, 2.0)) == pytest.approx(float(e), abs=1e-8)
        ends = torch.tensor([[0.0, 2.0], [1.0, 0.5]], dtype=f64)
        every = error_from_residual(residual, rate, ends)
        assert every.shape == (2, 2) and float(every[0, 0]) == 0
        assert float(every[0, 1]) == pytest.approx(float(e), abs=1e-8)


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize("domain", [[(1, 1)], [(2, 1)], [(0, math.inf)], [(0, math.nan)], []])
def test_a_domain_that_is_no_interval_is_refused(domain):
    with pytest.raises(ValueError, match="domain"):
        PINN(lambda u, t: u, domain)


def test_coordinates_of_another_shape_or_number_are_refused_with_the_remedy():
    net = decay()
    for bad in (
        (torch.zeros(5, dtype=f64),),
        (column(1.0), column(1.0)),
        (),
        (column(1.0).T[[0, 0]].T,),
    ):
        with pytest.raises(ValueError, match=r"1 coordinate needs 1 of shape \(n, 1\)"):
            net(*bad)


def test_sizes_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="size"):
        PINN(lambda u, t: u, [(0, 1)], size=0)
    with pytest.raises(ValueError, match="n "):
        decay().points(0)
    with pytest.raises(ValueError, match="updates"):
        polish(decay(), (column(1.0),), 0)
    with pytest.raises(ValueError, match="end must be 0 or later"):
        error_from_residual(lambda s: s, 1.0, -1.0)


def test_states_and_times_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"one state \(D,\), got shape \(1, 2\)"):
        ode_net(oscillator, torch.zeros(1, 2), 0.0, 1.0)
    for times in ([0.0], [0.0, 0.0], [1.0, 0.5]):
        with pytest.raises(ValueError, match="times must be two or more, increasing"):
            march(lambda *_: None, lambda net: None, torch.tensor(times), torch.zeros(2))
