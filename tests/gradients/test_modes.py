"""What every gradient mode has in common: the gradients of the direct one, and torch's manners."""

import inspect
import itertools
import math
from functools import partial

import pytest
import torch
from torch import nn

from node_tutorial import odeint, odeint_event
from node_tutorial.gradients import GRADIENT_MODES

f64 = {"dtype": torch.float64}
TIMES = {"forward": [0.1, 0.4, 1.0, 1.1], "backward": [1.1, 0.9, 0.3, 0.0]}
CONTINUOUS = ("adjoint", "interpolated")  # they solve a second ODE: as good as that is solved
OTHERS = [mode for mode in GRADIENT_MODES if mode != "direct"]
# (dL/dt of the direct mode is the slope of its dense output, one order less accurate than that.)
BOUNDS = {mode: 1e-6 if mode in CONTINUOUS else 1e-12 for mode in GRADIENT_MODES}

every_mode = pytest.mark.parametrize("mode", GRADIENT_MODES)
all_but_direct = pytest.mark.parametrize("mode", OTHERS)


class Field(nn.Module):
    def __init__(self, dtype=torch.float64):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2)).to(dtype)

    def forward(self, t, y):
        return self.net(y) * torch.cos(t) - 0.3 * y


class Pair(Field):
    def forward(self, t, state):
        y, volume = state
        return super().forward(t, y), y.square().sum() - volume * y.sum()


def settings(mode):
    if mode == "reversible":
        return {"method": "reversible_heun", "options": {"step_size": 0.07}}
    return {"rtol": 1e-9, "atol": 1e-10}


def solver(mode, **kwargs):
    """The mode with settings that it takes, and the direct one with the same."""
    kwargs = {**settings(mode), **kwargs}
    return partial(GRADIENT_MODES[mode], **kwargs), partial(odeint, **kwargs)


def named(mode, *params):
    return {} if mode == "direct" else {"adjoint_params": params}


def start(dtype=torch.float64):
    return torch.tensor([[1.0, 0.0], [0.2, 0.4], [-0.5, 0.3]], dtype=dtype, requires_grad=True)


def loss_of(y):
    """It weighs every entry of every output differently."""
    parts = y if isinstance(y, tuple) else (y,)
    return sum(
        (torch.linspace(-1, 1, p.numel()).cos().reshape(p.shape).to(p) * p).sum() for p in parts
    )


def gradients(solve, field, y0, times, loss=loss_of):
    t = torch.tensor(times, **f64, requires_grad=True)
    y = solve(field, y0, t)
    leaves = [*(y0 if isinstance(y0, tuple) else (y0,)), t, *field.parameters()]
    return torch.autograd.grad(loss(y), [x for x in leaves if x.requires_grad], allow_unused=True)


def assert_equal(ours, direct, bound):
    assert len(ours) == len(direct) > 0
    for a, b in zip(ours, direct):
        assert (a - b).abs().max() <= bound * max(1.0, b.abs().max().item())


# ---- The registry ----


def test_every_mode_has_the_signature_of_odeint():
    wanted = inspect.signature(odeint).parameters
    for name, mode in GRADIENT_MODES.items():
        given = inspect.signature(mode).parameters
        assert list(given)[: len(wanted)] == list(wanted)
        assert all(given[p].kind == wanted[p].kind for p in wanted)
        assert name == "direct" or given["adjoint_params"].default is None


# ---- Values ----


@every_mode
def test_finite_differences_confirm_the_gradients_of_state_times_and_parameters(mode):
    solve, _ = solver(mode, rtol=1e-12, atol=1e-12)

    def solution(y0, t, w):
        return solve(lambda t, y: w[0] * torch.sin(y) + w[1] * t * y, y0, t, **named(mode, w))

    y0, w = (torch.tensor(x, **f64, requires_grad=True) for x in ([0.5, -1.0], [0.7, -0.4]))
    t = torch.tensor(TIMES["forward"], **f64, requires_grad=True)
    assert torch.autograd.gradcheck(solution, (y0, t, w), eps=1e-5, atol=1e-6, rtol=1e-6)


