"""Laws for every method, state and tolerance: linear systems, symmetries of time and scale."""

import itertools

import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from node_tutorial import METHODS, odeint, solve

ADAPTIVE = [name for name, method in METHODS.items() if getattr(method, "error", None)]
GENERAL = {name for name, method in METHODS.items() if not getattr(method, "separable", False)}
EXPLICIT = sorted(GENERAL - {"scipy_solver", "implicit_adams", "fixed_adams"})
f64 = {"dtype": torch.float64}

few = settings(max_examples=15, deadline=None, derandomize=True)
seeds = st.integers(0, 2**20)
shapes = st.lists(st.integers(1, 3), max_size=3).map(tuple)
real_dtypes = st.sampled_from([torch.float32, torch.float64])
dtypes = st.sampled_from([torch.float32, torch.float64, torch.complex64, torch.complex128])
signs = st.sampled_from([1, -1])


def times(seed, sign, n=5):
    """n times from somewhere, with unequal distances, over an interval of length up to 2."""
    gaps = torch.rand(n, generator=torch.Generator().manual_seed(seed), **f64) + 0.1
    return sign * gaps.cumsum(0) / n * 2


def random(seed, *shape, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def steps_for(t):
    """Options that make any method take four equal steps an interval."""
    pieces = [torch.linspace(a, b, 5, **f64)[1:] for a, b in itertools.pairwise(t.tolist())]
    offsets = torch.cat([t[:1], *pieces]) - t[0]
    return {"grid_constructor": lambda f, y0, s: torch.cat([(s[0] + offsets)[:-1], s[-1:]])}


@few
@given(
    seed=seeds,
    shape=shapes,
    dtype=dtypes,
    sign=signs,
    method=st.sampled_from(ADAPTIVE),
    digits=st.integers(3, 5),
)
def test_linear_systems_are_solved_within_the_tolerance(seed, shape, dtype, sign, method, digits):
    assume(not (dtype.is_complex and METHODS[method].implicit))
    rates = random(seed, *shape, dtype=dtype) / 2
    y0 = 1 + random(seed + 1, *shape, dtype=dtype) ** 2
    t = times(seed, sign)
    tol = 10.0**-digits
    y = odeint(lambda t, y: rates * y, y0, t, method=method, rtol=tol, atol=tol)
    elapsed = (t - t[0]).reshape(-1, *[1] * len(shape))
    exact = y0.to(torch.complex128) * torch.exp(rates.to(torch.complex128) * elapsed)
    slack = 3000 if method == "fehlberg2" else 100  # its error estimate is small
    assert y.dtype == dtype and y.shape == (5, *shape)
    assert (y - exact).abs().max() < slack * tol * exact.abs().max()


@few
@given(seed=seeds, sign=signs, method=st.sampled_from(ADAPTIVE))
def test_going_back_returns_to_the_start(seed, sign, method):
    y0 = random(seed, 3)
    t = times(seed, sign)
    tol = 1e-5 if METHODS[method].order < 3 else 1e-8

    def field(t, y):
        return torch.sin(y.roll(1) * 2) * torch.cos(t)

    there = odeint(field, y0, t, method=method, rtol=tol, atol=tol)
    back = odeint(field, there[-1], t.flip(0), method=method, rtol=tol, atol=tol)
    torch.testing.assert_close(back.flip(0), there, rtol=0, atol=3000 * tol)


@few
@given(
    seed=seeds,
    sign=signs,
    method=st.sampled_from(EXPLICIT),
    shift=st.sampled_from([-8.0, 0.5, 1024.0]),
)
def test_shifting_time_shifts_the_solution(seed, sign, method, shift):
    y0 = random(seed, 3)
    t = times(seed, sign)
    t = (t * 2**20).round() / 2**20  # so that the shift is exact

    def field(t, y):
        return torch.sin(y.roll(1)) * torch.cos(t)

    options = steps_for(t)
    original = odeint(field, y0, t, method=method, options=options)
    shifted = odeint(
        lambda s, y: field(s - shift, y), y0, t + shift, method=method, options=options
    )
    torch.testing.assert_close(shifted, original, rtol=0, atol=1e-9)


@few
@given(
    seed=seeds,
    sign=signs,
    method=st.sampled_from(EXPLICIT),
    shapes=st.lists(shapes, min_size=1, max_size=3),
)
def test_a_tuple_is_its_parts_in_one_tensor(seed, sign, method, shapes):
    t = times(seed, sign)
    parts = tuple(random(seed + i, *shape) for i, shape in enumerate(shapes))
    options = steps_for(t)

    def mixed(t, y):
        return torch.sin(y.roll(1)) * torch.cos(t)

    def field(t, parts):
        flat = mixed(t, torch.cat([p.reshape(-1) for p in parts]))
        return tuple(
            f.reshape(p.shape) for f, p in zip(flat.split([p.numel() for p in parts]), parts)
        )

    together = odeint(field, parts, t, method=method, options=options)
    flat = odeint(
        mixed, torch.cat([p.reshape(-1) for p in parts]), t, method=method, options=options
    )
    torch.testing.assert_close(
        torch.cat([p.reshape(5, -1) for p in together], 1), flat, rtol=0, atol=1e-12
    )


@few
@given(seed=seeds, method=st.sampled_from(ADAPTIVE), power=st.integers(-6, 6))
def test_scaling_the_state_and_atol_scales_the_solution(seed, method, power):
    """By powers of two all roundings are the same, so that even the steps are."""
    y0 = random(seed, 4)
    t = times(seed, 1)

    def run(scale):
        return solve(
            lambda t, y: scale * torch.sin(y / scale) * torch.cos(t),
            scale * y0,
            t,
            method=method,
            rtol=1e-4,
            atol=scale * 1e-5,
            options={"first_step": 0.01},
        )

    small, large = run(1.0), run(2.0**power)
    assert torch.equal(large.y, 2.0**power * small.y) and large.stats == small.stats


@few
@given(seed=seeds, method=st.sampled_from(ADAPTIVE), sign=signs)
def test_scaling_time_changes_nothing(seed, method, sign):
    y0 = random(seed, 4)
    t = times(seed, sign)

    def run(scale):
        return odeint(
            lambda t, y: torch.sin(y.roll(1) * 2) * torch.cos(t / scale) / scale,
            y0,
            scale * t,
            method=method,
            rtol=1e-4,
            atol=1e-5,
            options={"first_step": 0.01 * scale},
        )

    torch.testing.assert_close(run(4.0), run(1.0), rtol=0, atol=1e-9)


@few
@given(seed=seeds, method=st.sampled_from(EXPLICIT), degree=st.integers(0, 3), dtype=real_dtypes)
def test_polynomials_of_a_degree_up_to_the_order_are_integrated_exactly(
    seed, method, degree, dtype
):
    order = 4 if method == "explicit_adams" else METHODS[method].order
    degree = min(degree, order)
    t = times(seed, 1)
    y = odeint(
        lambda t, y: degree * t ** max(degree - 1, 0) + 0 * y,
        torch.zeros(2, dtype=dtype),
        t,
        method=method,
        options=steps_for(t),
    )
    exact = (t**degree - t[0] ** degree)[:, None].expand(5, 2)
    torch.testing.assert_close(
        y, exact.to(dtype), rtol=0, atol=1e-5 if dtype == torch.float32 else 1e-12
    )


@few
@given(seed=seeds, method=st.sampled_from([m for m in ADAPTIVE if not METHODS[m].implicit]))
def test_more_output_times_change_no_step_of_an_explicit_method(seed, method):
    y0 = random(seed, 4)
    few_times = torch.tensor([0.0, 1.0], **f64)
    many_times = torch.linspace(0, 1, 23, **f64)
    runs = [
        solve(lambda t, y: torch.sin(3 * y) * t, y0, t, method=method, rtol=1e-4, atol=1e-4)
        for t in (few_times, many_times)
    ]
    assert runs[0].stats == runs[1].stats and torch.equal(runs[0].y[-1], runs[1].y[-1])
