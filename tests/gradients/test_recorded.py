"""Replay and checkpointing: the gradient of the discrete solve, from its recorded steps."""

import itertools
import math
from functools import lru_cache, partial

import pytest
import torch

from node_tutorial import METHODS, Tableau, odeint, odeint_event
from node_tutorial.gradients.checkpoint import best_split, odeint_checkpoint
from node_tutorial.gradients.replay import odeint_replay

METHODS_BY_NAME = METHODS
IMPLICIT = [name for name, kind in METHODS.items() if isinstance(kind, Tableau) and kind.implicit]
METHODS = [
    name for name, kind in METHODS.items() if isinstance(kind, Tableau) and not kind.implicit
]
# Where t requires gradients the clock is a tensor and rounds otherwise than a number: step sizes
# differ by up to 5e-10.
ROUNDING = {"rtol": 2e-12, "atol": 1e-11}
OPTIONS = {
    "none": {},
    "step_size": {"step_size": 0.17},
    "step_size that meets output times": {"step_size": 0.1},
    "perturb": {"step_size": 0.2, "perturb": True},
    "first_step that meets an output time": {"first_step": 0.3},
    "step_t": {"step_t": torch.tensor([0.7, 1.0])},
    "jump_t": {"jump_t": torch.tensor([0.7])},
}
TIMES = {"forward": [0.0, 0.3, 1.0, 2.0, 2.5], "backward": [2.0, 1.0, 0.1]}


class Field(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(
            torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2)
        ).double()
        self.unused = torch.nn.Linear(1, 1).double()

    def forward(self, t, y):
        return self.net(y) * torch.cos(3 * t) - 0.3 * y


class SeparableField(Field):
    def forward(self, t, y):
        q, p = y[..., :1], y[..., 1:]
        v = self.net(torch.cat([p, p], -1))[..., :1]
        a = self.net(torch.cat([q, q], -1))[..., 1:]
        return torch.cat([v + torch.sin(t), a * torch.cos(3 * t)], -1)


def value_and_gradients(mode, method, times, options, field=None, rtol=1e-5, atol=1e-6):
    field = Field() if field is None else field
    y0 = torch.tensor([[1.0, 0.0], [0.2, 0.4]], dtype=torch.float64, requires_grad=True)
    t = torch.tensor(times, dtype=torch.float64, requires_grad=True)
    y = mode(field, y0, t, rtol=rtol, atol=atol, method=method, options=options)
    weights = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).reshape(y.shape).cos()
    gradients = torch.autograd.grad((y * weights).sum(), [y0, t, *field.net.parameters()])
    return torch.cat([x.detach().reshape(-1) for x in (y, *gradients)])


def takes(method, options):
    adaptive = method in ("adaptive_heun", "fehlberg2", "bosh3", "dopri5", "tsit5", "dopri8")
    return adaptive or not {"first_step", "step_t", "jump_t"} & set(options)


@pytest.mark.parametrize("times", TIMES.values(), ids=TIMES)
@pytest.mark.parametrize(
    ("method", "options"),
    [
        pytest.param(m, o, id=f"{m}, {n}")
        for m, (n, o) in itertools.product(METHODS, OPTIONS.items())
        if takes(m, o)
    ],
)
def test_replay_equals_backpropagation_through_the_solve(method, options, times):
    direct = value_and_gradients(odeint, method, times, options)
    torch.testing.assert_close(
        value_and_gradients(odeint_replay, method, times, options), direct, **ROUNDING
    )


@pytest.mark.parametrize("snapshots", [None, 1, 3, 1000])
@pytest.mark.parametrize("method", ["rk4", "adaptive_heun", "dopri5"])
def test_checkpoint_equals_backpropagation_through_the_solve(method, snapshots):
    options = {"step_size": 0.05} if method == "rk4" else {}
    direct = value_and_gradients(odeint, method, TIMES["forward"], options)
    mode = partial(odeint_checkpoint, snapshots=snapshots)
    result = value_and_gradients(mode, method, TIMES["forward"], options)
    torch.testing.assert_close(result, direct, **ROUNDING)


@pytest.mark.parametrize("times", TIMES.values(), ids=TIMES)
@pytest.mark.parametrize("options", [o for o in OPTIONS.values() if takes("leapfrog", o)], ids=str)
@pytest.mark.parametrize("method", ["semi_implicit_euler", "leapfrog", "yoshida4"])
@pytest.mark.parametrize("mode", [odeint_replay, odeint_checkpoint])
def test_symplectic_steps_are_replayed_too(mode, method, options, times):
    direct, ours = (
        value_and_gradients(m, method, times, options, SeparableField()) for m in (odeint, mode)
    )
    torch.testing.assert_close(ours, direct, **ROUNDING)


@pytest.mark.parametrize("times", TIMES.values(), ids=TIMES)
@pytest.mark.parametrize("method", IMPLICIT)
@pytest.mark.parametrize("mode", [odeint_replay, odeint_checkpoint])
def test_implicit_steps_are_replayed_as_exactly_as_newton_converges(mode, method, times):
    settings = {
        "method": method,
        "times": times,
        "options": {"step_size": 0.17},
        "rtol": 1e-13,
        "atol": 1e-13,
    }
    direct, ours = (value_and_gradients(m, **settings) for m in (odeint, mode))
    torch.testing.assert_close(ours, direct, rtol=1e-9, atol=1e-9)
    adaptive = {**settings, "rtol": 1e-6, "atol": 1e-7, "options": {}}
    if METHODS_BY_NAME[method].error and method != "trbdf2":
        direct, ours = (value_and_gradients(m, **adaptive) for m in (odeint, mode))
        torch.testing.assert_close(ours, direct, rtol=1e-4, atol=1e-4)


