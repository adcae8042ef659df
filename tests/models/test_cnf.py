"""CNF and trace: closed forms, autograd's Jacobian, mass, moments, gradients, counts, refusals."""

import copy
import math
import pickle

import pytest
import torch
from torch import nn
from torch.autograd.functional import jacobian

from node_tutorial import odeint
from node_tutorial.data import gaussians, grid
from node_tutorial.gradients import GRADIENT_MODES
from node_tutorial.models import (
    CNF,
    NeuralODE,
    TimedMLP,
    draw_noise,
    exact_trace,
    hutchinson_trace,
    normal_log_prob,
)
from node_tutorial.models.fields import TIMES
from node_tutorial.training import fit

f64 = torch.float64
TIGHT = {"rtol": 1e-9, "atol": 1e-9}
A = torch.tensor([[0.4, -1.0], [2.0, -0.9]], dtype=f64)


class Linear(nn.Module):
    """dy/dt = A y."""

    def __init__(self, matrix=A):
        super().__init__()
        self.matrix = nn.Parameter(matrix.clone())

    def forward(self, t, y):
        return y @ self.matrix.T


class Still(nn.Module):
    def forward(self, t, y):
        return torch.tensor([3.0, -4.0], dtype=y.dtype).expand_as(y)


class Plain(nn.Module):
    """A field without its formula for the trace."""

    def __init__(self, func):
        super().__init__()
        self.func = func

    def forward(self, t, y):
        return self.func(t, y)


def field(context=0, size=2, seed=0):
    torch.manual_seed(seed)
    net = TimedMLP(size + context, 16, size, time="gate").double()
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(3)
    return net


def points(n=5, size=2):
    return torch.randn(n, size, generator=torch.Generator().manual_seed(1), dtype=f64)


def solver(gradient):
    """A solver that the mode takes."""
    if gradient == "reversible":
        return {"method": "reversible_heun", "options": {"step_size": 0.02}, "gradient": gradient}
    return {**TIGHT, "gradient": gradient}


@pytest.mark.parametrize("time", [0.3, 1.0, 1.7])
def test_a_linear_field_expands_by_the_trace_times_the_time(time):
    flow = CNF(Linear(), end=1.7, **TIGHT)
    y = points()
    path = flow.path(y, torch.tensor([0.0, time], dtype=f64))
    assert torch.allclose(
        path.log[-1], torch.full((5,), time * A.trace().item(), dtype=f64), atol=1e-9
    )
    matrix = torch.linalg.matrix_exp(time * A)
    assert torch.allclose(path.y[-1], y @ matrix.T, atol=1e-7)
    covariance = matrix @ matrix.T
    exact = torch.distributions.MultivariateNormal(torch.zeros(2, dtype=f64), covariance).log_prob(
        y
    )
    assert torch.allclose(flow.log_prob(y, time=time), exact, atol=1e-6)


def test_each_way_undoes_the_other_and_its_log_det():
    flow = CNF(field(), **TIGHT)
    x = points()
    z, there = flow(x)
    back, again = flow.inverse(z)
    assert (z - x).abs().max() > 0.5 and there.std() > 0.1
    assert torch.allclose(back, x, atol=1e-7) and torch.allclose(there, -again, atol=1e-7)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("way", ["forward", "inverse"])
def test_the_log_det_is_that_of_autograds_jacobian(size, way):
    flow = CNF(field(size=size), size, **TIGHT)
    x = points(4, size)
    log_det = getattr(flow, way)(x).log_det
    for row, expected in zip(x, log_det):
        matrix = jacobian(lambda x: getattr(flow, way)(x[None]).y[0], row)
        assert torch.linalg.slogdet(matrix).logabsdet.item() == pytest.approx(
            expected.item(), abs=1e-6
        )


@pytest.mark.parametrize("time", [0.4, 1.0])
def test_the_density_integrates_to_one_at_any_time(time):
    flow = CNF(field())
    x, area = grid((-12.0, 12.0, -12.0, 12.0), 150)
    with torch.no_grad():
        log_p = flow.log_prob(x, time=time)
    assert (log_p - normal_log_prob(x)).abs().max() > 0.5
    assert log_p.exp().sum().item() * area == pytest.approx(1, abs=2e-3)


def test_at_time_zero_the_density_is_the_noise():
    flow = CNF(field())
    x = points()
    assert torch.equal(flow.log_prob(x, time=0), normal_log_prob(x))


