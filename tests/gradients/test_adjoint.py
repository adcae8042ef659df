"""`odeint_adjoint`: its gradients against the direct method's, closed forms, and torchdiffeq's."""

import math

import pytest
import torch
import torchdiffeq

from node_tutorial import odeint, odeint_adjoint

f64 = {"dtype": torch.float64}
TIGHT = {"rtol": 1e-10, "atol": 1e-11}
TIMES = [[0.1, 0.4, 1.0, 1.1], [1.1, 0.9, 0.3, 0.0]]
directions = pytest.mark.parametrize("times", TIMES, ids=["forward", "backward"])


class Field(torch.nn.Module):
    """A small net, driven in time; it counts its evaluations."""

    def __init__(self, dtype=torch.float64):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first = torch.nn.Parameter(torch.randn(2, 6, generator=generator, dtype=dtype))
        self.last = torch.nn.Parameter(torch.randn(6, 2, generator=generator, dtype=dtype) / 3)
        self.bias = torch.nn.Parameter(torch.zeros(6, dtype=dtype))
        self.calls = 0

    def forward(self, t, y):
        self.calls += 1
        return torch.tanh(y @ self.first + self.bias * torch.cos(3 * t)) @ self.last * torch.cos(t)


def start(dtype=torch.float64):
    return torch.linspace(-1, 1, 6, dtype=dtype).reshape(3, 2).requires_grad_()


def gradients(solver, field, times, leaf=None, y0=None, **kwargs):
    """Gradients wrt y0, t and the parameters, of a loss that weighs every output differently."""
    y0 = start() if y0 is None else y0
    t = torch.tensor(times, **f64, requires_grad=True)
    y = solver(field, y0, t, **kwargs)
    parts = y if isinstance(y, tuple) else (y,)
    loss = sum(
        (torch.linspace(1, 2, p.numel(), **f64).reshape(p.shape) * torch.sin(p.abs())).sum()
        for p in parts
    )
    leaves = [*(y0 if isinstance(y0, tuple) else (y0,)), t, *(leaf or field.parameters())]
    return torch.autograd.grad(
        loss, [x for x in leaves if x.requires_grad], allow_unused=True, materialize_grads=True
    )


def assert_equal(ours, theirs, tol):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a, b, rtol=tol, atol=tol)


# ---- Values ----


@directions
@pytest.mark.parametrize("method", ["dopri5", "tsit5", "dopri8", "bosh3"])
def test_the_gradient_tends_to_the_direct_one(method, times):
    direct = gradients(odeint, Field(), times, method="dopri8", rtol=1e-12, atol=1e-13)
    errors = []
    for tol in (1e-4, 1e-6, 1e-8):
        adjoint = gradients(odeint_adjoint, Field(), times, method=method, rtol=tol, atol=tol / 10)
        errors.append(max((a - b).abs().max().item() for a, b in zip(adjoint, direct)))
    assert errors[0] < 1e-1 and errors[2] < 1e-5 and errors[2] < max(errors[0] / 100, 1e-7)


@directions
def test_with_fixed_steps_it_tends_to_the_direct_one_too(times):
    options = {"step_size": 0.01}
    direct = gradients(odeint, Field(), times, method="rk4", options=options)
    adjoint = gradients(odeint_adjoint, Field(), times, method="rk4", options=options)
    assert_equal(adjoint, direct, 1e-6)


def test_the_states_are_those_of_odeint():
    t = torch.tensor(TIMES[0], **f64)
    with torch.no_grad():
        direct = odeint(Field(), start(), t)
    assert torch.equal(odeint_adjoint(Field(), start(), t), direct)


@directions
def test_it_equals_torchdiffeq(times):
    kwargs = {"rtol": 1e-8, "atol": 1e-9}
    ours = gradients(odeint_adjoint, Field(), times, **kwargs)
    theirs = gradients(torchdiffeq.odeint_adjoint, Field(), times, **kwargs)
    assert_equal(ours, theirs, 1e-6)


