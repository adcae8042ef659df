"""Between the stops of adaptive implicit methods: output, events, the interpolated adjoint."""

import math

import pytest
import torch

from node_tutorial import METHODS, odeint, odeint_event, odeint_interpolated, solve

ADAPTIVE = [m for m, kind in METHODS.items() if getattr(kind, "implicit", False) and kind.error]
f64 = {"dtype": torch.float64}


def follower(rate):
    """y' = -rate (y - cos t) - sin t: from y(0) = 1 the solution is cos t."""
    return lambda t, y: -rate * (y - torch.cos(t)) - torch.sin(t)


def robertson(t, y):
    a, b, c = y.unbind(-1)
    first = -0.04 * a + 1e4 * b * c
    last = 3e7 * b * b
    return torch.stack([first, -first - last, last], -1)


def van_der_pol(t, y):
    return torch.stack([y[1], 1000 * (1 - y[0] ** 2) * y[1] - y[0]])


@pytest.mark.parametrize("ends", [(0.0, 10.0), (10.0, 0.0)])
@pytest.mark.parametrize("rate", [1e3, 1e6])
@pytest.mark.parametrize("method", ADAPTIVE)
def test_where_steps_are_long_the_solution_is_within_the_tolerance(method, rate, ends):
    rate = rate if ends[1] > ends[0] else -rate
    y0 = torch.tensor([math.cos(ends[0])], **f64)
    t = torch.linspace(*ends, 201, **f64)
    for tol in (1e-3, 1e-5):
        solution = solve(
            follower(rate), y0, t[[0, -1]], method=method, rtol=tol, atol=tol, record=True
        )
        nfe = solution.stats.nfe
        bound = tol * (1 + t.cos().abs())
        found = (solution(t)[:, 0] - t.cos()).abs() / bound
        assert found.max() < 2
        assert solution.stats.nfe == nfe  # reading is no part of the cost
        if abs(rate) == 1e6:  # as the polynomials are
            solution._parts = None
            assert ((solution(t)[:, 0] - t.cos()).abs() / bound).max() > 50


@pytest.mark.parametrize("method", ["kvaerno5", "trbdf2"])
@pytest.mark.parametrize(
    ("f", "y0", "end", "tol", "atol"),
    [
        (robertson, (1.0, 0.0, 0.0), 1e5, 1e-5, 1e-11),
        (van_der_pol, (2.0, 0.0), 1500.0, 1e-4, 1e-4),
    ],
    ids=["Robertson", "van der Pol"],
)
def test_within_a_step_the_error_is_that_of_a_step(method, f, y0, end, tol, atol):
    y0 = torch.tensor(y0, **f64)
    t = torch.tensor([0.0, end], **f64)
    solution = solve(f, y0, t, method=method, rtol=tol, atol=atol, record=True)
    segments = solution._segments
    for begin, last, step in segments[:: max(1, len(segments) // 12)]:
        inside = begin + torch.tensor([0.0, 0.1, 0.4, 0.5, 0.9], **f64) * (last - begin)
        exact = odeint(f, step.y0, inside, method="kvaerno5", rtol=1e-9, atol=atol * 1e-4)[1:]
        scale = atol + tol * torch.maximum(step.y0.abs(), step.y1.abs())
        off = (solution(inside[1:]) - exact) / scale
        assert off.square().mean(1).sqrt().max() < 2


@pytest.mark.parametrize("method", ADAPTIVE)
def test_an_event_between_long_steps_is_found_within_the_tolerance(method):
    times = torch.tensor([0.0, 1.0], **f64)
    for tol in (1e-4, 1e-6):
        t, y = odeint(
            follower(1e6),
            torch.ones(1, **f64),
            times,
            method=method,
            rtol=tol,
            atol=tol,
            event_fn=lambda t, y: y[0] + 0.5,
        )
        assert abs(t.item() - 2 * math.pi / 3) < 4 * tol and abs(y[-1].item() + 0.5) < 1e-9


def test_the_time_of_an_event_between_long_steps_has_its_derivative():
    t0 = torch.zeros((), **f64)
    level = torch.tensor(-0.5, **f64, requires_grad=True)
    t, _ = odeint_event(
        follower(1e3),  # its slope, of a state with an error e, has an error of 1e3 e
        torch.ones(1, **f64),
        t0,
        method="kvaerno5",
        rtol=1e-8,
        atol=1e-8,
        event_fn=lambda t, y: y[0] - level,
    )
    (found,) = torch.autograd.grad(t, level)  # t = arccos(level)
    assert found.item() == pytest.approx(-1 / math.sqrt(1 - 0.25), rel=1e-3)


def test_the_interpolated_adjoint_reads_what_is_within_the_tolerance():
    k = torch.tensor(1.5, **f64, requires_grad=True)

    def f(t, y):
        return torch.stack([-1e5 * (y[0] - k * torch.cos(t)), y[0] ** 2])

    end = 6.0
    y = odeint_interpolated(
        f,
        torch.tensor([1.5, 0.0], **f64),
        torch.tensor([0.0, end], **f64),
        method="kvaerno5",
        rtol=1e-5,
        atol=1e-5,
        adjoint_params=(k,),
    )
    (found,) = torch.autograd.grad(y[-1, 1], k)  # of k^2 times the integral of cos^2
    assert found.item() == pytest.approx(2 * 1.5 * (end / 2 + math.sin(2 * end) / 4), rel=1e-3)


def test_what_is_read_between_the_steps_is_differentiable():
    scale = torch.tensor(2.0, **f64, requires_grad=True)
    t = torch.tensor([0.0, 10.0], **f64)
    solution = solve(
        lambda t, y: -1e4 * (y - scale * torch.cos(t)),
        torch.tensor([2.0], **f64),
        t,
        method="kvaerno5",
        rtol=1e-6,
        atol=1e-6,
        record=True,
    )
    s = torch.tensor([1.0, 4.4], **f64)
    with torch.no_grad():
        assert not solution(s).requires_grad  # and does not spoil what follows
    for i, at in enumerate(s.tolist()):
        (found,) = torch.autograd.grad(solution(s)[i, 0], scale, retain_graph=True)
        assert found.item() == pytest.approx(math.cos(at), abs=3e-4)
    with torch.no_grad():
        other = solve(follower(1e6), torch.ones(1, **f64), t, method="trbdf2", record=True)
    assert not other(s).requires_grad


def test_a_tuple_is_read_as_a_tuple():
    y0 = (torch.ones(2, **f64), torch.zeros((), **f64))
    solution = solve(
        lambda t, y: (follower(1e5)(t, y[0]), y[0].sum()),
        y0,
        torch.tensor([0.0, 3.0], **f64),
        method="kvaerno3",
        rtol=1e-5,
        atol=1e-5,
        record=True,
    )
    t = torch.linspace(0, 3, 31, **f64)
    a, b = solution(t)
    torch.testing.assert_close(a, t.cos()[:, None].expand(31, 2), rtol=0, atol=5e-5)
    torch.testing.assert_close(b, 2 * t.sin(), rtol=0, atol=5e-4)


def test_a_field_that_has_changed_since_is_refused():
    rate = torch.tensor(1.0, **f64)
    solution = solve(
        lambda t, y: -1e6 * (y - rate * torch.cos(t)),
        torch.ones(1, **f64),
        torch.tensor([0.0, 10.0], **f64),
        method="kvaerno5",
        rtol=1e-6,
        atol=1e-6,
        record=True,
    )
    rate.fill_(3.0)
    with pytest.raises(RuntimeError, match="func does not return what it did"):
        solution(5.0)