def test_samples_follow_the_density():
    flow = CNF(field(), rtol=1e-7, atol=1e-7)
    with torch.no_grad():
        x, log_p = flow.sample_with_log_prob(3000)
        assert torch.allclose(flow.log_prob(x), log_p, atol=1e-4)
        other = gaussians(1, 0.0, 0.6)  # E_q[p / q] = 1 for every density p
        ratio = (other.log_prob(x) - log_p).exp()
        assert ratio.mean().item() == pytest.approx(1, abs=4 * ratio.std().item() / math.sqrt(3000))
        torch.manual_seed(3)
        alone = flow.sample(10)
        torch.manual_seed(3)
        assert torch.allclose(alone, flow.sample_with_log_prob(10).x, atol=1e-5)


def test_a_push_has_the_density_of_every_time_on_its_way():
    flow = CNF(field(), **TIGHT)
    z = points()
    t = torch.tensor([0.0, 0.2, 0.7, 1.0], dtype=f64)
    y, log_p = flow.push(z, t)
    assert y.shape == (4, 5, 2) and log_p.shape == (4, 5)
    assert torch.equal(y[0], z) and torch.equal(log_p[0], normal_log_prob(z))
    for i, time in enumerate(t.tolist()):
        assert torch.allclose(flow.log_prob(y[i], time=time), log_p[i], atol=1e-6)
    there = flow.path(y[2], t[[2, 1]])
    assert torch.allclose(there.y[-1], y[1], atol=1e-7) and torch.allclose(
        there.log[-1], log_p[2] - log_p[1], atol=1e-6
    )


def test_the_exact_trace_is_that_of_autograds_jacobian():
    f = field(size=3)
    y = points(6, 3).requires_grad_()
    t = torch.tensor(0.4, dtype=f64)
    trace = exact_trace(f(t, y), y)
    expected = torch.stack([jacobian(lambda y: f(t, y), row).trace() for row in y.detach()])
    assert torch.allclose(trace, expected, atol=1e-12)
    (again,) = torch.autograd.grad(trace.sum(), y)
    assert again.abs().max() > 0.01  # differentiable once more
    with torch.no_grad():
        assert not exact_trace(f(t, y), y.detach()).requires_grad


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("widths", [(3, 8, 3), (3, 8, 7, 3), (5, 8, 7, 3), (4, 8, 3)])
def test_a_field_knows_its_trace_by_a_formula(widths, time):
    torch.manual_seed(0)
    f = TimedMLP(*widths, time=time).double()
    t = torch.tensor(0.4, dtype=f64)
    y = points(6, 3).requires_grad_()
    rest = torch.randn(6, widths[0] - 3, dtype=f64)
    dy, trace = f.with_trace(t, torch.cat([y, rest], 1))
    expected = f(t, torch.cat([y, rest], 1))
    assert torch.allclose(dy, expected, atol=1e-14) and torch.allclose(
        trace, exact_trace(expected, y), atol=1e-13
    )
    found = torch.autograd.grad(trace.square().sum(), (y, *f.parameters()), allow_unused=True)
    wanted = torch.autograd.grad(
        exact_trace(expected, y).square().sum(), (y, *f.parameters()), allow_unused=True
    )
    for a, b in zip(found, wanted):  # a last bias has no part in it: None, or zero
        assert (a is None or a.abs().max() == 0) if b is None else torch.allclose(a, b, atol=1e-12)


def test_without_a_formula_there_is_none():
    t = torch.tensor(0.4)
    y = torch.zeros(5, 2)
    assert TimedMLP(2, 8, 2, activation=nn.Softplus).with_trace(t, y) is None
    assert (
        TimedMLP(2, 8, 8, 8, 2).with_trace(t, y) is None and TimedMLP(2, 2).with_trace(t, y) is None
    )
    assert TimedMLP(2, 8, 2, time="shift").with_trace(torch.zeros(5, 1), y) is None
    assert CNF(TimedMLP(2, 8, 8, 8, 2)).log_prob(y).shape == (5,)


@pytest.mark.parametrize("gradient", [mode for mode in GRADIENT_MODES if mode != "reversible"])
def test_the_formula_changes_neither_densities_nor_gradients(gradient):
    f = field()
    x = points().requires_grad_()
    one, other = (CNF(func, gradient=gradient, **TIGHT).log_prob(x) for func in (f, Plain(f)))
    assert torch.allclose(one, other, atol=1e-9)
    inputs = (x, *f.parameters())
    for a, b in zip(
        torch.autograd.grad(one.sum(), inputs), torch.autograd.grad(other.sum(), inputs)
    ):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", ["rademacher", "gaussian"])