def test_it_costs_no_more_evaluations_than_torchdiffeq():
    fields = [Field(), Field()]
    for field, solver in zip(fields, (odeint_adjoint, torchdiffeq.odeint_adjoint)):
        y = solver(field, start(), torch.linspace(0, 2, 5, **f64), rtol=1e-6, atol=1e-7)
        y.sum().backward()
    assert fields[0].calls <= fields[1].calls


def test_every_entry_of_t_has_the_gradient_of_the_closed_form():
    y0, w = (torch.tensor(x, **f64, requires_grad=True) for x in (1.5, 0.7))
    t = torch.tensor([0.2, 0.5, 1.0], **f64, requires_grad=True)
    y = odeint_adjoint(lambda t, y: w * t * y, y0, t, adjoint_params=(w,), **TIGHT)
    exact = y0 * torch.exp(w * (t**2 - t[0] ** 2) / 2)
    weights = torch.tensor([1.0, -2.0, 3.0], **f64)
    ours, theirs = (torch.autograd.grad((weights * x).sum(), (y0, t, w)) for x in (y, exact))
    assert_equal(ours, theirs, 1e-7)


def test_the_initial_time_moves_but_a_jump_does_not():
    t = torch.tensor([0.0, 1.0], **f64, requires_grad=True)
    y = odeint_adjoint(
        lambda t, y: torch.ones_like(y) * (1.0 if t < 0.5 else 2.0),
        torch.zeros(1, **f64),
        t,
        options={"jump_t": torch.tensor([0.5], **f64)},
        adjoint_params=(),
    )
    (gradient,) = torch.autograd.grad(y[-1, 0], t)
    torch.testing.assert_close(gradient, torch.tensor([-1.0, 2.0], **f64), rtol=1e-6, atol=0)


@pytest.mark.parametrize("used", [[0], [2], [1, 3], [0, 1, 2, 3]], ids=str)
def test_a_loss_may_use_any_of_the_observations(used):
    t = torch.tensor(TIMES[0], **f64)
    results = []
    for solver in (odeint, odeint_adjoint):
        field = Field()
        y0 = start()
        loss = solver(field, y0, t, **TIGHT)[used].square().sum()
        results.append(
            torch.autograd.grad(
                loss, (y0, *field.parameters()), allow_unused=True, materialize_grads=True
            )
        )
    assert_equal(results[1], results[0], 1e-7)


# ---- States and parameters ----


@directions
def test_a_tuple_state_has_the_direct_gradient(times):
    class Pair(Field):
        def forward(self, t, state):
            y, volume = state
            dy = super().forward(t, y)
            return dy, dy.square().sum() - volume * y.sum()

    def run(solver):
        return gradients(
            solver,
            Pair(),
            times,
            y0=(start(), torch.tensor(0.3, **f64, requires_grad=True)),
            **TIGHT,
        )

    assert_equal(run(odeint_adjoint), run(odeint), 1e-6)


def test_part_of_a_tuple_need_not_require_gradients():
    y0 = (torch.ones(2, **f64, requires_grad=True), torch.zeros(2, **f64))
    y = odeint_adjoint(
        lambda t, y: (-y[0], y[0]), y0, torch.tensor([0.0, 1.0], **f64), adjoint_params=(), **TIGHT
    )
    (gradient,) = torch.autograd.grad(y[1][-1].sum(), y0[0])
    torch.testing.assert_close(
        gradient, torch.full((2,), 1 - math.exp(-1), **f64), rtol=1e-8, atol=0
    )


