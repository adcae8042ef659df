"""Implicit methods: stiff problems against scipy, Newton's cost, structure, gradients, errors."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import nn

from node_tutorial import METHODS, SolveError, odeint, solve
from node_tutorial.solvers.methods.newton import Newton
from node_tutorial.solvers.statistics import Stats

IMPLICIT = [name for name, method in METHODS.items() if getattr(method, "implicit", False)]
ADAPTIVE = [name for name in IMPLICIT if METHODS[name].error]
float64 = torch.float64


def tensor(*numbers):
    return torch.tensor(numbers, dtype=float64)


def robertson(t, y):
    a, b, c = y.unbind(-1)
    first = -0.04 * a + 1e4 * b * c
    last = 3e7 * b * b
    return torch.stack([first, -first - last, last], -1)


def van_der_pol(mu):
    def f(t, y):
        x, v = y.unbind(-1)
        return torch.stack([v, mu * (1 - x * x) * v - x], -1)

    return f


def fitzhugh_nagumo(t, y):
    v, w = y.unbind(-1)
    return torch.stack([1e3 * (v - v**3 / 3 - w + 0.5), 0.08 * (v + 0.7 - 0.8 * w)], -1)


PROBLEMS = {
    "robertson": (robertson, (1.0, 0.0, 0.0), 40.0),
    "van der Pol, mu = 10": (van_der_pol(10.0), (2.0, 0.0), 20.0),
    "van der Pol, mu = 1000": (van_der_pol(1000.0), (2.0, 0.0), 1500.0),
    "FitzHugh-Nagumo": (fitzhugh_nagumo, (-1.0, 1.0), 30.0),
}


@pytest.fixture(scope="module", params=PROBLEMS)
def stiff(request):
    """f, y0, times and the states there by scipy's Radau, tighter."""
    f, y0, end = PROBLEMS[request.param]

    def numpy_f(t, y):
        return f(None, torch.from_numpy(y)).numpy()

    t = np.linspace(0, end, 6)
    exact = solve_ivp(numpy_f, (0, end), y0, "Radau", t, rtol=1e-10, atol=1e-13).y.T
    return f, tensor(*y0), torch.from_numpy(t), torch.from_numpy(exact)


@pytest.mark.parametrize(
    "method, tol, bound",
    [("trbdf2", 1e-6, 2e-2), ("kvaerno3", 1e-6, 1e-2), ("kvaerno5", 1e-7, 1e-3)],
)
def test_stiff_problems_are_solved_as_by_radau(stiff, method, tol, bound):
    f, y0, t, exact = stiff
    solution = solve(f, y0, t, rtol=tol, atol=tol * 1e-4, method=method)
    assert ((solution.y - exact).abs() / exact.abs().clamp_min(1e-6)).max() < bound
    assert (
        solution.stats.accepted < 6000 and solution.stats.jacobians < 0.5 * solution.stats.accepted
    )


def test_robertson_s_published_values():
    y = odeint(robertson, tensor(1, 0, 0), tensor(0, 40), rtol=1e-8, atol=1e-12, method="kvaerno5")[
        -1
    ]
    assert torch.allclose(
        y, tensor(0.7158271, 9.185535e-6, 0.2841637), rtol=2e-7
    )  # Hairer, Wanner II, (IV.1.4); scipy


@pytest.mark.parametrize("method", ADAPTIVE)
def test_the_step_follows_the_solution_and_not_the_stiffness(method):
    def solver(rate):
        f = lambda t, y: -rate * (y - torch.cos(t)) - torch.sin(t)  # noqa: E731, exact solution cos(t)
        return solve(f, tensor(1.0), tensor(0, 10), rtol=1e-5, atol=1e-5, method=method)

    gentle, stiff = solver(1.0), solver(1e7)
    assert stiff.stats.accepted < 2 * gentle.stats.accepted
    assert (stiff.y[-1] - torch.cos(tensor(10.0))).abs() < 1e-4


# ---- what Newton's method costs ------------------------------------------------------------------