LOSSES = {
    "all outputs": loss_of,
    "the last": lambda y: loss_of(y[-1]),
    "the first": lambda y: loss_of(y[0]),
    "two in the middle": lambda y: loss_of(y[1:3]),
    "one row": lambda y: loss_of(y[:, 1]),
}


@pytest.mark.parametrize("times", TIMES.values(), ids=TIMES)
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@all_but_direct
def test_it_equals_the_direct_gradient(mode, loss, times):
    ours, direct = (gradients(solve, Field(), start(), times, loss) for solve in solver(mode))
    if loss is LOSSES["the first"]:  # y(t_0) is y0 itself: it depends on nothing else
        assert torch.equal(ours[0], direct[0]) and not any(
            g.any() for g in ours[1:] if g is not None
        )
    else:
        assert_equal(ours, direct, BOUNDS[mode])


@pytest.mark.parametrize("times", TIMES.values(), ids=TIMES)
@all_but_direct
def test_a_tuple_state_has_the_direct_gradient(mode, times):
    def run(solve):
        return gradients(
            solve, Pair(), (start(), torch.tensor(0.3, **f64, requires_grad=True)), times
        )

    assert_equal(*map(run, solver(mode)), BOUNDS[mode])


@all_but_direct
def test_one_part_of_a_tuple_may_be_left_out_of_the_loss_and_need_no_gradient(mode):
    def run(solve):
        return gradients(
            solve,
            Pair(),
            (start(), torch.tensor(0.3, **f64)),
            TIMES["forward"],
            lambda y: loss_of(y[1]),
        )

    assert_equal(*map(run, solver(mode)), BOUNDS[mode])


@all_but_direct
def test_single_precision_has_the_direct_gradient_in_single_precision(mode):
    own = {} if mode == "reversible" else {"rtol": 1e-5, "atol": 1e-6}
    ours, direct = (
        gradients(solve, Field(torch.float32), start(torch.float32), TIMES["forward"])
        for solve in solver(mode, **own)
    )
    assert [g.dtype for g in ours] == [g.dtype for g in direct]
    assert_equal(ours, direct, 1e-3 if mode in CONTINUOUS else 2e-5)


@pytest.mark.parametrize("mode", CONTINUOUS)
def test_the_error_falls_with_the_tolerance(mode):
    times = [0.0, 4.0, 8.0]  # long enough that the tolerance decides upon the steps
    exact = gradients(
        partial(odeint, method="dopri8", rtol=1e-13, atol=1e-14), Field(), start(), times
    )
    errors = []
    for tol in (1e-3, 1e-5, 1e-7, 1e-9, 1e-11):
        solve, _ = solver(mode, rtol=tol, atol=tol)
        ours = gradients(solve, Field(), start(), times)
        errors.append(max((a - b).abs().max().item() for a, b in zip(ours, exact)))
    assert errors[0] < 0.1
    assert all(later < earlier / 10 for earlier, later in itertools.pairwise(errors)), errors


@pytest.mark.parametrize("mode", ["replay", "checkpoint"])
def test_the_exact_modes_are_exact_at_any_tolerance(mode):
    ours, direct = (
        gradients(solve, Field(), start(), [0.0, 3.0])
        for solve in solver(mode, rtol=1e-2, atol=1e-2)
    )
    assert_equal(ours, direct, 1e-12)


@every_mode
def test_the_time_of_an_event_has_the_gradient_of_the_closed_form(mode):
    # y = y0 exp(-w t) falls to 1/2 at t = log(2 y0) / w
    y0, w = (torch.tensor(x, **f64, requires_grad=True) for x in (1.5, 0.7))
    kwargs = {
        **settings(mode),
        **named(mode, w),
        **({"options": {"step_size": 1e-3}} if mode == "reversible" else {}),
    }
    t, y = odeint_event(
        lambda t, y: -w * y,
        y0,
        torch.tensor(0.0, **f64),
        event_fn=lambda t, y: y - 0.5,
        odeint_interface=GRADIENT_MODES[mode],
        **kwargs,
    )
    ours = torch.autograd.grad(t + 3 * y[0], (y0, w))
    exact = (1 / (1.5 * 0.7) + 3, -math.log(3.0) / 0.7**2)
    assert [g.item() for g in ours] == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("mode", CONTINUOUS)
