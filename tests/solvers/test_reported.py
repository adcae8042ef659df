"""What users of such libraries have run into, or might: each with the right value."""

import math

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad

from node_tutorial import GRADIENT_MODES, METHODS, odeint, odeint_event, solve
from node_tutorial.solvers.errors import SolveError

f64 = {"dtype": torch.float64}
UNIT = torch.tensor([0.0, 1.0], **f64)
SPIRAL = torch.tensor([[-0.1, 2.0], [-2.0, -0.1]], **f64)


# ------------------------------------------------------------------ slopes in one buffer


def filled(kind):
    """A field that fills one buffer at every call, and returns it."""
    buffer = torch.zeros(2, **f64)
    array = buffer.numpy()

    def func(t, y):
        if kind == "numpy":
            array[:] = SPIRAL.numpy() @ y.detach().numpy()
            return torch.from_numpy(array)
        torch.mv(SPIRAL, y, out=buffer)
        return buffer if kind == "itself" else buffer[:]

    return func


@pytest.mark.parametrize("kind", ["itself", "a view", "numpy"])
@pytest.mark.parametrize("method", ["dopri5", "tsit5", "rk4", "midpoint", "explicit_adams"])
def test_a_field_may_return_the_same_memory_at_every_call(method, kind):
    y0 = torch.tensor([1.0, 0.5], **f64)
    options = {} if method in ("dopri5", "tsit5") else {"step_size": 0.01}
    if "adams" in method:
        options["max_order"] = 4
    found = odeint(filled(kind), y0, UNIT, method=method, options=options)
    plain = odeint(lambda t, y: SPIRAL @ y, y0, UNIT, method=method, options=options)
    torch.testing.assert_close(found, plain, rtol=1e-12, atol=1e-12)


def test_a_slope_written_into_a_buffer_has_its_gradient():
    def func(t, y):
        slope = buffer
        slope[:1] = -y[:1] * y[1:]
        slope[1:] = y[:1]
        return slope

    found = []
    for make in (lambda: torch.zeros(2, **f64), None):
        y0 = torch.tensor([1.0, 0.5], **f64, requires_grad=True)
        buffer = make and make()
        field = func if make else lambda t, y: torch.stack([-y[0] * y[1], y[0]])
        found.append(torch.autograd.grad(odeint(field, y0, UNIT)[-1].square().sum(), y0)[0])
    torch.testing.assert_close(*found)


def test_per_sample_steps_copy_a_buffer_too():
    func = filled("itself")
    y0 = torch.tensor([[1.0, 0.5]], **f64)
    y = solve(lambda t, y: func(t, y[0]).unsqueeze(0), y0, UNIT, per_sample=True).y[0, -1]
    torch.testing.assert_close(y, torch.matrix_exp(SPIRAL) @ y0[0], rtol=1e-5, atol=1e-6)


def test_a_field_that_writes_into_the_state_is_refused():
    y0 = torch.tensor([1.0, -0.5])
    with pytest.raises(ValueError, match=r"in place.*y\.clone\(\)"):
        odeint(lambda t, y: -y.relu_(), y0, torch.tensor([0.0, 1.0]))


# ------------------------------------------------------------------ steps that are no numbers


@pytest.mark.parametrize("method", ["dopri5", "dopri8", "kvaerno5", "trbdf2"])
def test_atol_may_be_zero_where_the_state_is(method):
    y0 = torch.tensor([1.0, 0.0], **f64)
    for atol in (0, 0.0, torch.tensor([1e-8, 0.0], **f64)):
        y = odeint(lambda t, y: -y, y0, UNIT, rtol=1e-6, atol=atol, method=method)
        torch.testing.assert_close(y[-1], y0 * math.exp(-1), rtol=1e-4, atol=0)


def test_atol_may_be_zero_with_a_clock_per_sample():
    y0 = torch.tensor([[1.0, 0.0], [0.0, 0.0]], **f64)
    y = solve(lambda t, y: -y, y0, UNIT, rtol=1e-6, atol=0.0, per_sample=True).y[:, -1]
    torch.testing.assert_close(y, y0 * math.exp(-1), rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    "options",
    [
        {"norm": lambda x: math.nan},
        {"norm": lambda x: math.inf},
        {"controller": lambda *_: (True, math.nan)},
    ],
)
def test_a_step_size_that_is_nan_ends_the_solve(options):
    with pytest.raises(SolveError, match=r"step size is NaN.*options\['norm'\].*atol"):
        odeint(lambda t, y: -y, torch.ones(2, **f64), UNIT, options=options)


@pytest.mark.parametrize("factor", [1.0, 2.0, math.nan])
def test_a_controller_that_never_accepts_ends_the_solve(factor):
    with pytest.raises(SolveError, match="underflow"):
        odeint(
            lambda t, y: -y,
            torch.ones(2, **f64),
            UNIT,
            options={"controller": lambda *_: (False, factor)},
        )