@pytest.mark.parametrize("method", IMPLICIT)
def test_a_linear_problem_on_a_grid_needs_one_jacobian_and_one_factorization(method):
    a = torch.randn(
        4, 4, dtype=float64, generator=torch.Generator().manual_seed(0)
    ) - 2 * torch.eye(4)
    stats = solve(
        lambda t, y: y @ a.T,
        torch.ones(4, dtype=float64),
        tensor(0, 1),
        method=method,
        options={"step_size": 0.01},
    ).stats
    groups = sum(any(row[i:]) for i, row in enumerate(METHODS[method].a))
    assert (stats.jacobians, stats.factorizations, stats.accepted) == (1, 1, 100)
    assert 100 <= stats.newton <= 2 * 100 * groups
    assert stats.nfe <= 1 + 100 * (2 * groups + 1) + 1


def test_explicit_methods_count_none_of_it():
    stats = solve(lambda t, y: -y, tensor(1.0), tensor(0, 1)).stats
    assert stats.jacobians == stats.factorizations == stats.newton == 0


# ---- structure -----------------------------------------------------------------------------------


def block_size(f, y):
    newton = Newton(1e-6, 1e-6, Stats())
    newton.linearize(lambda t, y: f(y), torch.zeros((), dtype=float64), y)
    return tuple(newton.jacobian.shape)


@pytest.mark.parametrize(
    "shape, f, blocks",
    [
        ((), torch.sin, (1, 1, 1)),
        ((5,), torch.sin, (5, 1, 1)),
        ((5,), lambda y: y * y.sum(), (1, 5, 5)),
        ((7, 3), lambda y: y * y.sum(1, keepdim=True), (7, 3, 3)),
        ((7, 3), lambda y: y * y.sum(), (1, 21, 21)),
        ((4, 2, 3), lambda y: y * y.sum(2, keepdim=True), (8, 3, 3)),
        ((4, 2, 3), lambda y: y * y.sum((1, 2), keepdim=True), (4, 6, 6)),
        ((4, 2, 3), lambda y: y.flip(0) * y, (1, 24, 24)),
        ((4,), lambda y: torch.ones(4, dtype=float64), (4, 1, 1)),
    ],
)
def test_rows_that_do_not_see_each_other_are_found(shape, f, blocks):
    y = torch.randn(shape, dtype=float64, generator=torch.Generator().manual_seed(0))
    assert block_size(f, y) == blocks


def test_the_blocks_hold_the_jacobian():
    def f(y):
        return torch.stack([y[..., 1] ** 2, y[..., 0] * y[..., 1]], -1)

    y = torch.randn(3, 2, dtype=float64, generator=torch.Generator().manual_seed(0))
    newton = Newton(1e-6, 1e-6, Stats())
    newton.linearize(lambda t, y: f(y), torch.zeros(()), y)
    assert torch.allclose(newton.jacobian, torch.stack([torch.func.jacrev(f)(row) for row in y]))


@pytest.mark.parametrize("method", ["kvaerno5", "trbdf2", "radauIIA5"])
def test_a_batch_equals_its_rows_and_a_tuple_its_tensor(method):
    y0, t = tensor([2.0, 0.0], [1.0, -1.0], [0.1, 0.2]), tensor(0, 1, 2)
    settings = {"rtol": 1e-9, "atol": 1e-9, "method": method, "options": {"step_size": 0.02}}
    f = van_der_pol(20.0)
    together = odeint(f, y0, t, **settings)
    for i, row in enumerate(y0):
        assert torch.allclose(together[:, i], odeint(f, row, t, **settings), rtol=0, atol=1e-8)
    parts = odeint(lambda t, y: tuple(f(t, torch.stack(y)).unbind()), tuple(y0[0]), t, **settings)
    assert torch.allclose(torch.stack(parts, -1), together[:, 0], rtol=0, atol=1e-8)


def test_rows_that_begin_to_see_each_other_on_the_way_are_noticed():
    def f(t, y):  # coupled where y > 1, and nowhere else
        return 1 - 50 * torch.relu(y - 1).sum() * torch.ones_like(y)

    y0 = torch.zeros(3, 2, dtype=float64)
    t = tensor(0, 3)
    y = odeint(f, y0, t, rtol=1e-8, atol=1e-8, method="kvaerno5")[-1]
    exact = odeint(f, y0, t, rtol=1e-10, atol=1e-10, method="dopri5")[-1]
    assert torch.allclose(y, exact, rtol=0, atol=1e-7)