def test_a_symplectic_method_needs_another_one_for_the_way_back(mode):
    def pendulum(t, y):
        return y[1], -torch.sin(y[0])

    def run(solve, **kwargs):
        y0 = tuple(torch.tensor(x, **f64, requires_grad=True) for x in ([1.0], [0.2]))
        y = solve(
            pendulum,
            y0,
            torch.tensor([0.0, 2.0], **f64),
            method="yoshida4",
            options={"step_size": 0.02},
            **kwargs,
        )
        return torch.autograd.grad(loss_of(y), y0)

    with pytest.raises(
        ValueError, match=rf"'yoshida4' splits \(q, p\).*odeint_{mode}.*adjoint_method='rk4'"
    ):
        run(GRADIENT_MODES[mode], adjoint_params=())
    back = {"adjoint_params": (), "adjoint_method": "rk4", "adjoint_options": {"step_size": 0.02}}
    assert_equal(run(GRADIENT_MODES[mode], **back), run(odeint), 1e-6)


# ---- Parameters ----


@every_mode
def test_frozen_parameters_get_none(mode):
    def run(solve):
        field = Field()
        field.net[0].weight.requires_grad_(False)
        loss_of(solve(field, start(), torch.tensor(TIMES["forward"], **f64))).backward()
        assert field.net[0].weight.grad is None
        return [field.net[0].bias.grad, *(p.grad for p in field.net[2].parameters())]

    assert_equal(*map(run, solver(mode)), BOUNDS[mode])


@every_mode
def test_parameters_that_are_not_used_get_zero_where_they_are_integrated_and_none_elsewhere(
    mode,
):
    def run(solve):
        field = Field()
        y0 = start()
        field.unused = nn.Linear(3, 3).double()
        loss_of(solve(field, y0, torch.tensor(TIMES["forward"], **f64))).backward()
        return [y0.grad, *(p.grad for p in field.net.parameters())], [
            p.grad for p in field.unused.parameters()
        ]

    (ours, unused), (direct, _) = map(run, solver(mode))
    assert_equal(ours, direct, BOUNDS[mode])
    assert all(
        torch.equal(g, torch.zeros_like(g)) if mode in CONTINUOUS else g is None for g in unused
    )


@all_but_direct
def test_a_callable_names_its_parameters(mode):
    field = Field()
    (solve, _) = solver(mode)

    def call(t, y):
        return field(t, y)

    with pytest.raises(
        ValueError, match=rf"parameters are unknown to odeint_{mode}: give adjoint_params="
    ):
        solve(call, start(), torch.tensor([0.0, 1.0], **f64))
    y0 = start()
    t = torch.tensor(TIMES["forward"], **f64)
    weight = field.net[0].weight
    ours = torch.autograd.grad(loss_of(solve(call, y0, t, adjoint_params=[weight])), (y0, weight))
    module = torch.autograd.grad(loss_of(solve(field, y0, t)), (y0, weight))
    assert_equal(
        ours, module, 1e-7 if mode in CONTINUOUS else 0.0
    )  # the others' sums are in the error estimate


# ---- What needs gradients, and what does not ----


@every_mode
def test_a_state_that_needs_no_gradient_is_fine(mode):
    def run(solve):
        return gradients(solve, Field(), start().detach(), TIMES["forward"])

    assert_equal(*map(run, solver(mode)), BOUNDS[mode])


@every_mode
def test_there_is_no_graph_where_nothing_needs_gradients_or_grad_mode_is_off(mode):
    (solve, _) = solver(mode)
    t = torch.tensor([0.0, 1.0], **f64)
    with torch.no_grad():
        assert solve(Field(), start(), t).grad_fn is None
    assert solve(Field().requires_grad_(False), start().detach(), t).grad_fn is None