def test_hutchinsons_estimate_has_its_mean_and_variance(kind):
    torch.manual_seed(0)
    n = 40000
    S = (A + A.T) / 2
    y = torch.zeros(n, 2, dtype=f64, requires_grad=True)
    estimates = hutchinson_trace(y @ A.T, y, draw_noise(kind, 1, y))
    norm = S.square().sum()
    variance = 2 * (norm - S.diagonal().square().sum()) if kind == "rademacher" else 2 * norm
    assert estimates.mean().item() == pytest.approx(
        A.trace().item(), abs=4 * math.sqrt(variance / n)
    )
    assert estimates.var().item() == pytest.approx(variance.item(), rel=0.06)
    four = hutchinson_trace(y @ A.T, y, draw_noise(kind, 4, y))
    assert four.var().item() == pytest.approx(variance.item() / 4, rel=0.06)


def test_signs_are_exact_for_a_diagonal_jacobian():
    y = points().requires_grad_()
    trace = hutchinson_trace(y**3, y, draw_noise("rademacher", 1, y))
    assert torch.allclose(trace, 3 * y.square().sum(1))


@pytest.mark.parametrize("trace", ["rademacher", "gaussian"])
def test_the_estimated_log_density_is_right_in_the_mean(trace):
    torch.manual_seed(0)
    f = field()
    x = points(1)
    exact = CNF(f, **TIGHT)(x).log_det.item()
    many = CNF(f, trace=trace)(x.expand(4000, 2)).log_det
    error = many.std().item() / math.sqrt(4000)
    assert many.std() > 0.05 and many.mean().item() == pytest.approx(exact, abs=4 * error + 1e-4)
    fewer = CNF(f, trace=trace, probes=4)(x.expand(4000, 2)).log_det
    assert fewer.std().item() == pytest.approx(many.std().item() / 2, rel=0.1)


def test_the_noise_stays_during_a_solve_and_is_drawn_anew_for_the_next():
    f = field()
    x = points()
    flow = CNF(f, trace="rademacher", **TIGHT)
    assert not torch.equal(flow(x).log_det, flow(x).log_det)
    # With one noise the log_det is a smooth integral: another tolerance changes little.
    torch.manual_seed(5)
    tight = flow(x).log_det
    torch.manual_seed(5)
    assert torch.allclose(
        CNF(f, trace="rademacher", rtol=1e-6, atol=1e-6)(x).log_det, tight, atol=1e-5
    )


def test_noise_that_is_redrawn_at_every_evaluation_costs_evaluations():
    f = field()
    x = points(100)
    torch.manual_seed(0)
    with torch.no_grad():
        kept, redrawn = (
            CNF(f, trace="rademacher", redraw=redraw, rtol=1e-3, atol=1e-3)
            for redraw in (False, True)
        )
        kept(x), redrawn(x)
    assert redrawn.stats.nfe > 3 * kept.stats.nfe


@pytest.mark.parametrize("gradient", GRADIENT_MODES)
@pytest.mark.parametrize("trace", ["exact", "rademacher"])
def test_every_gradient_mode_gives_the_gradient_of_finite_differences(gradient, trace):
    f = field()
    x = points(3).requires_grad_()
    flow = CNF(f, trace=trace, **solver(gradient))

    def loss(x=x):
        torch.manual_seed(7)
        return -flow.log_prob(x).sum()

    found = torch.autograd.grad(loss(), (x, *f.parameters()))
    for p, g in zip((x, *f.parameters()), found):
        direction = torch.randn(p.shape, generator=torch.Generator().manual_seed(2), dtype=f64)
        step = 1e-5 * direction
        with torch.no_grad():
            p.add_(step)
            up = loss()
            p.sub_(2 * step)
            down = loss()
            p.add_(step)
        assert (g * direction).sum().item() == pytest.approx(
            ((up - down) / 2e-5).item(), rel=1e-4, abs=1e-5
        )