def test_a_field_that_cannot_be_vectorized_is_differentiated_one_row_at_a_time():
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, y):
            ctx.save_for_backward(y)
            return -(y**2)

        @staticmethod
        def backward(ctx, grad):
            (y,) = ctx.saved_tensors
            assert float(grad.sum()) is not None  # reads a number, which torch.func.vmap refuses
            return -2 * y * grad

    y = odeint(lambda t, y: Square.apply(y), tensor(1.0, 2.0), tensor(0, 1), method="kvaerno5")[-1]
    assert torch.allclose(y, tensor(1 / 2, 2 / 3), atol=1e-7)


# ---- derivatives ---------------------------------------------------------------------------------


class Stiff(nn.Module):
    def __init__(self):
        super().__init__()
        self.rate = nn.Parameter(tensor(3.0, 40.0))
        self.late = nn.Parameter(tensor(0.5))

    def forward(self, t, y):
        push = self.late * torch.sin(t) if t > 0.47 else 0.0  # the first half does not know of it
        return (
            -self.rate * (y - torch.cos(t))
            + torch.tanh(y.flip(-1)) * y.sum(-1, keepdim=True)
            + push
        )


@pytest.mark.parametrize("method", IMPLICIT)
def test_gradients_are_right(method):
    f = Stiff()
    y0 = tensor([1.0, 0.5], [0.2, -0.3]).requires_grad_()
    t = tensor(0.0, 0.33, 0.94).requires_grad_()

    def states(y0, t, rate, late):
        g = lambda s, y: torch.func.functional_call(f, {"rate": rate, "late": late}, (s, y))  # noqa: E731
        return odeint(g, y0, t, rtol=1e-9, atol=1e-10, method=method, options={"step_size": 0.16})

    rate, late = (p.detach().clone().requires_grad_() for p in (f.rate, f.late))
    assert torch.autograd.gradcheck(states, (y0, t, rate, late), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("method", ADAPTIVE)
def test_gradients_with_adaptive_steps_tend_to_the_exact_ones(method):
    f = Stiff()
    y0 = tensor(1.0, 0.5).requires_grad_()
    t = tensor(0.0, 1.0)

    def gradients(method, tol):
        y = odeint(f, y0, t, rtol=tol, atol=tol, method=method, options={"jump_t": tensor(0.47)})[
            -1
        ]
        return torch.autograd.grad(y.square().sum(), (y0, *f.parameters()))

    for ours, exact in zip(gradients(method, 1e-6), gradients("dopri8", 1e-12)):
        assert torch.allclose(ours, exact, rtol=1e-3, atol=1e-6)


def test_a_parameter_that_matters_only_later_gets_its_gradient():
    f = Stiff()
    f.rate.requires_grad_(False)
    y = odeint(f, tensor(1.0, 0.5), tensor(0.0, 1.0), method="kvaerno5")[-1]
    (grad,) = torch.autograd.grad(y.sum(), f.late)
    assert grad.abs() > 1e-3


def test_without_anything_to_differentiate_no_graph_is_made():
    solution = solve(van_der_pol(5.0), tensor(2.0, 0.0), tensor(0, 1), method="kvaerno5")
    assert not solution.y.requires_grad
    plain = solution.stats.nfe
    with torch.no_grad():
        assert (
            solve(van_der_pol(5.0), tensor(2.0, 0.0), tensor(0, 1), method="kvaerno5").stats.nfe
            == plain
        )


def test_a_second_derivative_is_refused_rather_than_wrong():
    y0 = tensor(1.0).requires_grad_()
    y = odeint(
        lambda t, y: -(y**2), y0, tensor(0, 1), method="implicit_euler", options={"step_size": 0.1}
    )[-1]
    with pytest.raises(RuntimeError, match="differentiated once only"):
        torch.autograd.grad(y, y0, create_graph=True)


# ---- failures ------------------------------------------------------------------------------------


def test_a_step_that_newton_cannot_take_is_tried_shorter_or_explained():
    def f(t, y):  # blows up at t = 1
        return y**2

    y = odeint(
        f,
        tensor(1.0),
        tensor(0, 0.99),
        rtol=1e-6,
        atol=1e-6,
        method="kvaerno5",
        options={"first_step": 0.9},
    )
    assert y[-1] == pytest.approx(100, rel=1e-2)
    with pytest.raises(
        SolveError,
        match=r"'implicit_euler': Newton's iteration does not converge.*h = 0\.99.*kvaerno5",
    ):
        odeint(f, tensor(1.0), tensor(0, 0.99), method="implicit_euler")


def test_a_field_hidden_from_autograd_gets_the_right_hint():
    def f(t, y):
        return torch.from_numpy(-1e4 * y.detach().numpy())

    with pytest.raises(SolveError, match="not be differentiable by autograd"):
        odeint(f, tensor(1.0), tensor(0, 1), method="implicit_euler", options={"step_size": 0.1})


def test_full_newton_has_a_try_where_the_kept_jacobian_misleads():
    y = odeint(
        lambda t, y: -torch.exp(8 * y), tensor(1.0), tensor(0, 0.5, 1), method="implicit_euler"
    )
    end = float(y[1])  # y1 + h exp(8 y1) = y0
    assert end + 0.5 * np.exp(8 * end) == pytest.approx(1.0, abs=1e-7)


def test_states_and_modes_that_implicit_methods_do_not_take():
    with pytest.raises(
        TypeError, match=r"'kvaerno5' is implicit and takes real states only.*view_as_real"
    ):
        odeint(
            lambda t, y: 1j * y,
            torch.ones(1, dtype=torch.complex128),
            tensor(0, 1),
            method="kvaerno5",
        )
    with pytest.raises(ValueError, match="explicit adaptive Runge-Kutta method"):
        solve(lambda t, y: -y, torch.ones(2, 1), tensor(0, 1), method="kvaerno5", per_sample=True)


def test_a_jacobian_that_would_not_fit_is_refused():
    y0 = torch.ones(150, 40, dtype=float64)
    with pytest.raises(ValueError, match=r"rows of 6000, more than 5000; use an explicit method"):
        odeint(lambda t, y: -y * y.mean(), y0, tensor(0, 1), method="kvaerno5")
    loose = {"rtol": 1e-3, "atol": 1e-3, "method": "kvaerno5"}
    y = odeint(lambda t, y: -y * y.mean(-1, keepdim=True), y0, tensor(0, 1), **loose)  # rows of 40
    assert torch.allclose(y[-1], 0.5 * y0, atol=1e-2)


@pytest.mark.parametrize("method", ADAPTIVE)
def test_a_jump_in_time_is_seen_from_the_right_side(method):
    def f(t, y):
        return torch.where(t < 0.5, -1.0, -200.0) * y

    settings = {"rtol": 1e-7, "atol": 1e-9, "method": method, "options": {"jump_t": tensor(0.5)}}
    solution = solve(f, tensor(1.0), tensor(0, 0.5, 0.51), **settings)
    assert torch.allclose(solution.y[1:, 0], torch.exp(tensor(-0.5, -2.5)), rtol=1e-4)
    assert solution.stats.rejected <= 6


def test_single_precision_and_decreasing_time():
    y = odeint(
        van_der_pol(30.0),
        torch.tensor([2.0, 0.0]),
        torch.tensor([0.0, 10.0]),
        rtol=1e-4,
        atol=1e-5,
        method="kvaerno5",
    )
    exact = odeint(
        van_der_pol(30.0),
        tensor(2.0, 0.0),
        tensor(0.0, 10.0),
        rtol=1e-9,
        atol=1e-9,
        method="kvaerno5",
    )
    assert y.dtype == torch.float32 and torch.allclose(y.double(), exact, atol=1e-3)
    back = odeint(
        lambda t, y: 100 * (y - torch.cos(t)),
        tensor(3.0),
        tensor(1.0, 0.0),
        rtol=1e-6,
        atol=1e-6,
        method="kvaerno5",
    )
    forward = odeint(
        lambda t, y: -100 * (y - torch.cos(-t)),
        tensor(3.0),
        tensor(-1.0, 0.0),
        rtol=1e-6,
        atol=1e-6,
    )
    assert torch.allclose(back, forward, atol=1e-4)