@every_mode
def test_a_field_without_parameters_and_one_that_ignores_the_state_are_fine(mode):
    (solve, _) = solver(mode)
    t = torch.tensor([0.0, 1.0, 2.0], **f64)
    y0 = start()
    for rate in (-1.0, 0.0):  # y = y0 exp(rate t)
        y = solve(
            lambda t, y, rate=rate: rate * y if rate else torch.ones_like(y), y0, t, **named(mode)
        )
        (ours,) = torch.autograd.grad(y[-1].sum(), y0)
        bound = 1e-2 if mode == "reversible" else 1e-8
        assert (ours - math.exp(2 * rate)).abs().max() < bound


@every_mode
def test_rows_that_the_loss_does_not_use_get_exactly_zero(mode):
    # The other rows are as small and as large as they can be, where squares underflow and overflow.
    (solve, _) = solver(mode)
    w = torch.tensor([-1.0, -1.0], **f64, requires_grad=True)
    y0 = torch.tensor([[1.0, 2.0], [1e-300, 0.0], [1e300, -1e300]], **f64, requires_grad=True)
    y = solve(lambda t, y: w * y, y0, torch.tensor([0.0, 0.5, 1.0], **f64), **named(mode, w))
    of_y0, of_w = torch.autograd.grad(y[1:, 0, 0].square().sum(), (y0, w))
    exact = 2 * (math.exp(-1) + math.exp(-2)), math.exp(-1) + 2 * math.exp(-2)
    assert (of_y0[0, 0].item(), of_w[0].item()) == pytest.approx(
        exact, rel=1e-2 if mode == "reversible" else 1e-6
    )
    of_y0[0, 0] = of_w[0] = 0
    assert torch.equal(of_y0, torch.zeros_like(y0)) and torch.equal(of_w, torch.zeros_like(w))


@every_mode
def test_one_time_alone_gives_the_state_itself(mode):
    (solve, _) = solver(mode)
    y0 = start()
    y = solve(Field(), y0, torch.tensor([0.5], **f64))
    assert torch.equal(y, y0[None])
    assert torch.equal(
        torch.autograd.grad(loss_of(y), y0)[0], torch.autograd.grad(loss_of(y0[None]), y0)[0]
    )


# ---- The manners of autograd ----


@every_mode
def test_a_second_backward_pass_needs_retain_graph(mode):
    (solve, _) = solver(mode)
    y0 = start()
    field = Field()
    loss = loss_of(solve(field, y0, torch.tensor(TIMES["forward"], **f64)))
    first, second = (torch.autograd.grad(loss, y0, retain_graph=keep)[0] for keep in (True, False))
    assert torch.equal(first, second)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(loss, y0)


@all_but_direct
@pytest.mark.parametrize("wants_t", [False, True])
def test_second_derivatives_are_those_of_the_direct_one(mode, wants_t):
    """Also where the cotangent does not depend on anything: a penalty on the gradient of a sum."""
    solve, steps = solver(mode)
    found = []
    for run in (solve, steps):
        field, x = Field(), start()
        t = torch.tensor([0.0, 0.4, 1.0], **f64, requires_grad=wants_t)
        sources = [x, *field.parameters(), *([t] if wants_t else [])]
        y0 = x * (1 + next(field.parameters()).sum())  # the parameters act on y0, too
        loss = run(field, y0, t)[1:].sum()
        gradients = torch.autograd.grad(loss, sources, create_graph=True)
        penalty = sum(g.square().sum() for g in gradients)
        found.append(torch.autograd.grad(penalty, sources))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


@all_but_direct
def test_third_derivatives_are_refused(mode):
    solve, _ = solver(mode)
    y0 = start()
    loss = solve(Field(), y0, torch.tensor([0.0, 1.0], **f64)).sum()
    (first,) = torch.autograd.grad(loss, y0, create_graph=True)
    with pytest.raises(RuntimeError, match="first and second derivatives"):
        torch.autograd.grad(first.sum(), y0, create_graph=True)


@pytest.mark.parametrize("mode", ["direct", "replay", "checkpoint", "adjoint", "interpolated"])
def test_second_derivatives_behind_implicit_steps_are_refused_rather_than_wrong(mode):
    y0 = start()
    y = GRADIENT_MODES[mode](Field(), y0, torch.tensor([0.0, 1.0], **f64), method="kvaerno3")
    with pytest.raises(RuntimeError, match="differentiated once only"):
        torch.autograd.grad(y.sum(), y0, create_graph=True)


