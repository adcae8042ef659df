"""Stochastic equations: a path of noise that can be asked again, orders, readings, refusals."""

import math

import pytest
import torch

from node_tutorial.data.stochastic import gbm, gbm_mean, gbm_median, gbm_variance, ou_variance
from node_tutorial.solvers.brownian import BrownianPath
from node_tutorial.solvers.sdeint import SDE_METHODS, noise_drift, read_as, sdeint

f64 = torch.float64
MU, SIGMA = 0.5, 0.8


def times(n, end=1.0):
    return torch.linspace(0, end, n + 1, dtype=f64)


def growth(t, x):
    return MU * x


def spread(t, x):
    return SIGMA * x


# -- the noise -------------------------------------------------------------------------------------


def test_the_same_noise_at_every_step_size_and_in_every_order():
    one = BrownianPath(0, 2, (3,), seed=1)
    other = BrownianPath(0, 2, (3,), seed=1)
    fine = one(times(64, 2.0))
    coarse = other(times(8, 2.0))
    assert torch.equal(fine[::8], coarse)
    assert torch.equal(other(times(64, 2.0)), fine)
    late = other(torch.tensor([1.7, 0.123], dtype=f64))
    assert torch.equal(late.flip(0), one(torch.tensor([0.123, 1.7], dtype=f64)))
    assert torch.equal(one(1.7), late[0]) and torch.equal(one(0.0), torch.zeros(3, dtype=f64))


def test_increments_are_independent_and_normal():
    w = BrownianPath(-1, 1, (40_000,), seed=2)(torch.linspace(-1, 1, 9, dtype=f64))
    steps = w.diff(dim=0)
    assert (steps.var(1) / 0.25 - 1).abs().max() < 0.04
    assert (torch.corrcoef(steps) - torch.eye(8)).abs().max() < 0.025
    kurtosis = (steps / 0.5).pow(4).mean(1)
    assert (kurtosis - 3).abs().max() < 0.3


def test_a_time_that_is_no_dyadic_part_has_its_variance_too():
    w = BrownianPath(0, 1, (40_000,), seed=3)
    assert float(w(0.3).var()) == pytest.approx(0.3, rel=0.04)
    assert float((w(0.3) * w(0.7)).mean()) == pytest.approx(0.3, rel=0.06)


def test_seeds_shapes_and_dtypes():
    single = BrownianPath(0, 1, dtype=torch.float32)
    assert single(0.5).shape == () and single(0.5).dtype == torch.float32
    assert BrownianPath(0, 1, (2, 3))(times(4)).shape == (5, 2, 3)
    pair = torch.stack([BrownianPath(0, 1, (20_000,), seed=seed)(1.0) for seed in (0, 1)])
    assert abs(float(torch.corrcoef(pair)[0, 1])) < 0.03


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"t0": 1.0, "t1": 1.0}, "t1 must be after t0"),
        ({"t0": 0.0, "t1": math.inf}, "both finite"),
        ({"t0": 0.0, "t1": 1.0, "seed": -1}, "seed must be an integer of 0 or more, got -1"),
        ({"t0": 0.0, "t1": 1.0, "seed": 0.5}, "seed must be an integer"),
    ],
)
def test_noise_that_cannot_be_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        BrownianPath(**arguments)


def test_noise_is_known_between_its_ends_only():
    with pytest.raises(ValueError, match=r"t must be from 0 to 1, got 1\.5"):
        BrownianPath(0, 1)(1.5)


# -- steps -----------------------------------------------------------------------------------------

NOISE = BrownianPath(0, 1, (4000,), seed=4)


def errors(method, n):
    x = sdeint(growth, spread, torch.ones(4000, dtype=f64), times(n), NOISE, method=method)[-1]
    truth = gbm(times(n), NOISE(times(n)), MU, SIGMA, SDE_METHODS[method].reading)[-1]
    return float((x - truth).abs().mean()), float((x - truth).mean())


