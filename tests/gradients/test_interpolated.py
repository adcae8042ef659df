"""`odeint_interpolated`: polynomials, memory, options, and stability where the adjoint has none."""

import math

import pytest
import torch

from node_tutorial import SolveError, odeint, odeint_adjoint, solve
from node_tutorial.gradients.interpolated import coefficients, odeint_interpolated, piecewise
from node_tutorial.gradients.memory import bytes_kept
from node_tutorial.solvers.runge_kutta import interpolate

f64 = {"dtype": torch.float64}
STATES_A_STEP = {
    "euler": 2,
    "adaptive_heun": 3,
    "midpoint": 4,
    "heun2": 4,
    "heun3": 4,
    "rk4": 4,
    "rk4_classic": 4,
    "fehlberg2": 4,
    "bosh3": 4,
    "implicit_adams": 4,
    "explicit_adams": 4,
    "dopri5": 5,
    "tsit5": 5,
    "dopri8": 7,
}
every_method = pytest.mark.parametrize("method", STATES_A_STEP)


class Field(torch.nn.Module):
    """A small net, driven in time; it counts its evaluations."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(
            torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2)
        ).double()
        self.calls = 0

    def forward(self, t, y):
        self.calls += 1
        return self.net(y) * torch.cos(2 * t) - 0.3 * y


def start():
    return torch.linspace(-1, 1, 6, **f64).reshape(3, 2).requires_grad_()


def gradients(mode, times, field=None, **kwargs):
    field = Field() if field is None else field
    y0 = start()
    y = mode(field, y0, torch.tensor(times, **f64), **kwargs)
    return torch.autograd.grad(y.sin().sum(), (y0, *field.parameters()))


def error(ours, exact):
    return max((a - b).abs().max().item() for a, b in zip(ours, exact))


# ---- The polynomials ----


@pytest.mark.parametrize("times", [[0.0, 1.3], [2.0, 0.4]], ids=["forward", "backward"])
@every_method
def test_the_polynomials_are_the_dense_output(method, times):
    options = {"step_size": 0.3} if method in ("euler", "rk4", "implicit_adams") else {}
    with torch.no_grad():
        solution = solve(
            Field(),
            start(),
            torch.tensor(times, **f64),
            method=method,
            rtol=1e-4,
            options=options,
            record=True,
        )
    segments = solution._segments
    y_at = piecewise(
        [times[0], *(end for _, end, _ in segments)],
        [coefficients(step, end - begin, solution._dense) for begin, end, step in segments],
    )
    for t in torch.linspace(*times, 23, **f64):
        torch.testing.assert_close(y_at(t), solution(t), rtol=1e-13, atol=1e-13)


def test_linear_interpolation_is_two_coefficients():
    with torch.no_grad():
        solution = solve(
            Field(), start(), torch.tensor([0.0, 1.0], **f64), method="rk4", record=True
        )
    ((_, _, step),) = solution._segments
    c = coefficients(step, 1.0, "linear")
    torch.testing.assert_close(c[0] + 0.3 * c[1], interpolate(step, [0.3], "linear")[0])


def test_a_time_at_either_end_or_a_rounding_beyond_is_answered():
    y_at = piecewise(
        [0.0, 1.0, 3.0], [torch.tensor([0.0, 1.0], **f64), torch.tensor([1.0, 2.0], **f64)]
    )  # y(t) = t
    for t in (-1e-9, 0.0, 0.5, 1.0, 2.0, 3.0, 3 + 1e-9):
        assert y_at(torch.tensor(t, **f64)).item() == pytest.approx(t, abs=1e-12)


# ---- What it is for ----


class Relaxing(torch.nn.Module):
    """x' = -50 (x - cos t), z' = w x: the fast part forgets where it was, the slow one does not."""

    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor(0.8, **f64))

    def forward(self, t, y):
        return torch.stack([-50 * (y[0] - torch.cos(t)), self.w * y[0]])


def gradient_of_relaxing(mode, **kwargs):
    """dL/dw for L = z(1), from rest; the exact value is the integral of x."""
    field = Relaxing()
    y = mode(field, torch.zeros(2, **f64), torch.tensor([0.0, 1.0], **f64), **kwargs)
    k = 50.0
    of_t = math.sin(1.0)
    exact = (k**2 * of_t + k * (1 - math.cos(1.0)) - k * (1 - math.exp(-k))) / (k**2 + 1)
    return torch.autograd.grad(y[-1, 1], field.w)[0].item(), exact


def test_it_is_right_where_the_state_cannot_be_integrated_backwards():
    kwargs = {"rtol": 1e-6, "atol": 1e-8}
    ours, exact = gradient_of_relaxing(odeint_interpolated, **kwargs)
    assert ours == pytest.approx(exact, rel=1e-4)
    with pytest.warns(RuntimeWarning, match="lost the solution"):
        # Its x is off by exp(50) times a rounding error.
        adjoint, _ = gradient_of_relaxing(odeint_adjoint, **kwargs)
    assert abs(adjoint - exact) > 1e3


def test_plain_decay_is_right_too():
    # y' = -50 y, dL/dy0 for L = y(0) + y(0.2) + y(2)
    y0 = torch.ones(1, **f64, requires_grad=True)
    kwargs = {"rtol": 1e-6, "atol": 1e-9, "adjoint_params": ()}
    y = odeint_interpolated(
        lambda t, y: -50 * y, y0, torch.tensor([0.0, 0.2, 2.0], **f64), **kwargs
    )
    (gradient,) = torch.autograd.grad(y.sum(), y0)
    assert gradient.item() == pytest.approx(1 + math.exp(-10) + math.exp(-100), abs=1e-6)


@every_method
def test_it_tends_to_the_direct_gradient_with_every_method(method):
    times = [0.0, 0.7, 2.0]
    exact = gradients(odeint, times, method="dopri8", rtol=1e-12, atol=1e-13)
    adaptive = method in ("adaptive_heun", "fehlberg2", "bosh3", "dopri5", "tsit5", "dopri8")
    errors = []
    for h, tol in ((0.05, 1e-5), (0.0125, 1e-7)):
        options = {"step_size": h, **({"max_order": 5} if "adams" in method else {})}
        kwargs = {"rtol": tol, "atol": tol} if adaptive else {"options": options}
        errors.append(error(gradients(odeint_interpolated, times, method=method, **kwargs), exact))
    assert errors[0] < (0.2 if method == "euler" else 5e-3) and errors[1] < errors[0] / 3


def test_an_implicit_method_solves_a_stiff_field_both_ways():
    ours, exact = gradient_of_relaxing(odeint_interpolated, method="trbdf2", rtol=1e-7, atol=1e-9)
    assert ours == pytest.approx(exact, rel=1e-4)


# ---- What it costs ----


@every_method
def test_the_memory_is_the_states_of_a_step_that_the_docstring_says(method):
    def kept(steps):
        y0 = torch.ones(100, 2, **f64, requires_grad=True)
        field = Field()
        with bytes_kept(exclude=[y0, *field.parameters()]) as memory:
            odeint_interpolated(
                field,
                y0,
                torch.tensor([0.0, 1.0], **f64),
                method=method,
                options={"step_size": 1 / steps},
            )
        return memory.bytes

    assert kept(30) - kept(10) == 20 * STATES_A_STEP[method] * 200 * 8


def test_it_needs_no_more_evaluations_than_the_adjoint():
    calls = []
    for mode in (odeint_interpolated, odeint_adjoint):
        field = Field()
        gradients(mode, [0.0, 1.0, 2.0, 6.0], field, rtol=1e-6, atol=1e-7)
        calls.append(field.calls)
    assert calls[0] <= calls[1]


# ---- Options ----


def test_the_state_is_no_part_of_what_is_integrated():
    seen = []

    def norm(parts):
        seen.append([tuple(p.shape) for p in parts])
        assert (
            not parts[0].any() and not parts[1].any()
        )  # dL/dt and y: not integrated, hence without error
        return max(p.abs().max() for p in parts)

    gradients(odeint_interpolated, [0.0, 1.0], adjoint_options={"norm": norm})
    assert seen[0] == [(), (3, 2), (3, 2), (8, 2), (8,), (2, 8), (2,)]


def test_the_backward_solve_has_options_of_its_own():
    exact = gradients(odeint, [0.0, 1.0, 2.0], rtol=1e-11, atol=1e-12)
    for kwargs in (
        {"adjoint_options": {"norm": "seminorm"}},
        {"adjoint_rtol": 1e-8, "adjoint_atol": 1e-9},
        {"adjoint_method": "rk4", "adjoint_options": {"step_size": 0.01}},
        {"method": "rk4", "options": {"step_size": 0.01}},
        {"options": {"norm": lambda y: y.abs().max()}},
        {"options": {"step_t": torch.tensor([0.5])}},
    ):
        assert error(gradients(odeint_interpolated, [0.0, 1.0, 2.0], **kwargs), exact) < 1e-5


def test_a_jump_of_the_field_is_kept_sharp():
    class Switch(Field):
        def forward(self, t, y):
            return super().forward(t, y) * (1.0 if t < 0.75 else -2.0)

    kwargs = {"rtol": 1e-9, "atol": 1e-10, "options": {"jump_t": torch.tensor([0.75], **f64)}}
    direct = gradients(odeint, [0.0, 2.0], Switch(), **kwargs)
    assert error(gradients(odeint_interpolated, [0.0, 2.0], Switch(), **kwargs), direct) < 1e-6


def test_a_complex_state_has_the_direct_gradient():
    results = []
    for mode, named in ((odeint, ()), (odeint_interpolated, ("adjoint_params",))):
        rate = torch.tensor(-0.3 + 2j, dtype=torch.complex128, requires_grad=True)
        y0 = torch.tensor([1 + 1j, 2.0], dtype=torch.complex128, requires_grad=True)
        y = mode(
            lambda t, y, rate=rate: rate * y * t,
            y0,
            torch.tensor([0.0, 0.5, 1.0], **f64),
            **dict.fromkeys(named, (rate,)),
        )
        results.append(torch.autograd.grad(y.abs().sin().sum(), (y0, rate)))
    assert error(*results) < 1e-6


@pytest.mark.parametrize("name", ["callback_step", "callback_accept_step", "callback_reject_step"])
def test_callbacks_of_the_backward_solve_have_a_suffix(name):
    field = Field()
    backward = []
    setattr(field, name + "_adjoint", lambda t, y, h: backward.append((t, len(y))))
    gradients(
        odeint_interpolated, [0.0, 4.0], field, rtol=1e-6, atol=1e-7, options={"first_step": 3.0}
    )
    assert len(backward) > 0 and all(0 <= t <= 4 and parts == 7 for t, parts in backward)


# ---- Errors ----


def test_scipy_which_does_not_tell_its_steps_is_refused():
    with pytest.raises(
        ValueError, match=r"scipy_solver does not tell its steps; use another method, or odeint_adj"
    ):
        odeint_interpolated(
            Field(), start(), torch.tensor([0.0, 1.0], **f64), method="scipy_solver"
        )


def test_fixed_steps_that_overflow_are_an_error_as_in_odeint():
    with pytest.raises(SolveError, match="not finite from"):
        odeint_interpolated(
            lambda t, y: y**3,
            torch.full((1,), 10.0, **f64),
            torch.tensor([0.0, 9.0], **f64),
            method="euler",
            options={"step_size": 0.5},
            adjoint_params=(),
        )


@pytest.mark.parametrize(
    "kwargs, message",
    [
        (
            {"adjoint_options": {"norm": "halfnorm"}},
            r"adjoint_options\['norm'\] must be 'seminorm' or a function",
        ),
        ({"adjoint_method": "dopri6", "adjoint_options": {}}, "'dopri6'"),
        ({"adjoint_options": {"max_stepp": 1}}, "'max_stepp'"),
        ({"method": "rk4", "options": {}, "adjoint_method": "dopri5"}, "give adjoint_options too"),
    ],
    ids=["norm", "method", "option", "no options"],
)
def test_errors_in_the_backward_options_name_them(kwargs, message):
    with pytest.raises(ValueError, match=message):
        odeint_interpolated(Field(), start(), torch.tensor([0.0, 1.0], **f64), **kwargs)