def test_a_complex_state_has_the_direct_gradient():
    def run(solver):
        rate = torch.tensor(-0.3 + 2j, dtype=torch.complex128, requires_grad=True)
        y0 = torch.tensor([1 + 1j, 2.0], dtype=torch.complex128, requires_grad=True)
        kwargs = {"adjoint_params": (rate,)} if solver is odeint_adjoint else {}
        return gradients(
            solver, lambda t, y: rate * y * t, TIMES[0], leaf=(rate,), y0=y0, **TIGHT, **kwargs
        )

    assert_equal(run(odeint_adjoint), run(odeint), 1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_both_precisions_work(dtype):
    field = Field(dtype)
    y0 = start(dtype)
    y = odeint_adjoint(field, y0, torch.tensor([0.0, 1.0]), rtol=1e-5, atol=1e-6)
    y[-1].sum().backward()
    assert y.dtype == y0.grad.dtype == field.first.grad.dtype == dtype
    direct = torch.autograd.grad(
        odeint(field, y0, torch.tensor([0.0, 1.0]), rtol=1e-5, atol=1e-6)[-1].sum(), y0
    )[0]
    torch.testing.assert_close(y0.grad, direct, rtol=1e-3, atol=1e-4)


def test_frozen_parameters_get_no_gradient_and_unused_ones_zero():
    field = Field()
    field.first.requires_grad_(False)
    field.unused = torch.nn.Parameter(torch.ones(3, **f64))
    y = odeint_adjoint(field, start(), torch.tensor(TIMES[0], **f64))
    y.sum().backward()
    assert field.first.grad is None and torch.equal(field.unused.grad, torch.zeros(3, **f64))
    assert field.last.grad.abs().sum() > 0


def test_a_field_that_ignores_the_state_or_everything_is_fine():
    w = torch.tensor(2.0, **f64, requires_grad=True)
    t = torch.tensor([0.0, 1.0, 3.0], **f64)
    y = odeint_adjoint(lambda t, y: w * t + 0 * w, torch.tensor(1.0, **f64), t, adjoint_params=(w,))
    assert torch.autograd.grad(y[-1], w)[0].item() == pytest.approx(4.5)
    y0 = torch.tensor([1.0, 2.0], **f64, requires_grad=True)
    y = odeint_adjoint(lambda t, y: torch.ones(2, **f64), y0, t, adjoint_params=())
    assert torch.equal(torch.autograd.grad(y[-1].sum(), y0)[0], torch.ones(2, **f64))


def test_any_callable_works_with_its_parameters_named():
    field = Field()

    def call(t, y):
        return field(t, y)

    named = gradients(
        odeint_adjoint,
        call,
        TIMES[0],
        leaf=tuple(field.parameters()),
        adjoint_params=field.parameters(),
    )
    assert_equal(named, gradients(odeint_adjoint, field, TIMES[0]), 0.0)


def test_memory_does_not_grow_with_the_number_of_steps():
    def saved(**options):
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x: sizes.append(x.numel()) or x, lambda x: x
        ):
            odeint_adjoint(
                Field(), start(), torch.tensor([0.0, 1.0], **f64), method="rk4", options=options
            )
        return sum(sizes)

    assert saved(step_size=0.5) == saved(step_size=0.005)


def test_without_need_of_gradients_nothing_is_kept():
    with torch.no_grad():
        assert not odeint_adjoint(Field(), start(), torch.tensor([0.0, 1.0], **f64)).requires_grad


def test_tolerances_per_part_serve_the_way_back_too():
    z0 = torch.ones(1, **f64, requires_grad=True)
    tolerances = {"rtol": (1e-3, 1e-6), "atol": (1e-3, 1e-6)}
    y0, t = (torch.ones(2, **f64), z0), torch.tensor([0.0, 1.0], **f64)
    _, z = odeint_adjoint(lambda t, s: (-s[0], -s[1]), y0, t, adjoint_params=(), **tolerances)
    z[-1].sum().backward()
    assert abs(z0.grad.item() - math.exp(-1)) < 1e-5


def test_a_state_that_cannot_be_solved_backwards_is_warned_of():
    w = torch.ones((), **f64, requires_grad=True)

    def func(t, y):
        return torch.stack([-50 * (y[0] - torch.cos(t)), w * y[0]])

    y0 = torch.zeros(2, **f64)
    t = torch.tensor([0.0, 1.0], **f64)
    y = odeint_adjoint(func, y0, t, rtol=1e-6, atol=1e-6, adjoint_params=(w,))
    with pytest.warns(RuntimeWarning, match="lost the solution.*'replay'"):
        y[-1, 1].backward()


# ---- Options of the backward solve ----