@pytest.mark.parametrize("method", SDE_METHODS)
def test_the_strong_order_is_the_one_it_says(method):
    slope = math.log2(errors(method, 16)[0] / errors(method, 128)[0]) / 3
    assert slope == pytest.approx(SDE_METHODS[method].strong, abs=0.08)


def test_the_weak_error_of_euler_and_maruyama_is_that_of_its_mean():
    for n, bias in ((10, -0.0198266), (20, -0.0101048), (40, -0.0051018)):
        assert (1 + MU / n) ** n - math.exp(MU) == pytest.approx(bias, abs=1e-7)
    for n in (8, 16):
        exact = (1 + MU / n) ** n - math.exp(MU)
        assert errors("euler_maruyama", n)[1] == pytest.approx(exact, abs=0.009)
        assert errors("milstein", n)[1] == pytest.approx(exact, abs=0.006)


def test_each_method_has_the_mean_of_its_reading():
    w = BrownianPath(0, 1, (40_000,), seed=5)
    for method, (_, reading, _, _) in SDE_METHODS.items():
        x = sdeint(growth, spread, torch.ones(40_000, dtype=f64), times(64), w, method=method)
        assert float(x[-1].mean()) == pytest.approx(gbm_mean(1, MU, SIGMA, reading), rel=0.02)
        assert float(x[-1].median()) == pytest.approx(gbm_median(1, MU, SIGMA, reading), rel=0.02)


@pytest.mark.parametrize("meant", [0.0, 0.5, 1.0])
def test_a_turned_drift_means_the_same_in_every_method(meant):
    truth = gbm(times(256), NOISE(times(256)), MU, SIGMA, meant)[-1]
    for method, (_, reading, _, _) in SDE_METHODS.items():
        drift = read_as(growth, spread, meant, reading)
        x = sdeint(drift, spread, torch.ones(4000, dtype=f64), times(256), NOISE, method=method)
        assert float((x[-1] - truth).abs().mean() / truth.mean()) < 0.03


def test_with_noise_that_does_not_depend_on_x_all_readings_agree():
    def still(t, x):
        return torch.full_like(x, 0.5)

    def pull(t, x):
        return -x

    x0 = torch.ones(4000, dtype=f64)
    em, milstein = (
        sdeint(pull, still, x0, times(32), NOISE, method=method)
        for method in ("euler_maruyama", "milstein")
    )
    assert torch.allclose(em, milstein)
    assert torch.equal(read_as(pull, still, 0.5, 0.0)(times(1)[0], x0), -x0)


