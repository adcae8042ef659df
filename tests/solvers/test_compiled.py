"""The compiled solve: numbers, gradients, statistics and errors of the plain one; when it compiles,
and when not.

The rules that stand in three loops are swept side by side. What the programs compute is tested on
their graphs, which torch runs as they are: that needs no compiler, and a second instead of ten. A
few cases are then compiled.
"""

import math
import re
import sys
import warnings

import pytest
import torch
from torch import nn

from node_tutorial import SolveError, odeint, odeint_adjoint, solve
from node_tutorial.models import MLP, VectorField
from node_tutorial.solvers import batched, control
from node_tutorial.solvers.compiled import adjoint, compiler, fields, forward, kernels
from node_tutorial.solvers.compiled import solve as compiled
from node_tutorial.solvers.methods.registry import METHODS, register_method
from node_tutorial.solvers.options import Options
from node_tutorial.solvers.runge_kutta import RungeKutta, interpolate
from node_tutorial.solvers.statistics import Stats
from node_tutorial.solvers.tableaus import Tableau, hermite_dense

F64 = torch.float64


def has_compiler():
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return False
    return True


needs_compiler = pytest.mark.skipif("not has_compiler()", reason="there is no C++ compiler")


@pytest.fixture
def traced(monkeypatch):
    """Programs stay graphs; the fixture counts them."""
    made = []

    def keep(function, examples, **options):
        made.append(function)
        return compiler.trace(function, examples)

    monkeypatch.setattr(compiled, "compile_program", keep)
    monkeypatch.setattr(adjoint, "compile_program", keep)
    monkeypatch.setattr(compiler, "_programs", type(compiler._programs)())
    return made


# The rules that stand in three places, side by side: as floats (control.py), one number per row
# (batched.py), and as tensors (forward.py).

RATIOS = [0.0, 1e-300, 1e-12, 1e-10, 1e-3, 0.3, 1 - 1e-16, 1.0, 1 + 1e-15, 1.7, 50.0, 1e9, 1e300]
RATIOS += [math.inf, math.nan]
LIMITS = [{}, {"safety": 0.5, "ifactor": 2.0, "dfactor": 0.5}]


def number(x):
    return torch.tensor(x, dtype=F64)


def settings(safety=0.9, ifactor=10.0, dfactor=0.2):
    zero = number(0.0)
    limits = (number(safety), number(ifactor), number(dfactor))
    return forward.Settings(zero, zero, zero, *limits, zero, zero, zero)


@pytest.mark.parametrize("limits", LIMITS, ids=["default limits", "other limits"])
@pytest.mark.parametrize("order", [1, 3, 5, 8])
def test_the_integral_controllers_of_the_three_loops_are_one(order, limits):
    plain = control.integral(**limits)
    rows = batched._decide(number(RATIOS), order, Options(**limits))
    for i, ratio in enumerate(RATIOS):
        accept, factor = plain(ratio, 0.1, order)
        found = forward.decide("I", order, settings(**limits), number(ratio), number(1.0))
        for accept_c, factor_c in (found, (rows[0][i], rows[1][i])):
            assert bool(accept_c) == accept
            assert float(factor_c) == pytest.approx(factor, rel=1e-14)


@pytest.mark.parametrize("limits", LIMITS, ids=["default limits", "other limits"])
@pytest.mark.parametrize("order", [1, 3, 5, 8])
def test_the_proportional_integral_controllers_of_both_loops_are_one(order, limits):
    for last in RATIOS:  # every pair of ratios: the second decision remembers the first
        for ratio in RATIOS:
            plain = control.proportional_integral(**limits)
            previous = number(1.0)
            for now in (last, ratio):
                accept, factor = plain(now, 0.1, order)
                accept_c, factor_c = forward.decide(
                    "PI", order, settings(**limits), number(now), previous
                )
                assert bool(accept_c) == accept
                assert float(factor_c) == pytest.approx(factor, rel=1e-14)
                if accept:
                    previous = number(now).clamp(min=forward.LEAST_RATIO)


def tolerance_of(rtol, atol):
    return control.Tolerance(rtol=rtol, atol=atol)