def test_slopes_near_the_largest_number_end_the_solve_with_its_own_error():
    with pytest.raises(SolveError):
        odeint(lambda t, y: 1e305 * torch.ones_like(y), torch.ones(2, **f64), UNIT)


# ------------------------------------------------------------------ implicit methods


IMPLICIT = {
    "kvaerno5": None,
    "kvaerno3": None,
    "trbdf2": None,
    "implicit_euler": {"step_size": 0.001},
    "radauIIA5": {"step_size": 0.02},
    "gl4": {"step_size": 0.02},
}


@pytest.mark.parametrize("method", IMPLICIT)
def test_rows_that_meet_later_have_their_gradient(method):
    def func(t, y):
        return torch.stack([1 - y[0], 5 * torch.relu(y[0] - 0.5) - y[1]])

    found = []
    for name, options in (("dopri8", None), (method, IMPLICIT[method])):
        y0 = torch.zeros(2, **f64, requires_grad=True)
        t = torch.tensor([0.0, 2.0], **f64)
        y = odeint(func, y0, t, method=name, options=options)
        found.append(torch.autograd.grad(y[-1, 1], y0)[0])
    torch.testing.assert_close(*found, rtol=5e-3, atol=0)


@pytest.mark.parametrize("method", ["kvaerno5", "kvaerno3", "radauIIA5"])
def test_a_stiff_row_does_not_hide_how_two_others_see_each_other(method):
    A = torch.tensor([[-1e6, 0, 0], [0, -1.0, 5.0], [0, -5.0, -1.0]])
    y0 = torch.tensor([1.0, 1.0, 0.5], requires_grad=True)
    options = {"step_size": 0.1} if method == "radauIIA5" else None
    y = odeint(
        lambda t, y: A @ y, y0, UNIT.float(), method=method, rtol=1e-4, atol=1e-5, options=options
    )
    (gradient,) = torch.autograd.grad(y[-1, 1], y0)
    exact = torch.matrix_exp(A.double())[1].float()
    torch.testing.assert_close(gradient, exact, rtol=2e-3, atol=1e-4)


def towards_cosine(rate):
    return lambda t, y: -rate * (y - torch.cos(t)) - torch.sin(t)


@pytest.mark.parametrize("method", ["kvaerno5", "kvaerno3", "trbdf2"])
@pytest.mark.parametrize("tol", [1e-4, 1e-6, 1e-8])
def test_outputs_of_a_stiff_solve_are_within_the_tolerance(method, tol):
    t = torch.linspace(0, 10, 41, **f64)
    y = odeint(towards_cosine(1e6), torch.ones(1, **f64), t, method=method, rtol=tol, atol=tol)
    assert (y[:, 0] - t.cos()).abs().max() < tol


def test_newton_does_not_trust_the_rate_of_another_step_size():
    s = solve(
        towards_cosine(1e4),
        torch.ones(1, **f64),
        torch.tensor([0.0, 10.0], **f64),
        method="trbdf2",
        rtol=1e-6,
        atol=1e-6,
        record=True,
    )
    worst = max(abs(step.y1.item() - math.cos(end)) for _, end, step in s._segments)
    assert worst < 3e-6 and s.stats.rejected < 10


# ------------------------------------------------------------------ events


