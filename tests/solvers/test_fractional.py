"""Equations of fractional order: first steps, orders, limits, memories, gradients, refusals."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from node_tutorial.data.mittag_leffler import caputo_of_power, mittag_leffler
from node_tutorial.solvers.errors import SolveError
from node_tutorial.solvers.fractional import (
    METHODS,
    caputo,
    exponentials,
    fdeint,
    gl_weights,
    graded,
    l1_weights,
    riemann_liouville,
)
from node_tutorial.solvers.odeint import odeint
from node_tutorial.solvers.statistics import Stats

f64 = torch.float64
ONE = torch.ones(1, dtype=f64)
FAST = [m for m in METHODS if not m.startswith("gl")]


def decay(t: Tensor, y: Tensor) -> Tensor:
    return -y


def even(end: float, steps: int) -> Tensor:
    return torch.linspace(0, end, steps + 1, dtype=f64)


def exact(t: Tensor, alpha: float) -> Tensor:
    return torch.tensor(mittag_leffler(-(t.numpy() ** alpha), alpha))


@pytest.mark.parametrize(
    "method, alpha, value",
    [
        ("gl", 0.5, 0.759746927),
        ("gl", 0.7, 0.833662469),
        ("l1", 0.5, 0.781097710),
        ("l1", 0.7, 0.848126824),
        ("l1_explicit", 0.5, 0.719750439),
        ("l1_explicit", 0.7, 0.820931054),
        ("rectangle", 0.5, 0.643175177),
        ("rectangle", 0.7, 0.780411924),
        ("adams", 0.5, 0.728057813),
        ("adams", 0.7, 0.808775996),
    ],
)
def test_the_first_step_of_relaxation(method, alpha, value):
    y = fdeint(decay, ONE, even(0.1, 1), alpha, method=method)
    assert y[-1].item() == pytest.approx(value, abs=2e-9)


def orders(method: str, alpha: float, right: Tensor | float, solve, steps=(80, 160, 320)) -> float:
    errors = [abs(float(solve(n)) - float(right)) for n in steps]
    return math.log2(errors[-2] / errors[-1])


@pytest.mark.parametrize("alpha", [0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("method", METHODS)
def test_the_order_where_the_start_is_not_smooth(method, alpha):
    found = orders(
        method,
        alpha,
        mittag_leffler(-1.0, alpha),
        lambda n: fdeint(decay, ONE, even(1, n), alpha, method=method)[-1],
    )
    expected = {0.3: 1.44, 0.5: 1.54, 0.7: 1.70, 0.9: 1.90}[alpha] if method == "adams" else 1.0
    assert found == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("alpha", [0.3, 0.5, 0.7])
@pytest.mark.parametrize(
    "method, order",
    [
        ("adams", lambda alpha: 1 + alpha),
        ("l1", lambda alpha: 2 - alpha),
        ("gl", lambda alpha: 1.0),
        ("rectangle", lambda alpha: 1.0),
    ],
)
def test_the_order_for_a_smooth_solution(method, alpha, order):
    """D^alpha y = D^alpha t^3 - (y - t^3): y = t^3."""

    def forced(t: Tensor, y: Tensor) -> Tensor:
        return float(caputo_of_power(3, alpha, float(t))) * (t > 0) - (y - t**3)

    found = orders(
        method,
        alpha,
        1.0,
        lambda n: fdeint(forced, 0 * ONE, even(1, n), alpha, method=method)[-1],
        steps=(200, 400) if method == "l1" else (100, 200),
    )
    assert found == pytest.approx(order(alpha), abs=0.15)


@pytest.mark.parametrize("alpha", [0.3, 0.5, 0.7])
def test_a_graded_mesh_gives_l1_its_order_back(alpha):
    def largest(mesh):
        y = fdeint(decay, ONE, mesh, alpha, method="l1")[:, 0]
        return float((y - exact(mesh, alpha)).abs().max())

    on_even = math.log2(largest(even(1, 80)) / largest(even(1, 160)))
    power = (2 - alpha) / alpha
    on_graded = math.log2(largest(graded(1, 80, power)) / largest(graded(1, 160, power)))
    assert on_even < alpha + 0.05
    assert on_graded == pytest.approx(2 - alpha, abs=0.13)


@pytest.mark.parametrize("alpha", [1.2, 1.5, 1.8])
@pytest.mark.parametrize("method", ["adams", "gl", "rectangle"])
def test_between_orders_one_and_two_it_swings(alpha, method):
    y = fdeint(decay, ONE, even(3, 600), alpha, slope0=0 * ONE, method=method)[:, 0]
    assert (y - exact(even(3, 600), alpha)).abs().max() < (5e-5 if method == "adams" else 0.02)


def test_a_slope_at_the_start_carries_it_on():
    t = even(2, 100)
    y = fdeint(lambda t, y: 0 * y, ONE, t, 1.5, slope0=3 * ONE)[:, 0]
    assert torch.allclose(y, 1 + 3 * t)


@pytest.mark.parametrize(
    "method, ordinary",
    [
        ("rectangle", "euler"),
        ("l1_explicit", "euler"),
        ("gl_explicit", "euler"),
        ("l1", "implicit_euler"),
        ("gl", "implicit_euler"),
    ],
)
def test_at_order_one_it_is_the_ordinary_method(method, ordinary):
    def field(t: Tensor, y: Tensor) -> Tensor:
        return torch.cos(t) - y**2

    t = even(2, 20)
    y = fdeint(field, ONE, t, 1.0, method=method)
    expected = odeint(field, ONE, t, method=ordinary, rtol=1e-13, atol=1e-13)
    assert torch.allclose(y, expected, rtol=0, atol=1e-13)


REMEMBERING = [(m, "full") for m in METHODS] + [(m, "exponentials") for m in FAST]


@pytest.mark.parametrize("method, memory", REMEMBERING)
def test_towards_order_one_it_tends_to_the_method_of_order_one(method, memory):
    """As the exact solution does, with a tenth of 1 - alpha by a tenth."""
    t = even(2, 200)
    limit = fdeint(decay, ONE, t, 1.0, method=method)
    away = [
        (fdeint(decay, ONE, t, 1 - e, method=method, memory=memory) - limit)[:, 0]
        for e in (1e-2, 1e-3, 1e-4)
    ]
    for one, other in itertools.pairwise(away):
        assert float(one.abs().max() / other.abs().max()) == pytest.approx(10, rel=0.05)
    expected = float(mittag_leffler(-(2**0.999), 0.999)) - math.exp(-2)
    assert away[1][-1].item() == pytest.approx(expected, rel=0.02)


def test_at_order_one_adams_is_a_trapezoidal_rule_with_one_correction():
    def field(t: Tensor, y: Tensor) -> Tensor:
        return torch.cos(t) - y**2

    t = even(2, 20)
    h = 0.1
    slopes = [field(t[0], ONE)]
    expected = [ONE]
    for n in range(1, 21):
        guess = field(t[n], ONE + h * sum(slopes))
        expected.append(ONE + h * (sum(slopes) - slopes[0] / 2 + guess / 2))
        slopes.append(field(t[n], expected[-1]))
    y = fdeint(field, ONE, t, 1.0, method="adams")
    assert torch.allclose(y, torch.stack(expected), atol=1e-12)
    tight = odeint(field, ONE, t, rtol=1e-11, atol=1e-12)
    assert (y - tight).abs().max() < 2e-3


def test_two_methods_agree_on_a_nonlinear_system():
    """Adams and L1 on a graded mesh, of a system with no closed form."""

    def field(t: Tensor, y: Tensor) -> Tensor:
        return torch.stack([y[1] - y[0] ** 3, torch.sin(t) - y[0] * y[1]])

    y0 = torch.tensor([1.0, 0.5], dtype=f64)
    mesh = graded(2, 800, 2.0)
    one = fdeint(field, y0, mesh, 0.8, method="adams")
    two = fdeint(field, y0, mesh, 0.8, method="l1")
    assert (one - two).abs().max() < 1e-3


@pytest.mark.parametrize("method", FAST)
@pytest.mark.parametrize("mesh", [even(5, 300), graded(5, 300, 3.0)], ids=["even", "graded"])
@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9, 0.999])
def test_exponentials_remember_as_much_as_the_whole_past(method, mesh, alpha):
    def field(t: Tensor, y: Tensor) -> Tensor:
        return torch.cos(3 * t) - y

    full = fdeint(field, ONE, mesh, alpha, method=method)
    fast = fdeint(field, ONE, mesh, alpha, method=method, memory="exponentials")
    assert (full - fast).abs().max() < 1e-9


@pytest.mark.parametrize("method", ["l1", "gl", "l1_explicit", "gl_explicit"])
def test_a_short_memory_forgets_what_the_bound_allows(method):
    t = even(20, 400)
    full = fdeint(decay, ONE, t, 0.5, method=method)
    whole = fdeint(decay, ONE, t, 0.5, method=method, memory="short", length=21.0)
    assert torch.allclose(full, whole)
    errors = []
    for length in (1.0, 10.0):
        short = fdeint(decay, ONE, t, 0.5, method=method, memory="short", length=length)
        errors.append(float((short - full).abs().max()))
        assert 1e-3 < errors[-1] < length**-0.5 / math.gamma(0.5)
    assert errors[1] < errors[0] / 2


@pytest.mark.parametrize("method, memory", REMEMBERING)
def test_gradients_to_order_state_and_parameters(method, memory):
    mesh = even(1, 4)

    def solved(alpha, theta, y0):
        def field(t: Tensor, y: Tensor) -> Tensor:
            return theta * y + torch.sin(y)

        return fdeint(field, y0, mesh, alpha, method=method, memory=memory)

    inputs = [torch.tensor(x, dtype=f64, requires_grad=True) for x in (0.6, -1.2, [1.0, 0.5])]
    assert torch.autograd.gradcheck(solved, inputs)


def test_the_gradient_to_the_order_is_that_of_the_exact_solution():
    alpha = torch.tensor(0.5, dtype=f64, requires_grad=True)
    y = fdeint(decay, ONE, graded(2, 400, 2.0), alpha)[-1, 0]
    (slope,) = torch.autograd.grad(y, alpha)
    assert slope.item() == pytest.approx(-0.348738506, abs=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_is_its_rows(method):
    y0 = torch.tensor([[1.0, 0.2], [0.5, -1.0], [2.0, 0.0]], dtype=f64)

    def field(t: Tensor, y: Tensor) -> Tensor:
        return torch.stack([y[..., 1], -torch.sin(y[..., 0])], -1)

    together = fdeint(field, y0, even(1, 20), 0.8, method=method)
    for i, row in enumerate(y0):
        assert torch.allclose(together[:, i], fdeint(field, row, even(1, 20), 0.8, method=method))


def test_work_is_counted():
    for method, nfe in (("rectangle", 10), ("adams", 20), ("l1_explicit", 10)):
        stats = Stats()
        fdeint(decay, ONE, even(1, 10), 0.5, method=method, stats=stats)
        assert (stats.nfe, stats.accepted) == (nfe, 10)
    stats = Stats()
    fdeint(decay, ONE, even(1, 10), 0.5, method="l1", stats=stats)
    assert stats.newton >= 10 and stats.jacobians == 1


def test_the_derivatives_of_sampled_functions():
    t = even(1, 200)
    for alpha, value in ((0.5, 1.128379167), (0.7, 1.114242509)):
        assert caputo(t, t, alpha)[-1].item() == pytest.approx(value, abs=1e-9)
        assert float(caputo(torch.ones_like(t), t, alpha).abs().max()) == 0
    for alpha, value in ((0.5, 0.564189584), (0.7, 0.334272753)):
        found = riemann_liouville(torch.ones_like(t), t, alpha)[-1].item()
        assert found == pytest.approx(value, abs=1e-9)
    square = caputo(t**2, t, 0.5)
    assert (square - torch.tensor(caputo_of_power(2, 0.5, t[1:].numpy()))).abs().max() < 5e-4
    both = torch.stack([t, t**2], 1)
    assert torch.allclose(caputo(both, t, 0.5)[:, 1], square)


def test_weights():
    gl = gl_weights(0.5, 5).tolist()
    assert gl == pytest.approx([1, -0.5, -0.125, -0.0625, -0.0390625, -0.02734375])
    assert gl_weights(0.7, 3).tolist() == pytest.approx([1, -0.7, -0.105, -0.0455])
    for n, expected in ((10, 0.176197052), (100, 0.056348479)):
        assert float(gl_weights(0.5, n).sum()) == pytest.approx(expected, abs=1e-9)
    l1 = l1_weights(0.5, 3).tolist()
    assert l1 == pytest.approx([1, 0.414213562, 0.317837245, 0.267949192], abs=1e-9)
    assert l1_weights(0.7, 2).tolist() == pytest.approx([1, 0.231144413, 0.159244757], abs=1e-9)


def test_one_can_not_go_on_from_the_middle():
    """The restarted solution forgets; it is the square of the one before."""
    whole = fdeint(decay, ONE, even(2, 2000), 0.5)[:, 0]
    again = fdeint(decay, whole[1000:1001], even(1, 1000), 0.5)[-1, 0]
    assert again.item() == pytest.approx(whole[1000].item() ** 2, abs=1e-12)
    assert again.item() == pytest.approx(0.182828, abs=1e-4)
    assert whole[-1].item() == pytest.approx(0.336204, abs=1e-4)


def test_single_precision_stays_single():
    y = fdeint(decay, ONE.float(), even(1, 50).float(), 0.5)
    assert y.dtype == torch.float32
    assert torch.allclose(y.double(), fdeint(decay, ONE, even(1, 50), 0.5), atol=1e-6)


def test_a_solution_that_blows_up_is_an_error_with_its_time():
    with pytest.raises(SolveError, match="not finite at t = "):
        fdeint(lambda t, y: torch.exp(y**2), 3 * ONE, even(1, 20), 0.5, method="rectangle")


@pytest.mark.parametrize(
    "of, match",
    [
        ({"alpha": 0.0}, "between 0 and 2"),
        ({"alpha": 2.5}, "between 0 and 2"),
        ({"alpha": torch.tensor([0.5, 0.6])}, "one number"),
        ({"alpha": 1.5}, "slope0"),
        ({"alpha": 0.5, "slope0": ONE}, "leave it out"),
        ({"alpha": 1.5, "slope0": torch.zeros(2)}, "shape of y0"),
        ({"alpha": 1.5, "slope0": ONE, "method": "l1"}, "up to 1"),
        ({"alpha": 0.5, "method": "abm"}, "method must be one of adams"),
        ({"alpha": 0.5, "memory": "long"}, "memory must be one of full"),
        ({"alpha": 0.5, "memory": "short", "method": "l1"}, "needs length"),
        ({"alpha": 0.5, "length": 1.0}, "needs length"),
        ({"alpha": 0.5, "memory": "short", "length": 1.0}, "lose the past"),
        ({"alpha": 0.5, "memory": "exponentials", "method": "gl"}, "use memory='full'"),
        ({"alpha": 0.5, "method": "gl", "t": graded(1, 9, 2.0)}, "equal steps"),
        ({"alpha": 0.5, "t": even(1, 9).flip(0)}, "has a beginning"),
        ({"alpha": 0.5, "t": torch.tensor([0.0, 0.5, 0.5])}, "strictly increasing"),
        ({"alpha": 0.5, "func": lambda t, y: y[:0]}, "they must be equal"),
        ({"alpha": 0.5, "func": lambda t, y: y.tolist()}, "must be a tensor"),
        ({"alpha": 0.5, "func": lambda t, y: 1j * y}, "cast one of them"),
        ({"alpha": 0.5, "func": lambda t, y: y.neg_(), "y0": ONE.clone()}, "changes y in place"),
        ({"alpha": 0.5, "y0": ONE.float(), "func": lambda t, y: -y.double()}, "y0.to"),
        ({"alpha": 0.5, "y0": (ONE, ONE)}, "torch.cat"),
        ({"alpha": 0.5 + 0j}, "must be a number"),
        ({"alpha": "0.5"}, "must be a number"),
        ({"alpha": True}, "must be a number"),
        ({"alpha": torch.tensor(0.5 + 0j)}, "must be real"),
        ({"alpha": 1.5, "slope0": 0.0}, "slope0 must be a tensor"),
        ({"alpha": 0.5, "t": even(1, 9).requires_grad_()}, "t.detach"),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(of, match):
    given = {"func": decay, "y0": ONE, "t": even(1, 9), **of}
    with pytest.raises((TypeError, ValueError), match=match):
        fdeint(given.pop("func"), given.pop("y0"), given.pop("t"), given.pop("alpha"), **given)


@pytest.mark.parametrize("method", ["l1", "adams", "rectangle"])
def test_the_best_mesh_of_a_low_order_keeps_its_digits(method):
    """Its first steps are of 1e-40; differences of powers of t - s would lose them."""
    errors = []
    for n in (32, 64, 128):
        mesh = graded(1, n, 19.0)
        y = fdeint(decay, ONE, mesh, 0.1, method=method)[:, 0]
        errors.append(float((y - exact(mesh, 0.1)).abs().max()))
    least = {"l1": 3.0, "adams": 2.0, "rectangle": 1.9}[method]
    assert all(a > least * b for a, b in itertools.pairwise(errors))
    assert errors[-1] < {"l1": 1e-4, "adams": 6e-3, "rectangle": 2e-3}[method]


@pytest.mark.parametrize("linear", [False, True])
def test_weights_of_a_mesh_are_those_of_many_digits(linear):
    import mpmath

    from node_tutorial.solvers.fractional import _FullMemory

    mesh = graded(1, 12, 15.0)
    memory = _FullMemory(mesh, torch.tensor(0.3, dtype=f64), linear)
    memory.left = [ONE] * 12
    found = memory._linear(12) if linear else (memory._constant(12),)
    with mpmath.workdps(60):
        a = mpmath.mpf(0.3)
        times = [mpmath.mpf(x) for x in mesh.tolist()]
        for k, (s, e) in enumerate(itertools.pairwise(times)):
            far, near = 1 - s, 1 - e
            zeroth = (far**a - near**a) / a
            first = (far ** (a + 1) - near ** (a + 1)) / (a + 1)
            ends = ((first - near * zeroth) / (e - s), (far * zeroth - first) / (e - s))
            for weight, right in zip(found, ends if linear else (zeroth,)):
                right = float(right / mpmath.gamma(a))
                assert float(weight[k]) == pytest.approx(
                    right, rel=0 if linear else 1e-13, abs=2e-15 if linear else 0
                )


@pytest.mark.parametrize("method", ["l1", "gl"])
@pytest.mark.parametrize("shape", [(), (1,), (50, 3)])
def test_an_implicit_step_of_a_curved_field_converges(method, shape):
    """20 steps of D^0.5 y = -y^3 are long: one Jacobian a step is not enough."""
    y0 = torch.ones(shape, dtype=f64)
    y = fdeint(lambda t, y: -(y**3), y0, even(1, 20), 0.5, method=method)
    fine = fdeint(lambda t, y: -(y**3), ONE, even(1, 1000), 0.5)[-1, 0]
    assert y.shape == (21, *shape)
    assert (y[-1] - fine).abs().max() < 0.01
    if method == "gl":  # each step solves its own equation
        h, w = 0.05, gl_weights(0.5, 20)
        sums = sum(w[k] * (y[20 - k] - y[0]) for k in range(21)) / h**0.5
        assert torch.allclose(sums, -(y[20] ** 3), atol=1e-9)


def test_its_gradient_is_that_of_the_steps():
    def solved(rate, alpha):
        return fdeint(lambda t, y: -rate * y**3, ONE, even(1, 4), alpha, method="l1")

    inputs = [torch.tensor(x, dtype=f64, requires_grad=True) for x in (2.0, 0.5)]
    assert torch.autograd.gradcheck(solved, inputs)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(), (0, 3)])
def test_shapes_at_the_edge(method, shape):
    y = fdeint(decay, torch.ones(shape, dtype=f64), even(1, 5), 0.5, method=method)
    assert y.shape == (6, *shape)
    at_start = fdeint(decay, torch.ones(shape, dtype=f64), even(1, 5)[:1], 0.5, method=method)
    assert at_start.shape == (1, *shape)


@pytest.mark.parametrize("length", [0.5, math.inf])
def test_a_short_memory_of_one_time_or_without_end(length):
    one = fdeint(decay, ONE, even(1, 5)[:1], 0.5, method="gl", memory="short", length=length)
    assert torch.equal(one, ONE[None])
    for method in ("l1", "gl"):
        endless = fdeint(
            decay, ONE, even(1, 5), 0.5, method=method, memory="short", length=math.inf
        )
        assert torch.allclose(endless, fdeint(decay, ONE, even(1, 5), 0.5, method=method))


@pytest.mark.parametrize("method", ["adams", "rectangle", "l1_explicit", "gl_explicit"])
def test_a_field_may_fill_one_buffer(method):
    buffer = torch.zeros(1, dtype=f64)

    def field(t: Tensor, y: Tensor) -> Tensor:
        return buffer.copy_(t - y)

    expected = fdeint(lambda t, y: t - y, ONE, even(1, 20), 0.5, method=method)
    assert torch.equal(fdeint(field, ONE, even(1, 20), 0.5, method=method), expected)


def test_whole_slopes_become_those_of_the_state():
    y = fdeint(lambda t, y: torch.ones(1, dtype=torch.int64), ONE, even(1, 10), 0.5)
    assert y[-1].item() == pytest.approx(1 + 1 / math.gamma(1.5))
    y = fdeint(decay, ONE.float(), even(1, 10).float(), 1.5, slope0=ONE)
    assert y.dtype == torch.float32


def test_equal_steps_of_single_precision_are_equal():
    t = torch.linspace(0, 1, 3001)
    assert float(t.diff().max() / t.diff().min()) > 1 + 1e-4
    y = fdeint(lambda t, y: 0 * y, ONE.float(), t, 0.5, method="gl_explicit")
    assert y.shape == (3001, 1)


@pytest.mark.parametrize("L", [1.0, 2.0])
def test_a_short_memory_of_l1_loses_by_the_range_of_values(L):
    """And not by max|y - y0| only, which a swinging y exceeds."""
    t = even(20, 400)
    y = torch.sin(2 * math.pi / (4 * L) * t)
    kept = round(20 * L)
    whole = caputo(y, t, 0.5)
    lost = max(
        abs(float(whole[n - 1] - caputo(y[n - kept : n + 1], t[n - kept : n + 1], 0.5)[-1]))
        for n in range(kept + 1, 401)
    )
    assert lost < 2 * L**-0.5 / math.gamma(0.5)


@pytest.mark.parametrize("alpha, order", [(0.3, 1.4), (0.5, 1.53), (0.7, 1.7)])
def test_adams_nears_the_order_one_plus_alpha_from_above(alpha, order):
    errors = [
        abs(
            float(fdeint(decay, ONE, even(1, n), alpha, memory="exponentials")[-1])
            - float(mittag_leffler(-1.0, alpha))
        )
        for n in (400, 800)
    ]
    found = math.log2(errors[0] / errors[1])
    assert 1 + alpha - 0.01 < found < order + 0.01


def test_of_order_one_both_derivatives_are_the_slope():
    t = graded(2, 20, 2.0)
    y = torch.cos(t)
    slopes = y.diff() / t.diff()
    for derivative in (caputo, riemann_liouville):
        assert torch.allclose(derivative(y, t, 1.0), slopes, rtol=1e-14, atol=0)
        assert torch.allclose(derivative(y, t, 1 - 1e-9), slopes, atol=1e-6)


def test_derivatives_refuse_what_they_cannot_take():
    t = even(1, 4)
    for alpha in (0.0, 1.5):
        with pytest.raises(ValueError, match="at most 1"):
            caputo(t, t, alpha)
    with pytest.raises(ValueError, match="each of the 5 times, got 4"):
        riemann_liouville(t[1:], t, 0.5)
    with pytest.raises(TypeError, match="t must be a tensor"):
        riemann_liouville(t, t.tolist(), 0.5)
    with pytest.raises(TypeError, match="floating point"):
        caputo(torch.arange(5), t, 0.5)
    with pytest.raises(TypeError, match="floating point"):
        caputo(t, torch.arange(5), 0.5)
    with pytest.raises(ValueError, match="increasing"):
        caputo(t, torch.zeros(5), 0.5)
    with pytest.raises(ValueError, match="increasing"):
        caputo(t, t.flip(0), 0.5)
    with pytest.raises(ValueError, match="two times or more"):
        caputo(t[:1], t[:1], 0.5)


@pytest.mark.parametrize("b, times", [(0.0, (0.1, 1.0)), (1.0, (0.1, 1.0)), (0.5, (1.0, 0.1))])
def test_a_kernel_without_a_sum_of_exponentials_is_refused(b, times):
    with pytest.raises(ValueError, match="b must be between 0 and 1"):
        exponentials(b, *times)


@pytest.mark.parametrize("b", [0.05, 0.5, 0.95])
def test_a_kernel_is_a_sum_of_exponentials(b):
    rates, weights = exponentials(b, 1e-4, 20.0)
    t = torch.logspace(-4, math.log10(20), 60, dtype=f64)
    sums = (weights * torch.exp(-rates * t[:, None])).sum(1)
    assert (sums * t**b - 1).abs().max() < 1e-10
    assert len(rates) < 250


def test_without_its_past_gl_stops_too_high_and_l1_falls_to_nothing():
    t = even(20, 400)
    y = {
        method: fdeint(decay, ONE, t, 0.5, method=method, memory="short", length=1.0)[-1].item()
        for method in ("gl", "l1")
    }
    right = float(mittag_leffler(-(20**0.5), 0.5))
    assert y["gl"] > 2 * right and y["l1"] < 0.01 * right


def test_meshes():
    mesh = graded(3, 10, 2.0, start=1.0)
    assert (mesh[0], mesh[-1]) == (1, 3)
    assert all(b > a for a, b in itertools.pairwise(mesh.diff().tolist()))
    with pytest.raises(ValueError, match="power 1 or more"):
        graded(1, 10, 0.5)
    for wrong in ((1, 2.5, 1.0), (math.inf, 10, 1.0)):
        with pytest.raises(ValueError, match="steps must be 1 or more"):
            graded(*wrong)
    with pytest.raises(ValueError, match="smaller power"):
        graded(1, 10, 400.0)
    with pytest.raises(ValueError, match="start=0"):
        graded(2, 100, 10.0, start=1.0)