@pytest.mark.parametrize(
    "f, y0, stop",
    [
        (lambda t, y: torch.cos(t) * y, [1.0, -2.0], 3.0),
        (lambda t, y: -1e4 * y, [1.0, -2.0], 3.0),
        (lambda t, y: torch.cos(t) * y, [1.0, -2.0], 1e-9),  # a stop close by
        (lambda t, y: 0 * y, [1.0, 1.0], 3.0),  # nothing moves
        (lambda t, y: torch.ones_like(y), [0.0, 0.0], 3.0),  # from rest
        (lambda t, y: y / torch.where(t > 0, t * 0, t + 1), [1.0, 1.0], 3.0),  # infinite beyond 0
    ],
    ids=["usual", "stiff", "close stop", "constant", "zero state", "infinite"],
)
@pytest.mark.parametrize("direction", [1, -1])
def test_the_first_steps_of_the_three_loops_are_one(f, y0, stop, direction):
    dopri5 = METHODS["dopri5"]
    order = dopri5.order
    rtol, atol = 1e-5, 1e-7
    tol = tolerance_of(rtol, atol)
    y = torch.tensor(y0, dtype=F64)
    t = number(0.0)
    f0 = f(t, y)
    plain = control.initial_step(f, 0.0, y, f0, direction, order, tol, stop)
    plan = plan_of(dopri5)
    end = number(direction * stop)
    tensors = (number(rtol), number(atol))
    found = forward.initial_size(plan, f, t, y, f0, end, number(direction), tensors)
    assert float(found) == pytest.approx(plain, rel=1e-13)
    rows = batched._first_steps(
        lambda t, y: f(t, y),
        torch.zeros(2, dtype=F64),
        torch.stack([y, y]),
        torch.stack([f0, f0]),
        direction,
        order,
        tol,
        lambda x: x.reshape(-1, 1),
        lambda x: torch.linalg.vector_norm(x, dim=1) / math.sqrt(x.shape[1]),
        torch.full((2,), stop, dtype=F64),
    )
    assert rows.tolist() == pytest.approx([plain] * 2, rel=1e-13)


def plan_of(tableau, dense=None):
    return forward.Plan(
        tableau=tableau,
        adaptive=True,
        controller="I",
        parts=(),
        dense=dense or tableau.dense,
        inside=True,
        wants_t=False,
        points=3,
        rows=16,
    )


@pytest.mark.parametrize(
    "method, dense",
    [("dopri5", None), ("dopri8", None), ("bosh3", "cubic"), ("bosh3", "linear")],
)
def test_dense_output_by_powers_is_that_of_the_plain_solve(method, dense):
    tableau = METHODS[method]
    plan = plan_of(tableau, dense)
    h = number(0.3)
    stepper = RungeKutta(tableau)
    step = stepper.step(lambda t, y: torch.cos(3 * t) * y, number(0.2), Y0[0], h)
    inner = forward.coefficients(plan, h, Y0[0], step)
    assert len(inner) == plan.degree
    theta = torch.linspace(0, 1, 7, dtype=F64)
    found = Y0[0] + theta[:, None] * forward.polynomial(inner, theta[:, None])
    assert torch.allclose(found, interpolate(step, theta, plan.dense), rtol=0, atol=1e-14)


def test_hermites_cubic_is_one_in_the_tableaus_and_in_the_program():
    bosh3 = METHODS["bosh3"]
    step = RungeKutta(bosh3).step(lambda t, y: torch.cos(t) * y, number(0.2), Y0[0], number(0.3))
    by_rows = plan_of(bosh3, hermite_dense(bosh3.b))
    pairs = [
        forward.coefficients(plan, number(0.3), Y0[0], step)
        for plan in (by_rows, plan_of(bosh3, "cubic"))
    ]
    for a, b in zip(*pairs, strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-14)


def field(time=True, dtype=F64, hidden=8):
    torch.manual_seed(0)
    return VectorField(MLP(2 + time, hidden, 2).to(dtype), time=time)


Y0 = torch.tensor([[1.0, 0.5], [-0.3, 0.8], [0.2, 0.1]], dtype=F64)
T = torch.linspace(0, 3, 7, dtype=F64)


def both(f, y0, t, params=(), **solver):
    """States, gradients and statistics, plain and compiled."""
    options = solver.pop("options", {})
    for chosen in (options, options | {"compile": True}):
        start = (
            tuple(x.clone().requires_grad_() for x in y0)
            if isinstance(y0, tuple)
            else y0.clone().requires_grad_()
        )
        solution = solve(f, start, t, options=chosen, **solver)
        parts = solution.y if isinstance(solution.y, tuple) else (solution.y,)
        stats = (solution.stats.nfe, solution.stats.accepted, solution.stats.rejected)
        loss = sum(
            (part.square() * torch.linspace(0.5, 1.5, part.numel()).view_as(part)).sum()
            for part in parts
        )
        leaves = [
            *(start if isinstance(start, tuple) else (start,)),
            *params,
            *([t] if t.requires_grad else []),
        ]
        yield parts, torch.autograd.grad(loss, leaves), stats