@pytest.mark.parametrize("gradient", ["direct", "replay", "adjoint"])
def test_a_backward_pass_uses_the_noise_of_its_own_solve(gradient):
    f = field()
    x = points(3)
    flow = CNF(f, trace="gaussian", **solver(gradient))

    def losses():
        torch.manual_seed(7)
        return [flow.log_prob(x).sum(), flow.log_prob(x + 1).sum()]

    one, _ = losses()
    alone = torch.autograd.grad(one, list(f.parameters()))
    one, _ = losses()
    flow.sample(4)
    between = torch.autograd.grad(one, list(f.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(alone, between))


def test_evaluations_are_counted_forward_and_backward():
    x = points()
    for gradient, backward in [("direct", False), ("replay", True), ("adjoint", True)]:
        flow = CNF(field(), gradient=gradient)
        assert flow.stats == (0, 0)
        loss = flow.log_prob(x).sum()
        nfe = flow.stats.nfe
        assert nfe > 10 and flow.stats.nfe_backward == 0
        loss.backward()
        assert flow.stats.nfe == nfe and (flow.stats.nfe_backward > 10) == backward


def test_sampling_alone_computes_no_trace():
    flow = CNF(Linear(), **TIGHT)
    plain = NeuralODE(Linear(), **TIGHT)
    torch.manual_seed(0)
    x = flow.sample(6)
    torch.manual_seed(0)
    z = torch.randn(6, 2).double()
    assert (
        torch.equal(x, plain(z, torch.tensor([0.0, 1.0], dtype=f64))[-1])
        and plain.stats == flow.stats
    )


@pytest.mark.parametrize("trace", ["exact", "rademacher"])
def test_penalties_have_their_closed_forms_and_leave_the_density_alone(trace):
    x = points()
    turn = torch.tensor([[0.0, -math.pi], [math.pi, 0.0]], dtype=f64)
    flow = CNF(Linear(turn), trace=trace, **TIGHT)
    log_prob, kinetic, frobenius = flow.penalized(x)
    assert torch.allclose(log_prob, normal_log_prob(x), atol=1e-6)
    assert torch.allclose(kinetic, math.pi**2 * x.square().sum(1), rtol=1e-7)
    assert torch.allclose(frobenius, torch.full((5,), 2 * math.pi**2, dtype=f64), rtol=1e-7)
    still = CNF(Still(), trace=trace, **TIGHT).penalized(x)
    assert (
        torch.allclose(still.kinetic, torch.full((5,), 25.0, dtype=f64))
        and (still.frobenius == 0).all()
    )
    assert torch.allclose(still.log_prob, normal_log_prob(x - torch.tensor([3.0, -4.0])))


@pytest.mark.parametrize("trace", ["exact", "gaussian"])
def test_penalties_are_not_negative_and_take_no_further_step(trace):
    f = field()
    x = points(50)
    flow = CNF(f, trace=trace)
    torch.manual_seed(0)
    plain = flow.log_prob(x)
    stats = flow.stats
    torch.manual_seed(0)
    log_prob, kinetic, frobenius = flow.penalized(x)
    assert torch.allclose(plain, log_prob, atol=1e-12) and flow.stats == stats
    displacement = (flow(x).y - x).square().sum(1)
    assert (
        (kinetic >= displacement - 1e-4).all()
        and (frobenius >= 0).all()
        and frobenius.mean() > 0.01
    )


def test_the_estimated_jacobian_norm_is_right_in_the_mean():
    torch.manual_seed(0)
    f = field()
    x = points(1)
    exact = CNF(f).penalized(x).frobenius.item()
    many = CNF(f, trace="rademacher").penalized(x.expand(3000, 2)).frobenius
    assert many.mean().item() == pytest.approx(
        exact, abs=4 * many.std().item() / math.sqrt(3000) + 1e-3
    )


@pytest.mark.parametrize("gradient", [mode for mode in GRADIENT_MODES if mode != "reversible"])
def test_gradients_of_the_penalties_in_every_mode(gradient):
    f = field()
    x = points(3)

    def loss(flow):
        log_prob, kinetic, frobenius = flow.penalized(x)
        return (kinetic + 0.5 * frobenius - log_prob).sum()

    wanted = torch.autograd.grad(loss(CNF(f, **TIGHT)), list(f.parameters()))
    found = torch.autograd.grad(loss(CNF(f, gradient=gradient, **TIGHT)), list(f.parameters()))
    for a, b in zip(found, wanted):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-5)


def test_penalties_and_fixed_steps_go_together():
    options = {"step_size": 0.05}
    cost = CNF(field(), method="rk4_classic", options=options).penalized(points())
    assert (cost.kinetic > 0).all()