class Decay(nn.Module):
    def __init__(self, rate=2.0):
        super().__init__()
        self.k = nn.Parameter(torch.tensor(rate, **f64))

    def forward(self, t, y):
        return -self.k * y


@pytest.mark.parametrize("leaf", [True, False])
@every_mode
def test_parameters_that_are_lent_for_the_forward_pass_are_those_that_get_the_gradient(mode, leaf):
    solve, _ = solver(mode)

    class Solved(nn.Module):
        def __init__(self):
            super().__init__()
            self.func = Decay()

        def forward(self, y0, t):
            return solve(self.func, y0, t)

    model = Solved()
    own = model.func.k
    k, y0 = torch.tensor(0.5, **f64, requires_grad=True), torch.ones(1, **f64, requires_grad=True)
    lent = {"func.k": k if leaf else 1 * k}
    y = torch.func.functional_call(model, lent, (y0, torch.tensor([0.0, 1.0], **f64)))
    found = torch.stack([x.reshape(()) for x in torch.autograd.grad(y[-1].sum(), (k, y0))])
    exact = torch.tensor([-math.exp(-0.5), math.exp(-0.5)], **f64)
    torch.testing.assert_close(found, exact, rtol=1e-3, atol=0)
    assert model.func.k is own


@every_mode
def test_a_hook_of_a_parameter_runs_once(mode):
    solve, _ = solver(mode)
    field, calls = Decay(0.5), []
    field.k.register_hook(lambda g: calls.append(1) or 0.1 * g)
    own = field.k
    solve(field, torch.ones(1, **f64), torch.tensor([0.0, 1.0], **f64))[-1].sum().backward()
    assert calls == [1]
    assert field.k is own and abs(field.k.grad.item() + 0.1 * math.exp(-0.5)) < 1e-3


@all_but_direct
def test_one_parameter_may_stand_for_a_tuple_of_one(mode):
    solve, _ = solver(mode)
    k = torch.eye(2, **f64, requires_grad=True)
    y0 = torch.ones(1, 2, **f64, requires_grad=True)
    t = torch.tensor([0.0, 1.0], **f64)
    y = solve(lambda t, y: -y @ k, y0, t, adjoint_params=k)
    (of_k,) = torch.autograd.grad(y[-1].sum(), k)
    torch.testing.assert_close(of_k, torch.full_like(k, -math.exp(-1)), rtol=1e-2, atol=0)


@every_mode
def test_a_gradient_that_is_not_finite_comes_back_as_one(mode):
    solve, _ = solver(mode)
    field, y0 = Decay(), torch.ones(1, **f64, requires_grad=True)
    y = solve(field, y0, torch.tensor([0.0, 1.0], **f64))
    found = torch.autograd.grad(math.inf * y[-1].sum(), (y0, field.k))
    assert not any(torch.isfinite(x).any() for x in found)


@pytest.mark.parametrize("mode", ["replay", "checkpoint"])
def test_a_field_that_draws_anew_is_found_out(mode):
    def func(t, y):
        return torch.nn.functional.dropout(torch.tanh(y), 0.5)

    y0 = torch.ones(5, 3, requires_grad=True)
    grid = {"method": "rk4", "options": {"step_size": 0.25}}
    y = GRADIENT_MODES[mode](func, y0, torch.tensor([0.0, 1.0]), adjoint_params=(), **grid)
    with pytest.raises(RuntimeError, match="func does not return what it did"):
        y.sum().backward()


@every_mode
def test_gradients_accumulate_and_reach_what_comes_before(mode):
    (solve, _) = solver(mode)
    field = Field()
    t = torch.tensor([0.0, 1.0], **f64)
    scale = torch.tensor(2.0, **f64, requires_grad=True)
    loss_of(solve(field, scale * start().detach(), t)).backward()
    once = [scale.grad.clone(), *(p.grad.clone() for p in field.parameters())]
    loss_of(solve(field, scale * start().detach(), t)).backward()
    assert_equal([scale.grad, *(p.grad for p in field.parameters())], [2 * g for g in once], 1e-14)


# ---- Fields that no mode but the direct one can take ----