def backward_calls(**kwargs):
    field = Field()
    y = odeint_adjoint(
        field, start(), torch.tensor([0.0, 4.0], **f64), rtol=1e-6, atol=1e-7, **kwargs
    )
    before = field.calls
    y[-1].sum().backward()
    return field.calls - before


def test_the_seminorm_needs_no_more_evaluations():
    assert backward_calls(adjoint_options={"norm": "seminorm"}) <= backward_calls()


def test_the_backward_solve_has_tolerances_and_a_method_of_its_own():
    lax, tight = (
        backward_calls(adjoint_rtol=1e-3, adjoint_atol=1e-4),
        backward_calls(adjoint_rtol=1e-9),
    )
    assert lax < backward_calls() < tight
    assert backward_calls(adjoint_method="rk4", adjoint_options={"step_size": 0.5}) == 8 * 4
    assert backward_calls(method="rk4", options={"step_size": 1.0}) == 4 * 4


def test_a_norm_of_ones_own_sees_every_part():
    seen = []

    def norm(parts):
        seen.append([tuple(p.shape) for p in parts])
        return max(p.abs().max() for p in parts)

    backward_calls(adjoint_options={"norm": norm})
    assert seen[0] == [(), (3, 2), (3, 2), (2, 6), (6, 2), (6,)]


def test_a_norm_of_ones_own_sees_a_tuple_state_spread_out():
    seen = []

    def norm(parts):
        seen.append(len(parts))
        return parts[1].abs().max()

    y0 = (torch.ones(2, **f64, requires_grad=True), torch.ones((), **f64))
    y = odeint_adjoint(
        lambda t, y: (-y[0], y[1]),
        y0,
        torch.tensor([0.0, 1.0], **f64),
        adjoint_params=(),
        adjoint_options={"norm": norm},
    )
    y[0].sum().backward()
    assert set(seen) == {5}


@pytest.mark.parametrize("name", ["callback_step", "callback_accept_step", "callback_reject_step"])
def test_callbacks_of_the_backward_solve_have_a_suffix(name):
    field = Field()
    forward = []
    backward = []
    setattr(field, name, lambda t, y, h: forward.append(t))
    setattr(field, name + "_adjoint", lambda t, y, h: backward.append((t, len(y))))
    options = {"first_step": 3.0}
    y = odeint_adjoint(
        field, start(), torch.tensor([0.0, 4.0], **f64), rtol=1e-6, atol=1e-7, options=options
    )
    count = len(forward)
    y[-1].sum().backward()
    assert len(forward) == count > 0 and len(backward) > 0
    assert all(0 <= t <= 4 and parts == 6 for t, parts in backward)


# ---- Errors ----


def test_parameters_that_are_unknown_are_asked_for():
    with pytest.raises(
        ValueError, match=r"^func is a function, not an nn\.Module.*give adjoint_params="
    ):
        odeint_adjoint(lambda t, y: -y, start(), torch.tensor([0.0, 1.0]))


def test_options_of_another_method_are_not_guessed():
    with pytest.raises(ValueError, match=r"adjoint_method='dopri5'.*give adjoint_options too"):
        odeint_adjoint(
            Field(),
            start(),
            torch.tensor([0.0, 1.0]),
            method="rk4",
            options={"step_size": 0.1},
            adjoint_method="dopri5",
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
        ({"adjoint_rtol": -1.0}, "rtol must be zero or positive"),
    ],
    ids=["norm", "method", "option", "tolerance"],
)
def test_errors_in_the_backward_options_name_them(kwargs, message):
    with pytest.raises(ValueError, match=message):
        odeint_adjoint(Field(), start(), torch.tensor([0.0, 1.0], **f64), **kwargs).sum().backward()


def test_a_frozen_parameter_is_warned_about_when_the_norm_may_expect_it():
    field = Field()
    field.first.requires_grad_(False)
    with pytest.warns(UserWarning, match="adjoint norm"):
        odeint_adjoint(
            field,
            start(),
            torch.tensor([0.0, 1.0], **f64),
            adjoint_options={"norm": lambda parts: parts[0].abs()},
        )