def agree(f, y0, t, params=(), tolerance=1e-13, **solver):
    """Compiled as plain, to rounding; the statistics exactly."""
    (y, gradients, stats), (y_c, gradients_c, stats_c) = both(f, y0, t, params, **solver)
    assert stats == stats_c
    for a, b in zip((*y, *gradients), (*y_c, *gradients_c), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        assert (a - b).abs().max() <= tolerance * a.abs().max()
    return stats


# One that is FSAL with its own dense output, one whose rows of that differ in length, one that
# predicts its last slope.
@pytest.mark.parametrize(
    "method, tol", [("dopri5", 1e-8), ("dopri8", 1e-8), ("adaptive_heun", 1e-3)]
)
def test_adaptive_methods_agree(traced, method, tol):
    f = field()
    agree(
        f, Y0, T.clone().requires_grad_(), tuple(f.parameters()), method=method, rtol=tol, atol=tol
    )
    assert len(traced) == 2


@pytest.mark.parametrize(
    "method", ["euler", "rk4_classic"]
)  # linear and cubic between the points of the grid
def test_fixed_steps_agree_on_the_grid_of_the_times_and_between_its_points(traced, method):
    f, t = field(), T.clone().requires_grad_()
    agree(f, Y0, t, tuple(f.parameters()), method=method)
    agree(f, Y0, t, tuple(f.parameters()), method=method, options={"step_size": 0.14})


@pytest.mark.parametrize(
    "options",
    [
        {"controller": "PI"},
        {"first_step": 2.9, "safety": 0.5, "ifactor": 2.0, "dfactor": 0.5},
        {"min_step": 0.3, "max_step": 0.4},
        {"step_t": torch.tensor([0.6, 1.0])},
    ],
    ids=lambda options: "+".join(options),
)
def test_options_agree(traced, options):
    f, t = field(), T.flip(0).clone().requires_grad_()
    agree(f, Y0, t, tuple(f.parameters()), rtol=1e-7, atol=1e-7, options=options)


def test_a_grid_of_fixed_steps_agrees(traced):
    f, grid = field(), torch.tensor([0, 0.1, 0.5, 2, 3], dtype=F64)
    agree(
        f,
        Y0,
        T,
        tuple(f.parameters()),
        method="dopri5",
        options={"grid_constructor": lambda f, y, t: grid},
    )


def test_a_solve_of_several_calls_agrees(traced):
    f, t = field(), T.clone().requires_grad_()
    stats = agree(f, Y0, t, tuple(f.parameters()), 1e-11, method="bosh3", rtol=1e-9, atol=1e-9)
    assert stats[1] > 128


@pytest.fixture(params=[None, ((1.0, -0.5), (0.0, 0.5))], ids=["cubic", "by rows"])
def pair(request):
    """The name of a pair whose last stage is not the first one of the next step."""
    heun = METHODS["heun2"]
    name = "heun_euler_to_compile"
    method = Tableau(name, 2, heun.c, heun.a, heun.b, error=(-0.5, 0.5), dense=request.param)
    yield register_method(method).name
    del METHODS[name]


def test_an_adaptive_method_that_passes_no_slope_on_agrees(traced, pair):
    # Without rows, outputs inside the steps are not compiled.
    t = T if METHODS[pair].dense else T[[0, -1]]
    settings = {"method": pair, "rtol": 1e-4, "atol": 1e-4}
    stats = agree(field(), Y0, t, options={"first_step": 2.0}, **settings)
    assert stats[2] > 0
    agree(field(), Y0, t, **settings)


def test_tuple_states_tolerances_and_closures_agree(traced):
    rate = torch.tensor(2.0, dtype=F64, requires_grad=True)
    parts = Y0, torch.zeros(3, dtype=F64)
    agree(
        lambda t, s: (-rate * s[0] * t, s[0].sum(1)),
        parts,
        T,
        (rate,),
        rtol=[1e-5, 1e-7],
        atol=1e-6,
    )
    weights = torch.tensor([1e-4, 1e-7], dtype=F64)
    agree(lambda t, y: -rate * y, Y0, T, (rate,), rtol=weights, atol=weights)
    agree(lambda t, y: -rate * y, torch.tensor(1.0, dtype=F64), T[:2], (rate,), rtol=1e-6)
    agree(lambda t, y: y, Y0.T, T, rtol=1e-6)  # not contiguous


def test_single_precision_agrees_to_its_rounding(traced):
    f = field(dtype=torch.float32)
    agree(f, Y0.float(), T.float(), tuple(f.parameters()), 3e-6, rtol=1e-5, atol=1e-5)


def test_the_hyperbolic_tangent_of_single_precision_is_accurate_everywhere():
    x = torch.cat(
        [
            torch.linspace(-12, 12, 10001),
            torch.logspace(-20, 0, 1001),
            torch.tensor([100.0, -100.0, math.inf]),
        ]
    )
    exact = torch.tanh(x.double())
    assert ((kernels.tanh(x) - exact).abs() <= 3e-7 * exact.abs()).all()
    assert kernels.tanh(torch.tensor(math.nan)).isnan()


@pytest.mark.parametrize("m, k, n", [(20, 2, 50), (20, 50, 2), (2, 20, 50), (1, 2, 50), (3, 1, 1)])
def test_small_narrow_products_are_sums_of_the_same_value(m, k, n):
    a, b = torch.randn(m, k), torch.randn(n, k).t()
    (copy,) = kernels.arranged([b])
    assert torch.equal(copy, b)
    assert torch.allclose(kernels.product(a, copy), a @ b, rtol=1e-5, atol=1e-5)
    assert kernels.product(a.double(), b.double()) is NotImplemented


@pytest.mark.parametrize("m, k, n", [(1000, 4, 20), (20, 8, 8), (0, 2, 50), (20, 0, 50)])
def test_other_products_are_left_to_the_library(m, k, n):
    assert kernels.product(torch.randn(m, k), torch.randn(k, n)) is NotImplemented


def test_only_what_needs_gradients_gets_them(traced):
    f = field()
    f.net[0].weight.requires_grad_(False)
    y = odeint(f, Y0, T, rtol=1e-6, options={"compile": True})
    y.sum().backward()
    assert f.net[0].weight.grad is None and f.net[0].bias.grad is not None
    with torch.no_grad():
        assert not odeint(f, Y0, T, rtol=1e-6, options={"compile": True}).requires_grad
    assert odeint(lambda t, y: -y, Y0, T, options={"compile": True}).grad_fn is None
    assert len(traced) == 3  # the second solve shares the program of the first


@pytest.mark.parametrize(
    "f, solver",
    [
        (lambda t, y: y**2, {}),  # blows up at t = 1
        (lambda t, y: torch.where(t > 0.5, y / 0.0, y), {}),
        (lambda t, y: y / (y - 1), {}),
        (lambda t, y: -y, {"options": {"max_num_steps": 3}}),
        (lambda t, y: 1000 * y, {"method": "rk4", "options": {"step_size": 0.01}}),
    ],
    ids=["blow-up", "not finite", "not finite at the start", "too many steps", "overflow"],
)
def test_errors_are_those_of_the_plain_solve(traced, f, solver):
    y0, t = torch.ones(2, dtype=F64), torch.linspace(0, 2, 3, dtype=F64)
    options = solver.pop("options", {})
    with pytest.raises(SolveError) as plain:
        odeint(f, y0, t, options=options, **solver)
    with pytest.raises(SolveError) as other:
        odeint(f, y0, t, options=options | {"compile": True}, **solver)
    assert without_last_step(plain) == without_last_step(other)


def without_last_step(error):
    """The message but for the size of the last step: after many rejections it differs by more than
    rounding.
    """
    return re.sub(r"h = [^;.]*\.?[^;. ]*", "", str(error.value))


def test_what_changes_from_step_to_step_of_a_training_compiles_nothing_anew(traced):
    def run(f, t=T, **solver):
        loss = (
            odeint(f, Y0, t, **{"rtol": 1e-5, "atol": 1e-5} | solver, options={"compile": True})
            .square()
            .sum()
        )
        loss.backward()
        return loss.item()

    f = field()
    first = run(f)
    optimizer = torch.optim.SGD(f.parameters(), lr=0.01)
    optimizer.step()
    assert run(f) != first  # the program has the new parameters,
    (
        run(f, T * 2),
        run(f, rtol=1e-3),
        run(field()),
    )  # and other times, tolerances, fields of the same structure
    assert len(traced) == 2
    run(f, T[:3])
    assert len(traced) == 4  # another number of times


def test_a_program_made_for_equal_tolerances_serves_unequal_ones(traced):
    f = field()
    params = tuple(f.parameters())
    agree(f, Y0, T, params, rtol=1e-6, atol=1e-6)
    agree(f, Y0, T, params, rtol=1e-4, atol=1e-9)
    adjoints_agree(f, Y0, T, params, rtol=1e-6, atol=1e-6)
    adjoints_agree(f, Y0, T, params, rtol=1e-4, atol=1e-9)
    assert len(traced) == 3  # the adjoint's forward solve shares the first program


def test_a_change_of_the_field_is_seen(traced):
    class Decay(nn.Module):
        rate = 1.0

        def forward(self, t, y):
            return -self.rate * y

    f, options = Decay(), {"compile": True}
    one = odeint(f, Y0, T, options=options)[-1]
    f.rate = 2.0
    assert torch.allclose(odeint(f, Y0, T, options=options)[-1], one**2 / Y0, rtol=1e-5)
    f.rate = 1.0
    assert torch.equal(odeint(f, Y0, T, options=options)[-1], one)  # as it was first read
    rates = [odeint(lambda t, y, k=k: -k * y, Y0, T, options=options)[-1] for k in (1.0, 2.0)]
    assert torch.allclose(rates[0], one) and torch.allclose(rates[1], one**2 / Y0, rtol=1e-5)


def test_replaced_parameters_are_seen_and_changed_ones_refused_on_the_way_back(traced):
    f, options = field(), {"compile": True}
    y = odeint(f, Y0, T, options=options)
    f.load_state_dict({name: 2 * x for name, x in f.state_dict().items()}, assign=True)
    assert torch.allclose(odeint(f, Y0, T, options=options), odeint(f, Y0, T), atol=1e-12)
    y.sum().backward()  # of the old ones
    y = odeint(f, Y0, T, options=options)
    with torch.no_grad():
        f.net[0].weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_replayed_evaluations_are_counted_on_the_way_back(traced):
    solution = solve(field(), Y0, T, rtol=1e-6, options={"compile": True})
    forward = solution.stats.nfe
    solution.y.sum().backward()
    assert solution.stats.nfe == forward + 6 * solution.stats.accepted + 1


def test_more_readings_than_torch_remembers_are_forgotten_and_made_again(monkeypatch):
    monkeypatch.setattr(fields, "READINGS", 3)
    fields._reader.cache_clear()  # it has its limit from before
    monkeypatch.setattr(fields.Reading, "made", 0)
    t, y = torch.zeros((), dtype=F64), Y0.clone()
    for k in range(2, 14):
        read, used = fields.trace_field(lambda t, y, k=k: -k * y, None, t, y)
        assert torch.equal(read(t, Y0, *used), -k * Y0)
    fields._reader.cache_clear()


def test_without_the_quick_way_a_field_is_found_as_it_was(traced, monkeypatch):
    monkeypatch.setattr(compiler, "_results", None)
    f = field()
    agree(f, Y0, T, tuple(f.parameters()), rtol=1e-6)
    read = [fields.trace_field(f, None, T[0].clone(), Y0.clone())[0] for _ in range(2)]
    assert read[0] is read[1] and len(traced) == 2


def test_the_programs_used_last_are_kept(traced, monkeypatch):
    monkeypatch.setattr(compiler, "KEPT", 2)
    for n in (2, 3, 2, 4, 2):
        odeint(lambda t, y: -y, Y0, T[:n], options={"compile": True})
    assert len(compiler._programs) == 2 and len(traced) == 3


class Counter(VectorField):
    calls = 0

    def forward(self, t, y):
        self.calls += 1
        return super().forward(t, y)


def test_a_field_that_counts_its_calls_is_given_up_after_a_while(traced):
    f = Counter(MLP(2, 4, 2).double())
    with pytest.warns(
        UserWarning, match="changes a number or another object of Python at every call"
    ):
        for _ in range(20):
            y = odeint(f, Y0, T, rtol=1e-4, options={"compile": True})
    assert torch.equal(y, odeint(f, Y0, T, rtol=1e-4))


class Layer(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer.double()

    def forward(self, t, y):
        return self.layer(y)


class Watched(VectorField):
    def callback_step(self, t, y, h):
        pass


def halving(ratio, h, order):
    return ratio < 1, 0.5 if ratio > 0.5 else 1.2


def overwriting(t, y):
    y[0].mul_(1.0)  # through a view
    return -y


REFUSED = [
    (field(), {"method": "kvaerno3"}, "'kvaerno3' is no explicit Runge-Kutta method"),
    (field(), {"method": "explicit_adams"}, "'explicit_adams' is no explicit"),
    (field(), {"options": {"norm": lambda y: y.abs().max()}}, r"options\['norm'\]"),
    (field(), {"options": {"jump_t": [0.5]}}, r"options\['jump_t'\]"),
    (field(), {"options": {"controller": halving}}, "controller"),
    (Watched(MLP(2, 4, 2).double()), {}, "callbacks"),
    (Layer(nn.Dropout(0.01)), {"method": "rk4"}, "is random"),
    (Layer(nn.BatchNorm1d(2)), {"method": "rk4"}, "writes into a tensor that it holds"),
    (lambda t, y: -y if y.sum() > 0 else -2 * y, {}, "cannot be read by torch.compile"),
]


@pytest.mark.parametrize("f, solver, reason", REFUSED, ids=[reason for _, _, reason in REFUSED])
def test_what_is_not_compiled_is_solved_as_always_with_one_warning(traced, f, solver, reason):
    solver = {"rtol": 1e-4, "atol": 1e-4} | solver
    options = solver.pop("options", {})
    torch.manual_seed(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        y = odeint(f, Y0, T, options=options | {"compile": True}, **solver)
    assert [x.filename for x in caught] == [__file__]
    assert re.match(
        r"this solve is not compiled, but runs as without options\['compile'\]: .*",
        str(caught[0].message),
    )
    assert re.search(reason, str(caught[0].message))
    torch.manual_seed(0)
    assert torch.equal(y, odeint(f, Y0, T, options=options, **solver))


def test_a_field_that_writes_into_its_state_is_refused_as_uncompiled():
    with (
        pytest.warns(UserWarning, match="writes into a tensor that it holds or is given"),
        pytest.raises(ValueError, match="changes y in place"),
    ):
        odeint(overwriting, Y0, T, method="rk4", options={"compile": True})


def test_events_clocks_per_sample_and_records_are_not_compiled():
    options = {"compile": True}
    with pytest.warns(UserWarning, match="not compiled.* events"):
        odeint(lambda t, y: -y, Y0, T[:2], event_fn=lambda t, y: y[0, 0] - 0.5, options=options)
    with pytest.warns(UserWarning, match="not compiled.* one clock per sample"):
        solve(lambda t, y: -y, Y0, T, per_sample=True, options=options)
    with pytest.warns(UserWarning, match="not compiled.* record=True"):
        assert solve(lambda t, y: -y, Y0, T, record=True, options=options).steps


def test_a_field_refused_for_the_method_is_compiled_with_another(traced):
    f = field()
    with pytest.warns(UserWarning, match="not compiled"):
        odeint(f, Y0, T, method="kvaerno3", options={"compile": True})
    odeint(f, Y0, T, options={"compile": True})
    assert traced


def test_a_field_that_fails_may_be_mended(traced):
    def f(t, y):
        return y @ matrix

    matrix = torch.eye(3, dtype=F64)
    with (
        pytest.warns(UserWarning, match="not compiled"),
        pytest.raises(RuntimeError, match="shapes cannot be"),
    ):
        odeint(f, Y0, T, options={"compile": True})
    matrix = -torch.eye(2, dtype=F64)
    agree(f, Y0, T)


@pytest.mark.parametrize("value", ["yes", 2, [True]])
def test_compile_is_true_or_false(value):
    with pytest.raises(ValueError, match=r"options\['compile'\] must be True or False, got"):
        odeint(lambda t, y: -y, Y0, T, options={"compile": value})
    assert torch.equal(
        odeint(lambda t, y: -y, Y0, T, options={"compile": False}), odeint(lambda t, y: -y, Y0, T)
    )


# The adjoint.


def adjoint_of(f, y0, t, params, compile, **solver):
    """The gradients by the adjoint of y0, t and params, and the evaluations, both ways together."""
    parts = y0 if isinstance(y0, tuple) else (y0,)
    start = tuple(x.clone().requires_grad_() for x in parts)
    stats = Stats()
    options = solver.pop("options", {}) | ({"compile": True} if compile else {})
    if "adjoint_options" in solver:
        solver["adjoint_options"] = solver["adjoint_options"] | {"compile": compile}
    state = start if isinstance(y0, tuple) else start[0]
    y = odeint_adjoint(
        f, state, t, options=options or None, stats=stats, adjoint_params=params, **solver
    )
    loss = sum(
        (part.square() * torch.linspace(0.5, 1.5, part.numel()).view_as(part)).sum()
        for part in (y if isinstance(y, tuple) else (y,))
    )
    leaves = (*start, *params, *([t] if t.requires_grad else []))
    return torch.autograd.grad(loss, leaves), stats.nfe


def adjoints_agree(f, y0, t, params, tolerance=1e-12, **solver):
    """The compiled adjoint is the plain one, to rounding; the evaluations are the same."""
    plain, nfe = adjoint_of(f, y0, t, params, False, **dict(solver))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is compiled, and says nothing
        found, nfe_c = adjoint_of(f, y0, t, params, True, **dict(solver))
    assert nfe == nfe_c
    for a, b in zip(plain, found, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        assert (a - b).abs().max() <= tolerance * a.abs().max()


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize(
    "solver",
    [
        {"method": "dopri5"},
        {"method": "dopri8", "rtol": 1e-9, "atol": 1e-9},
        {"method": "bosh3", "rtol": 1e-5, "atol": 1e-5},
        {"adjoint_options": {"norm": "seminorm"}},
        {"options": {"controller": "PI"}, "adjoint_rtol": 1e-8, "adjoint_atol": 1e-9},
        {"options": {"first_step": 2.9, "max_step": 0.4, "safety": 0.5}},
        {"adjoint_method": "tsit5"},
    ],
    ids=["dopri5", "dopri8", "bosh3", "seminorm", "PI and tolerances", "limits", "other method"],
)
def test_the_compiled_adjoint_is_the_plain_one(traced, solver, direction):
    f = field()
    t = (T if direction > 0 else T.flip(0)).clone().requires_grad_()
    solver = {"rtol": 1e-6, "atol": 1e-6, "tolerance": 1e-9} | solver  # dopri8 takes long steps
    adjoints_agree(f, Y0, t, tuple(f.parameters()), **solver)
    assert len(traced) == 2


def test_the_compiled_adjoint_of_many_steps_and_of_two_observations_is_the_plain_one(
    traced, monkeypatch
):
    monkeypatch.setattr(adjoint, "rows_for", lambda entries: 3)  # several calls an interval
    f = field()
    for t in (T[[0, -1]].clone().requires_grad_(), T.clone()):
        adjoints_agree(f, Y0, t, tuple(f.parameters()), rtol=1e-8, atol=1e-8)


def test_the_compiled_adjoint_of_a_tuple_and_of_a_closure_is_the_plain_one(traced):
    rate = torch.tensor(2.0, dtype=F64, requires_grad=True)
    unused = torch.ones(3, dtype=F64, requires_grad=True)
    parts = Y0, torch.zeros(3, dtype=F64)

    def f(t, s):
        return -rate * s[0] * t, s[0].sum(1)

    adjoints_agree(f, parts, T, (rate, unused), rtol=[1e-5, 1e-7], atol=1e-6)
    adjoints_agree(lambda t, y: torch.cos(t) * y, Y0, T, (), rtol=1e-6, atol=1e-6)


def test_an_adjoint_step_of_a_training_compiles_nothing_anew(traced):
    f = field()
    params = tuple(f.parameters())
    for t in (T, 2 * T):
        adjoint_of(f, Y0, t, params, True, rtol=1e-5, atol=1e-5)
        with torch.no_grad():
            for p in params:
                p.mul_(0.9)
    assert len(traced) == 2
    first = adjoint_of(f, Y0, T, params, True)[0][1:]
    f.net[0].weight.requires_grad_(False)
    frozen = adjoint_of(f, Y0, T, params[1:], True)[0][1:]
    for a, b in zip(first[1:], frozen, strict=True):
        # Where the weight is no part of the error, the steps are others.
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-8)
    assert len(traced) == 4  # a field with another set of tensors that need gradients


def test_a_second_derivative_through_the_compiled_adjoint_is_that_of_the_plain_one(traced):
    k = torch.tensor(0.5, dtype=F64, requires_grad=True)
    found = []
    for options in (None, {"compile": True}):
        y0 = torch.tensor([1.0, 2.0], dtype=F64, requires_grad=True)
        t = torch.tensor([0.0, 0.5, 1.0], dtype=F64)
        y = odeint_adjoint(lambda t, y: -k * y * y, y0, t, adjoint_params=(k,), options=options)
        gradients = torch.autograd.grad(y[1:].sum(), (y0, k), create_graph=True)
        found.append(torch.autograd.grad(sum(g.square().sum() for g in gradients), (y0, k)))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


ADJOINT_REFUSED = [
    ({"options": {"norm": lambda y: y.abs().max()}}, "a norm of your own is not compiled"),
    ({"adjoint_options": {"norm": lambda parts: parts[1].abs().max()}}, "a norm of your own"),
    ({"adjoint_method": "rk4", "adjoint_options": {"step_size": 0.1}}, "adaptive methods only"),
    ({"adjoint_method": "kvaerno3", "adjoint_options": {}}, "no explicit Runge-Kutta method"),
    ({"options": {"step_t": torch.tensor([0.6])}}, r"options\['step_t'\]"),
]


@pytest.mark.parametrize("solver, reason", ADJOINT_REFUSED, ids=[r for _, r in ADJOINT_REFUSED])
def test_an_adjoint_that_is_not_compiled_warns_and_is_solved_as_always(traced, solver, reason):
    f = field()
    params = tuple(f.parameters())
    solver = {"rtol": 1e-5, "atol": 1e-5} | solver
    plain, nfe = adjoint_of(f, Y0, T, params, False, **dict(solver))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found, nfe_c = adjoint_of(f, Y0, T, params, True, **dict(solver))
    assert any(re.search(reason, str(x.message)) for x in caught)
    assert nfe == nfe_c
    for a, b in zip(plain, found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_an_adjoint_through_tensors_computed_outside_of_func_is_not_compiled(traced):
    weight = torch.tensor(0.5, dtype=F64, requires_grad=True)
    rate = weight.square()
    with (
        pytest.warns(UserWarning, match="computed with a graph outside of it"),
        pytest.raises(RuntimeError, match="a second time"),  # as uncompiled
    ):
        adjoint_of(lambda t, y: -rate * y, Y0, T, (weight,), True)


def test_what_goes_wrong_in_a_compiled_adjoint_is_what_goes_wrong_in_the_plain_one(traced):
    steep = torch.tensor(60.0, dtype=F64, requires_grad=True)

    def contracting(t, y):
        return -steep * (y - torch.cos(t))

    solver = {"rtol": 1e-6, "atol": 1e-6}
    with pytest.warns(RuntimeWarning, match="has lost the solution"):
        adjoint_of(contracting, Y0, T, (steep,), True, **solver)
    k = torch.tensor(1.0, dtype=F64, requires_grad=True)
    for compile in (False, True):
        y = odeint_adjoint(
            lambda t, y: -k * y, Y0, T, adjoint_params=(k,), options={"compile": compile}
        )
        assert torch.autograd.grad(y.sum() * math.nan, k)[0].isnan()
        y = odeint_adjoint(
            lambda t, y: -k * y, Y0, T, adjoint_params=(k,), options={"compile": compile},
            adjoint_options={"compile": compile, "max_num_steps": 1},
        )  # fmt: skip
        with pytest.raises(SolveError, match="max_num_steps exceeded"):
            y.sum().backward()


# With the compiler.


def test_what_torch_lacks_is_named(monkeypatch):
    assert compiler.missing() == []
    monkeypatch.delattr(torch._inductor, "compile")
    monkeypatch.setattr(torch, "compile", lambda model=None, *, fullgraph=False: model)
    assert compiler.missing() == [
        "torch._inductor.compile",
        "torch.compile(recompile_limit=...)",
        "torch.compile(isolate_recompiles=...)",
    ]


def test_a_torch_without_what_is_needed_solves_as_always(monkeypatch):
    monkeypatch.setitem(sys.modules, "node_tutorial.solvers.compiled.solve", None)
    f = field()
    with pytest.warns(UserWarning, match="not compiled.* PyTorch .* lacks what it needs"):
        y = odeint(f, Y0, T, options={"compile": True})
    assert torch.equal(y, odeint(f, Y0, T))


def test_without_a_compiler_the_warning_says_so(monkeypatch):
    from torch._inductor import config

    f = field()
    with config.patch({"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True}):
        with pytest.warns(
            UserWarning, match="not compiled.* no C\\+\\+ compiler was found; install one"
        ):
            y = odeint(f, Y0, T, options={"compile": True})
        assert torch.equal(y, odeint(f, Y0, T))
        with pytest.warns(UserWarning, match="no C"), monkeypatch.context() as patch:
            patch.setattr(compiled, "_prepare", None)  # it is not tried again
            odeint(f, Y0, T, options={"compile": True})


@needs_compiler
@pytest.mark.parametrize("dtype, tolerance", [(F64, 1e-12), (torch.float32, 2e-4)])
def test_a_compiled_adjoint_computes_what_its_graph_does(dtype, tolerance):
    f = field(dtype=dtype)
    solver = {"rtol": 1e-5, "atol": 1e-5, "tolerance": tolerance}
    adjoints_agree(f, Y0.to(dtype), T.to(dtype), tuple(f.parameters()), **solver)


@needs_compiler
def test_small_programs_in_single_precision_agree():
    """Their temporaries are on the stack."""
    f = field(dtype=torch.float32)
    t = T.float().requires_grad_()
    agree(f, Y0.float(), t, tuple(f.parameters()), 1e-5, rtol=1e-5, atol=1e-5)


@needs_compiler
def test_compiled_programs_compute_what_their_graphs_do():
    f, t = field(), T.clone().requires_grad_()
    stats = agree(f, Y0, t, tuple(f.parameters()), 1e-11, method="bosh3", rtol=1e-9, atol=1e-9)
    assert stats[1] > 128  # several calls
    with pytest.raises(SolveError, match="max_num_steps exceeded: 3 steps"):
        odeint(
            f,
            Y0,
            t,
            method="bosh3",
            rtol=1e-9,
            atol=1e-9,
            options={"max_num_steps": 3, "compile": True},
        )


def test_a_second_derivative_is_that_of_the_plain_solve(traced):
    """Though the cotangent of a sum depends on nothing: a penalty on the gradient."""
    k = torch.tensor(0.5, dtype=F64, requires_grad=True)
    found = []
    for options in (None, {"compile": True}):
        y0 = torch.tensor([1.0, 2.0], dtype=F64, requires_grad=True)
        t = torch.tensor([0.0, 0.5, 1.0], dtype=F64, requires_grad=True)
        loss = odeint(lambda t, y: -k * y * y, y0, t, options=options)[1:].sum()
        gradients = torch.autograd.grad(loss, (y0, t, k), create_graph=True)
        penalty = sum(g.square().sum() for g in gradients)
        found.append(torch.autograd.grad(loss + penalty, (y0, t, k)))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


def test_programs_made_under_autocast_are_used_under_autocast_only(traced):
    torch.manual_seed(0)
    net = nn.Linear(3, 3)
    y0, t = torch.randn(4, 3), torch.tensor([0.0, 1.0])
    tolerances = {"rtol": 1e-4, "atol": 1e-5}

    def f(t, y):
        return torch.tanh(net(y))

    with torch.no_grad():
        plain = odeint(f, y0, t, **tolerances)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            odeint(f, y0, t, options={"compile": True}, **tolerances)
        after = odeint(f, y0, t, options={"compile": True}, **tolerances)
    torch.testing.assert_close(after, plain, rtol=0, atol=1e-6)