@pytest.mark.parametrize("gradient", ["direct", "replay", "adjoint"])
def test_a_context_moves_the_density_and_gets_its_gradient(gradient):
    f = field(context=1)
    flow = CNF(f, gradient=gradient, **TIGHT)
    x = points()
    c = torch.linspace(-1, 1, 5, dtype=f64)[:, None]
    log_p = flow.log_prob(x, c)
    for row, context, expected in zip(x, c, log_p):
        assert torch.allclose(flow.log_prob(row[None], context)[0], expected, atol=1e-7)
    assert (log_p - flow.log_prob(x, c[:1])).abs().max() > 0.1
    c.requires_grad_()
    (found,) = torch.autograd.grad(flow.log_prob(x, c).sum(), c)
    with torch.no_grad():
        step = (flow.log_prob(x, c + 1e-5) - flow.log_prob(x, c - 1e-5)) / 2e-5
    assert torch.allclose(found[:, 0], step, rtol=1e-4, atol=1e-6)
    z, _ = flow(x, c)
    assert torch.allclose(flow.inverse(z, c).y, x, atol=1e-7)
    assert flow.sample(4, c[0]).shape == (4, 2) and flow.sample_with_log_prob(5, c).x.shape == (
        5,
        2,
    )
    cost = flow.penalized(x, c)
    assert torch.allclose(cost.log_prob, log_p, atol=1e-9)
    total = exact_given(f, x[0], c[0].detach())
    assert total == pytest.approx(log_p[0].item(), abs=1e-6)


def exact_given(f, x, c):
    """log p(x) with the context c fixed, by autograd's Jacobian of a plain solve."""

    def back(x):
        return odeint(
            lambda t, y: f(t, torch.cat([y, c])), x, torch.tensor([1.0, 0.0], dtype=f64), **TIGHT
        )[-1]

    return (normal_log_prob(back(x)) + torch.linalg.slogdet(jacobian(back, x)).logabsdet).item()


def test_a_few_large_steps_make_a_function_that_is_no_density():
    torch.manual_seed(0)
    f = field()
    x, area = grid((-15.0, 15.0, -15.0, 15.0), 150)
    with torch.no_grad():
        mass = [
            CNF(f, **solver).log_prob(x).exp().sum().item() * area
            for solver in ({"method": "euler"}, {"rtol": 1e-6, "atol": 1e-6})
        ]
    assert abs(mass[0] - 1) > 0.1 and mass[1] == pytest.approx(1, abs=0.02)


def test_training_finds_a_known_gaussian():
    torch.manual_seed(0)
    p = gaussians(1, 0.0, 0.5)
    flow = CNF(TimedMLP(2, 16, 2), rtol=1e-3, atol=1e-3)
    history = fit(
        flow,
        lambda model, _: -model.log_prob(p.sample(128)).mean(),
        steps=60,
        lr=2e-2,
        progress=False,
    )
    x = p.sample(2000)
    with torch.no_grad():
        assert (p.log_prob(x) - flow.log_prob(x)).mean().item() == pytest.approx(0, abs=0.04)
    assert history["nfe"][-1] > 10


def test_a_model_survives_copying_pickling_and_its_state_dict():
    flow = CNF(field(), trace="exact", **TIGHT)
    x = points()
    log_p = flow.log_prob(x)
    for other in (copy.deepcopy(flow), pickle.loads(pickle.dumps(flow))):
        assert torch.equal(other.log_prob(x), log_p)
    assert set(flow.state_dict()) == {f"func.{name}" for name in flow.func.state_dict()}


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: CNF(lambda t, y: y), TypeError, "func must be an nn.Module"),
        (
            lambda: CNF(field(), trace="hutchinson"),
            ValueError,
            "trace must be one of exact, rademacher, gaussian, got",
        ),
        (
            lambda: CNF(field(), probes=0),
            ValueError,
            "probes must be an integer of 1 or more, got 0",
        ),
        (lambda: CNF(field(), end=0.0), ValueError, r"end must be positive, .* got 0\.0"),
        (lambda: CNF(field(), gradient="magic"), ValueError, "gradient must be one of direct"),
        (
            lambda: CNF(field()).log_prob(torch.zeros(3, 4)),
            ValueError,
            r"points must have 2 entries, .* got shape \(3, 4\)",
        ),
        (
            lambda: CNF(field()).push(torch.zeros(3, 2).double(), torch.tensor([0.5, 1.0])),
            ValueError,
            r"t must begin at 0, where the noise is, got t\[0\] = 0\.5",
        ),
        (
            lambda: draw_noise("sobol", 1, torch.zeros(2)),
            ValueError,
            "noise must be one of rademacher, gaussian, got 'sobol'",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("name", ["rtol", "atol"])
def test_a_tolerance_is_one_number_for_points_and_densities(name):
    for tolerance in (torch.tensor([1e-3, 1e-5]), (1e-3, 1e-5), [1e-3]):
        with pytest.raises(ValueError, match=f"{name} must be one number"):
            CNF(TimedMLP(2, 8, 2), **{name: tolerance})
    assert (
        CNF(TimedMLP(2, 8, 2), **{name: torch.tensor(1e-3)}).log_prob(torch.zeros(1, 2)).isfinite()
    )