CONDITIONS = {
    "a comparison": lambda t, y: y[0] > 0.01,
    "relu": lambda t, y: torch.relu(y[0] - 0.01),
    "clamp": lambda t, y: (y[0] - 0.01).clamp(min=0),
    "sign": lambda t, y: torch.sign(y[0] - 0.01),
    "shrink": lambda t, y: torch.nn.functional.softshrink(y[0] - 0.005, 0.005),
    "smooth": lambda t, y: y[0] - 0.01,
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_an_event_is_where_the_sign_ends(condition):
    y0 = torch.ones(1, **f64)
    t_event, _ = odeint(lambda t, y: -y, y0, UNIT, event_fn=CONDITIONS[condition])
    assert abs(t_event.item() - math.log(100)) < 1e-6


def test_a_last_time_may_end_the_search_for_an_event():
    """As in torchdiffeq's learn_physics example: zero from a last time on, whatever the state."""
    k = torch.ones((), **f64, requires_grad=True)

    def event_fn(t, y):
        return torch.zeros_like(t) if t >= 3 else y[0] + 1

    t, y = odeint_event(
        lambda t, y: -k * y, torch.full((1,), 2.0, **f64), torch.zeros((), **f64), event_fn=event_fn
    )
    assert abs(t.item() - 3) < 1e-9 and not t.requires_grad
    (of_k,) = torch.autograd.grad(y[-1].sum(), k)
    assert abs(of_k.item() + 6 * math.exp(-3)) < 1e-6


def test_the_time_of_a_comparison_has_no_derivative_but_a_value():
    def found():
        return odeint_event(
            lambda t, y: -y, torch.ones(1), torch.zeros(()), event_fn=lambda t, y: y[0] > 0.5
        )

    with pytest.raises(SolveError, match=r"no derivative.*no_grad"):
        found()
    with torch.no_grad():
        assert abs(found()[0].item() - math.log(2)) < 1e-5


def test_a_second_derivative_of_an_event_is_refused():
    q = torch.tensor([2.0], **f64, requires_grad=True)
    t, _ = odeint_event(
        lambda t, y: -y * y, q, torch.zeros((), **f64), event_fn=lambda t, y: y[0] - 0.5
    )
    assert torch.autograd.grad(t, q, retain_graph=True)[0].item() == pytest.approx(0.25, abs=1e-6)
    with pytest.raises(RuntimeError, match="once only"):
        torch.autograd.grad(t, q, create_graph=True)


# ------------------------------------------------------------------ forward mode, scipy


torchs_own = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")


@torchs_own
@pytest.mark.filterwarnings("ignore:.*functional iteration did not converge")
@pytest.mark.parametrize("method", METHODS)
def test_forward_mode_is_right_or_refused(method):
    def last(y0, k):
        return odeint(
            lambda t, y: torch.stack([-k * y[1], k * torch.sin(y[0])]),
            y0,
            UNIT,
            method=method,
            options={} if adaptive or method == "scipy_solver" else {"step_size": 0.1},
        )[-1]

    kind = METHODS[method]
    adaptive = getattr(kind, "error", None) is not None
    point = (torch.tensor([1.0, 2.0], **f64), torch.tensor(1.3, **f64))
    for wanted in (0, 1):
        directions = [torch.zeros_like(x) for x in point]
        directions[wanted] += 1
        if method == "scipy_solver" or kind.implicit:
            with pytest.raises(NotImplementedError, match="forward-mode"):
                torch.func.jvp(last, point, tuple(directions))
            continue
        _, found = torch.func.jvp(last, point, tuple(directions))
        jacobian = torch.autograd.functional.jacobian(last, point)[wanted]
        expected = jacobian.sum(1) if wanted == 0 else jacobian
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@torchs_own
@pytest.mark.parametrize("method", ["kvaerno3", "trbdf2", "radauIIA5", "scipy_solver"])
def test_dual_numbers_are_not_dropped_without_a_word(method):
    with forward_ad.dual_level():
        y0 = forward_ad.make_dual(torch.ones(2, **f64), torch.tensor([1.0, 0.0], **f64))
        with pytest.raises(NotImplementedError, match="forward-mode"):
            odeint(lambda t, y: -y * y, y0, UNIT, method=method)


@torchs_own
def test_forward_mode_by_the_times_is_refused():
    def last(t):
        return odeint(lambda t, y: -y, torch.ones(1, **f64), t)[-1]

    with pytest.raises(NotImplementedError, match="by t"):
        torch.func.jvp(last, (UNIT,), (UNIT,))


@pytest.mark.filterwarnings("ignore:lsoda:UserWarning")  # of scipy 1.15, before it fails
@pytest.mark.parametrize("solver", ["LSODA", "RK45", "BDF", "Radau"])
@pytest.mark.parametrize("from_the_start", [True, False])
def test_scipy_does_not_return_nan(solver, from_the_start):
    def func(t, y):
        return torch.sqrt(-y) if from_the_start else torch.sqrt(1.5 - t) * y

    t = torch.tensor([0.0, 1.0, 2.0], **f64)
    with pytest.raises(SolveError) as caught:
        odeint(func, torch.ones(2, **f64), t, method="scipy_solver", options={"solver": solver})
    assert torch.isfinite(caught.value.solution.y).all()


# ------------------------------------------------------------------ replicas of DataParallel


@pytest.mark.parametrize("mode", ["replay", "checkpoint", "adjoint", "interpolated"])
def test_a_replica_of_data_parallel_gives_its_gradient(mode):
    class Decay(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Module()
            self.inner.k = nn.Parameter(torch.tensor([0.5, 2.0], **f64))

        def forward(self, t, y):
            return -self.inner.k * y

    module = Decay()

    def replica(part):
        # As torch.nn.parallel.replicate does, which takes GPUs only.
        made = part._replicate_for_data_parallel()
        made._former_parameters = {}
        for name, p in part._parameters.items():
            copy = p.clone()
            setattr(made, name, copy)
            made._former_parameters[name] = copy
        for name, inner in part._modules.items():
            setattr(made, name, replica(inner))
        return made

    func = replica(module)
    assert not list(func.parameters())
    y = GRADIENT_MODES[mode](func, torch.ones(2, **f64), UNIT, rtol=1e-8, atol=1e-8)
    (found,) = torch.autograd.grad(y[-1].sum(), module.inner.k)
    torch.testing.assert_close(found, -torch.exp(-module.inner.k.detach()), rtol=1e-6, atol=0)