class Holding(nn.Module):
    """A field with one more module between its layers."""

    def __init__(self, part):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 4), part, nn.Linear(4, 2)).double()

    def forward(self, t, y):
        return self.net(y)


RANDOM = {"dropout": nn.Dropout(0.5), "alpha dropout": nn.AlphaDropout(0.1), "rrelu": nn.RReLU()}
STATE = {"batch norm": nn.BatchNorm1d(4)}


def solve_holding(mode, part, **kwargs):
    (solve, _) = solver(mode, **kwargs)
    field = Holding(part)
    y0 = torch.linspace(-1, 1, 16, **f64).reshape(8, 2).requires_grad_()
    return field, solve, y0, torch.tensor([0.0, 1.0], **f64)


@pytest.mark.parametrize("part", RANDOM.values(), ids=RANDOM)
@all_but_direct
def test_a_random_field_is_refused_in_training_mode(mode, part):
    field, solve, *args = solve_holding(mode, part)
    name = type(part).__name__
    message = rf"^net\.1 \({name}\) is random.*odeint_{mode}.*func\.eval\(\).*mask drawn once"
    with pytest.raises(ValueError, match=message):
        solve(field.train(), *args)
    assert solve(field.eval(), *args).requires_grad
    with torch.no_grad():  # no gradient, nothing to refuse
        GRADIENT_MODES[mode](
            field.train(), *args, **{"method": "rk4"} if mode != "reversible" else {}
        )


@all_but_direct
def test_a_field_whose_statistics_run_is_refused_in_training_mode(mode):
    field, solve, *args = solve_holding(mode, nn.BatchNorm1d(4))
    message = (
        rf"^net\.1 \(BatchNorm1d\) has a state.*odeint_{mode}.*func\.eval\(\)"
        r".*GroupNorm.*track_running_stats"
    )
    with pytest.raises(ValueError, match=message):
        solve(field.train(), *args)
    assert solve(field.eval(), *args).requires_grad


HARMLESS = {
    "no dropout": nn.Dropout(0.0),
    "statistics of the batch": nn.BatchNorm1d(4, track_running_stats=False),
    "layer norm": nn.LayerNorm(4),
}


@pytest.mark.parametrize("part", HARMLESS.values(), ids=HARMLESS)
@all_but_direct
def test_fields_that_only_look_unsuitable_have_the_direct_gradient(mode, part):
    def run(solve):
        field, _, y0, t = solve_holding(mode, part)
        torch.manual_seed(1)
        for p in field.parameters():
            nn.init.normal_(p, std=0.3)
        return torch.autograd.grad(loss_of(solve(field.train(), y0, t)), (y0, *field.parameters()))

    assert_equal(*map(run, solver(mode)), 2e-6 if mode in CONTINUOUS else 1e-12)


def test_a_method_of_a_module_is_checked_too():
    field = Holding(nn.Dropout(0.5))
    with pytest.raises(ValueError, match=r"^net\.1 \(Dropout\)"):
        GRADIENT_MODES["adjoint"](
            field.forward, torch.ones(1, 2, **f64), torch.tensor([0.0, 1.0]), adjoint_params=()
        )


@pytest.mark.parametrize("part", [*RANDOM.values(), *STATE.values()], ids=[*RANDOM, *STATE])
def test_the_direct_mode_takes_them_all(part):
    field, solve, *args = solve_holding("direct", part, method="rk4", options={"step_size": 0.5})
    torch.manual_seed(0)
    y = solve(field.train(), *args)
    assert all(
        torch.isfinite(g).all()
        for g in torch.autograd.grad(y.sum(), (args[0], *field.parameters()))
    )


def test_without_the_first_check_the_second_finds_a_random_field(monkeypatch):
    import node_tutorial.gradients.recorded as recorded

    monkeypatch.setattr(recorded, "check_field", lambda func, gradient: None)
    field, solve, y0, t = solve_holding(
        "replay", nn.Dropout(0.5), method="rk4", options={"step_size": 0.1}
    )
    with pytest.raises(RuntimeError, match="func does not return what it did"):
        solve(field, y0, t)[-1].sum().backward()