@pytest.mark.parametrize("h, variance", [(0.1, 0.131579), (0.5, 1 / 6), (1.0, 0.25), (1.9, 2.5)])
def test_the_stationary_variance_of_euler_and_maruyama(h, variance):
    n = 400
    noise = BrownianPath(0, n * h, (4000,), seed=6)
    x = sdeint(
        lambda t, x: -x,
        lambda t, x: torch.full_like(x, 0.5),
        torch.zeros(4000, dtype=f64),
        times(n, n * h),
        noise,
    )
    assert float(x[n // 2 :].var()) == pytest.approx(variance, rel=0.03)


@pytest.mark.parametrize("method", SDE_METHODS)
def test_gradients_pass_through_every_method(method):
    w = BrownianPath(0, 1, (3,), seed=7)(times(4))

    def end(x0, sigma):
        def diffusion(t, x):
            return sigma * x.cos()

        return sdeint(lambda t, x: -x.sin(), diffusion, x0, times(4), lambda t: w, method=method)[
            -1
        ]

    x0 = torch.tensor([0.3, 1.0, 2.0], dtype=f64, requires_grad=True)
    sigma = torch.tensor(0.7, dtype=f64, requires_grad=True)
    assert torch.autograd.gradcheck(end, (x0, sigma))
    assert end(x0.detach(), sigma).requires_grad
    assert not end(x0.detach(), sigma.detach()).requires_grad
    with torch.no_grad():
        free = end(x0, sigma)
    assert not free.requires_grad and torch.allclose(free, end(x0, sigma))


def test_g_times_its_slope():
    x = torch.tensor([0.3, 2.0], dtype=f64)
    assert torch.allclose(noise_drift(lambda t, x: x**2, times(1)[0], x), 2 * x**3)
    assert torch.equal(
        noise_drift(lambda t, x: torch.ones_like(x), times(1)[0], x), torch.zeros(2, dtype=f64)
    )


@pytest.mark.parametrize(
    "change, message",
    [
        ({"method": "euler"}, "method must be one of euler_maruyama, milstein, heun, got 'euler'"),
        ({"t": torch.tensor([0.0, 1.0, 1.0])}, "times that increase"),
        ({"t": torch.tensor([0.0])}, "at least two times"),
        ({"x0": torch.ones(2)}, r"noise must give W \(5, 2\), as x0 at each time, got \(5, 4000\)"),
    ],
)
def test_a_bad_question_is_refused_by_name(change, message):
    asked = {"t": times(4), "x0": torch.ones(4000, dtype=f64), "method": "heun"} | change
    with pytest.raises(ValueError, match=message):
        sdeint(growth, spread, asked["x0"], asked["t"], NOISE, method=asked["method"])


def test_a_reading_is_from_zero_to_one():
    with pytest.raises(ValueError, match="wanted must be from 0, Ito's, to 1, got 2"):
        read_as(growth, spread, 0.0, 2)


def test_the_exact_values():
    assert gbm_mean(1, MU, SIGMA) == pytest.approx(1.648721271)
    assert gbm_variance(1, MU, SIGMA) == pytest.approx(2.436887684)
    assert gbm_median(1, MU, SIGMA) == pytest.approx(1.197217363)
    assert gbm_mean(1, MU, SIGMA, 0.5) == pytest.approx(2.270499838)
    assert ou_variance(50.0, 1.0, 0.5) == pytest.approx(0.125)


def test_integers_are_no_state_to_start_from():
    w = BrownianPath(0, 1, (5,))
    with pytest.raises(ValueError, match=r"x0 must be floats, .* got torch\.int64"):
        sdeint(growth, spread, torch.ones(5, dtype=torch.int64), times(8), w)
    single = sdeint(growth, spread, torch.ones(5), times(8), w)[-1]
    double = sdeint(growth, spread, torch.ones(5, dtype=f64), times(8), w)[-1]
    assert torch.allclose(single.double(), double, atol=1e-5) and len(double.unique()) == 5


@pytest.mark.parametrize("t0, t1", [(0.0, 0.3), (0.0, 1.1), (100.0, 100.3), (-0.7, 0.0)])
def test_times_of_single_precision_end_at_the_end(t0, t1):
    w = BrownianPath(t0, t1, (3,), seed=1)
    t = torch.linspace(t0, t1, 4)
    assert torch.allclose(w(t)[-1], w(t1), atol=1e-6) and torch.allclose(w(t[0]), w(t0), atol=1e-4)
    later = t1 + 0.01 * (t1 - t0)
    for outside in (later, torch.tensor(later), t0 - 0.01 * (t1 - t0)):
        with pytest.raises(ValueError, match="t must be from"):
            w(outside)


def test_steps_have_their_variance_down_to_what_the_docstring_says():
    w = BrownianPath(0, 1, (64,), seed=8)
    near = 0.3 + torch.linspace(0, 64e-4, 65, dtype=f64)  # steps of 1e-4 of the whole
    assert float(w(near).diff(dim=0).square().mean() / 1e-4) == pytest.approx(1, rel=0.07)
    within = 0.3 + torch.linspace(0, 1e-7, 5, dtype=f64)  # within one straight line
    assert float(w(within).diff(dim=0).square().mean() / 2.5e-8) < 0.3