@lru_cache(None)
def least_cost(steps, snapshots):
    if snapshots == 1 or steps <= 1:
        return steps * (steps - 1) // 2
    return min(
        k + least_cost(steps - k, snapshots - 1) + least_cost(k, snapshots) for k in range(1, steps)
    )


@lru_cache(None)
def cost_of_best_split(steps, snapshots):
    if snapshots == 1 or steps <= 1:
        return steps * (steps - 1) // 2
    k = best_split(steps, snapshots)
    return k + cost_of_best_split(steps - k, snapshots - 1) + cost_of_best_split(k, snapshots)


def test_no_placement_of_snapshots_computes_fewer_steps_again():
    for steps, snapshots in itertools.product(range(1, 60), range(1, 9)):
        assert cost_of_best_split(steps, snapshots) == least_cost(steps, snapshots)
    assert [cost_of_best_split(n, math.isqrt(n)) for n in (100, 900)] == [
        222,
        2172,
    ]  # as the docstring says


@pytest.mark.parametrize("mode", [odeint_replay, odeint_checkpoint])
def test_the_time_of_an_event_is_differentiable(mode):
    def event(t, y):
        return y[0, 0] - 0.8

    def gradients(interface):
        field = Field()
        y0 = torch.tensor([[1.0, 0.0]], dtype=torch.float64, requires_grad=True)
        t0 = torch.tensor(0.0, dtype=torch.float64)
        t, y = odeint_event(field, y0, t0, event_fn=event, odeint_interface=interface)
        return torch.autograd.grad(t + y[-1].sum(), [y0, *field.net.parameters()])

    for ours, direct in zip(gradients(mode), gradients(odeint)):
        torch.testing.assert_close(
            ours, direct, rtol=1e-5, atol=1e-6
        )  # it ends on the event; the other interpolates


@pytest.mark.parametrize("mode", [odeint_replay, odeint_checkpoint])
def test_tuples_and_other_callables_get_gradients(mode):
    w = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    y0 = torch.ones(2, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    t = torch.linspace(0, 1, 3, dtype=torch.float64)
    a, b = mode(lambda t, y: (-w * y[0], y[0].sum()), y0, t, adjoint_params=(w,))
    (grad,) = torch.autograd.grad(a[-1].sum() + b[-1], w)
    # a = exp(-w), and b = 2 (1 - exp(-w)) / w
    x = math.exp(-0.7)
    assert grad.item() == pytest.approx(-2 * x + 2 * (0.7 * x - (1 - x)) / 0.49, abs=1e-7)


@pytest.mark.parametrize("mode", [odeint_replay, odeint_checkpoint])
@pytest.mark.parametrize("method", ["implicit_adams", "scipy_solver"])
def test_methods_with_a_history_are_refused(mode, method):
    with pytest.raises(ValueError, match=r"redoes single steps.*use a Runge-Kutta method"):
        mode(
            Field(), torch.zeros(1, 2, dtype=torch.float64), torch.linspace(0, 1, 3), method=method
        )


@pytest.mark.parametrize("mode", [odeint_replay, odeint_checkpoint])
@pytest.mark.parametrize("method", ["reversible_heun", "asynchronous_leapfrog"])
def test_reversible_methods_have_a_mode_of_their_own(mode, method):
    with pytest.raises(ValueError, match=f"^{mode.__name__} .*{method}.*: use odeint_reversible"):
        mode(
            Field(), torch.zeros(1, 2, dtype=torch.float64), torch.linspace(0, 1, 3), method=method
        )


def test_checkpoint_names_a_bad_number_of_snapshots():
    with pytest.raises(ValueError, match="snapshots must be a whole number"):
        odeint_checkpoint(Field(), torch.zeros(1, 2).double(), torch.linspace(0, 1, 3), snapshots=0)


@pytest.mark.parametrize("mode", [odeint_replay, odeint_checkpoint])
@pytest.mark.parametrize("dense", [None, ((1.0, -0.5), (0.0, 0.5))], ids=["cubic", "by rows"])
@pytest.mark.parametrize("n_times", [2, 7])
def test_behind_a_jump_a_step_that_evaluates_its_own_first_slope_sees_the_far_side(
    mode, dense, n_times
):
    heun = METHODS_BY_NAME["heun2"]
    name = "heun_euler_with_a_jump"
    METHODS_BY_NAME[name] = Tableau(name, 2, heun.c, heun.a, heun.b, error=(-0.5, 0.5), dense=dense)
    t = torch.linspace(0, 2, n_times, dtype=torch.float64)
    settings = {"method": name, "rtol": 1e-3, "atol": 1e-3, "options": {"jump_t": [1.0]}}

    def gradients(solver):
        y0 = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
        k = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
        more = {} if solver is odeint else {"adjoint_params": (k,)}
        # At the jump itself f is still that of before.
        y = solver(lambda t, y: torch.where(t <= 1, -k * y, y * y), y0, t, **settings, **more)
        return torch.autograd.grad(y.square().sum(), (y0, k))

    try:
        for found, expected in zip(gradients(mode), gradients(odeint)):
            torch.testing.assert_close(found, expected, **ROUNDING)
    finally:
        del METHODS_BY_NAME[name]
