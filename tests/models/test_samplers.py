"""Samplers with exact denoisers: recursions in closed form, orders, marginals, counts, refusals."""

import math

import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import ks_2samp

from node_tutorial.data import gaussian_mixture
from node_tutorial.models import PATHS
from node_tutorial.models.gaussian_paths import Denoised, constant, cosine, edm, linear, straight
from node_tutorial.models.samplers import (
    SAMPLERS,
    ancestral,
    ddim,
    dpm_solver,
    exact_denoiser,
    forward_sde,
    geometric,
    heun,
    karras,
    langevin,
    predictor_corrector,
    probability_flow,
    reverse_sde,
    to_data,
    uniform,
    velocity_field,
)

f64 = torch.float64
STD = 0.3
NARROW = gaussian_mixture([1.0], torch.zeros(1), STD)
TWO = gaussian_mixture([0.3, 0.7], [-1.0, 1.5], [0.2, 0.4])
LEVEL = 1e-3  # of the two-sample tests: what chance alone would do once in a thousand


def down_to(end, steps):
    """Even times from 1 to 0, of which the last is replaced."""
    times = torch.linspace(1, 0, steps + 1, dtype=f64)
    times[-1] = end
    return times


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(n, seed=0):
    return torch.randn(n, 1, dtype=f64, generator=seeded(seed))


def one(value=1.0):
    return torch.full((1, 1), value, dtype=f64)


# -- values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "euler", "two", "deterministic", "random", "sde"),
    [
        (10, 0.5211, -0.0186, 0.1037, 0.1020, 0.7162),
        (20, 0.4200, 0.2161, 0.1449, 0.1411, 0.5299),
        (100, 0.3250, 0.2978, 0.2332, 0.2222, 0.3448),
    ],
)
def test_end_stds_of_a_narrow_gaussian(steps, euler, two, deterministic, random, sde):
    """From N(0, 1) with N even steps; exact is 0.300924. DDIM is too narrow, Euler too wide."""
    path = constant()
    denoise = exact_denoiser(NARROW, path)
    to_zero, nearly = down_to(0, steps), down_to(1e-13, steps)
    # Linear maps: what becomes of 1 is the standard deviation.
    assert float(ddim(denoise, path, one(), to_zero).x) == pytest.approx(deterministic, abs=5.1e-5)
    for found in (
        probability_flow(denoise, path, one(), nearly, method="euler"),
        reverse_sde(denoise, path, one(), to_zero, noise=0),
    ):
        assert float(found.x) == pytest.approx(euler, abs=5.1e-5)
    found = probability_flow(denoise, path, one(), nearly, method="heun2")
    assert float(found.x) == pytest.approx(two, abs=5.1e-5)
    # Random: the standard error of a std is std / sqrt(2 n).
    n = 100_000
    for sampler, exact in ((ancestral, random), (reverse_sde, sde)):
        std = float(sampler(denoise, path, noise(n), to_zero, generator=seeded(1)).x.std())
        assert std == pytest.approx(exact, abs=4 * exact / math.sqrt(2 * n))


def test_a_wrong_start_is_kept_by_the_ode_and_forgotten_by_the_sde():
    path = constant()
    denoise = exact_denoiser(NARROW, path)
    end = 1e-8
    for start, kept, forgotten in ((0.5, 0.150462, 0.299931), (2.0, 0.601848, 0.300277)):
        flow = probability_flow(denoise, path, one(start), down_to(end, 1), rtol=1e-9, atol=1e-10)
        assert float(flow.x) == pytest.approx(kept, abs=1e-5)
        n, steps = 20_000, 400
        times = to_data(geometric(path, steps))
        x = reverse_sde(denoise, path, start * noise(n), times, generator=seeded(2)).x
        assert float(x.std()) == pytest.approx(forgotten, abs=0.01)  # error of steps and of n


def test_contraction_of_the_reverse_sde_and_of_the_flow():
    """Two points under the same noise: their distance shrinks by a known factor."""
    path = constant()
    denoise = exact_denoiser(NARROW, path)
    pair = torch.tensor([[0.0], [1.0]], dtype=f64)
    flow = probability_flow(denoise, path, pair, down_to(1e-9, 1), rtol=1e-9, atol=1e-11).x
    assert float(flow.diff(dim=0)) == pytest.approx(0.300923981, abs=1e-6)
    apart = []
    for start in (0.0, 1.0):
        times = down_to(0, 4000)
        x = reverse_sde(denoise, path, one(start), times, generator=seeded()).x
        apart.append(float(x))
    assert apart[1] - apart[0] == pytest.approx(0.007433227, rel=0.02)  # first order in the step


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (-2.0, -1.3013317714),
        (-0.4, 0.7592303669),
        (0.0, 1.2310129567),
        (1.0, 1.7709306609),
    ],
)
def test_the_flow_keeps_the_quantile(start, end):
    path = constant()
    denoise = exact_denoiser(TWO, path)
    last = 1e-10
    x = probability_flow(denoise, path, one(start), down_to(last, 1), rtol=1e-11, atol=1e-12).x
    assert float(x) == pytest.approx(end, abs=1e-7)
    at = path.at(torch.tensor(1.0, dtype=f64))
    noised = TWO.noised(at.alpha, at.sigma)
    assert float(noised.cdf(one(start))) == pytest.approx(float(TWO.cdf(x)), abs=1e-7)


def test_the_watershed_between_the_modes():
    """The start below which 0.3 lies: that is the weight of the left mode."""
    path = constant()
    at = path.at(torch.tensor(1.0, dtype=f64))
    noised = TWO.noised(at.alpha, at.sigma)
    found = brentq(lambda x: float(noised.cdf(one(x))) - 0.3, -2, 2)
    assert found == pytest.approx(-0.463538771, abs=1e-8)
    denoise = exact_denoiser(TWO, path)
    for side in (-1, 1):
        start = one(found + 0.01 * side)
        x = probability_flow(denoise, path, start, down_to(1e-10, 1), rtol=1e-8, atol=1e-9).x
        assert float(TWO.cdf(x) - 0.3) * side > 0


def test_ddim_is_euler_in_sigma_over_alpha():
    path = constant()
    denoise = exact_denoiser(TWO, path)
    times = down_to(0, 4)
    at = path.at(times)
    scaled = one(0.7) / at.alpha[0]
    ratio = at.sigma / at.alpha
    for k in range(4):
        eps = denoise(times[k], scaled * at.alpha[k]).eps
        scaled = scaled + (ratio[k + 1] - ratio[k]) * eps
    found = float(ddim(denoise, path, one(0.7), times).x)
    assert found == pytest.approx(1.342187612177558, abs=1e-14)
    assert found == pytest.approx(float(scaled), abs=1e-14)
    exact = probability_flow(denoise, path, one(0.7), down_to(1e-10, 1), rtol=1e-11, atol=1e-12)
    assert float(exact.x) == pytest.approx(1.6283265470, abs=1e-7)


@pytest.mark.parametrize(
    ("grid", "euler", "second"),
    [("linear", 0.020, 0.020), ("geometric", 0.257, 0.317), ("karras", 0.251, 0.319)],
)
def test_the_grid_decides_more_than_the_method(grid, euler, second):
    """Eighteen steps from sigma = 80 to 0, the last one from 0.002 but for the linear grid."""
    path = edm()
    times = {
        "linear": torch.linspace(1, 0, 19, dtype=f64),
        "geometric": to_data(geometric(path, 17)),
        "karras": to_data(karras(path, 17)),
    }[grid]
    denoise = exact_denoiser(NARROW, path)
    for sampler, std, calls in ((ddim, euler, 18), (heun, second, 35)):
        found = sampler(denoise, path, one(80.0), times)
        assert float(found.x) == pytest.approx(std, abs=5.1e-4)
        assert found.nfe == calls


# -- orders ----------------------------------------------------------------------------------------


def error_of(sampler, path, grid, steps, **options):
    """The rms distance to the tight solution of 64 points, from the noise to path.first."""
    denoise = exact_denoiser(TWO, path)
    x = torch.linspace(-2, 2, 64, dtype=f64)[:, None]
    times = grid(path, steps)
    tight = probability_flow(denoise, path, x, times[[0, -1]], rtol=1e-10, atol=1e-11).x
    return float((sampler(denoise, path, x, times, **options).x - tight).square().mean().sqrt())


@pytest.mark.parametrize(
    ("sampler", "options", "order"),
    [
        (ddim, {}, 1),
        (reverse_sde, {"noise": 0}, 1),
        (heun, {}, 2),
        (dpm_solver, {}, 2),
        (probability_flow, {"method": "euler"}, 1),
        (probability_flow, {"method": "heun2"}, 2),
        (probability_flow, {"method": "rk4"}, 4),
    ],
)
@pytest.mark.parametrize("path", [linear()._replace(first=0.05), edm()._replace(first=0.002)])
def test_the_error_falls_with_the_order(sampler, options, order, path):
    steps = (64, 128) if order == 4 else (160, 320)
    coarse, fine = (error_of(sampler, path, geometric, n, **options) for n in steps)
    assert math.log2(coarse / fine) == pytest.approx(order, abs=0.35)


def test_the_error_of_euler_and_maruyama_falls_with_order_one_in_distribution():
    """The end std of the narrow Gaussian, from the recursion of the variance."""
    path = constant()
    exact = STD
    errors = []
    for steps in (200, 400):
        times = down_to(0, steps)
        at = path.at(times)
        variance = 1.0
        for k in range(steps):
            h = float(times[k] - times[k + 1])
            v = float(at.alpha[k] ** 2 * STD**2 + at.sigma[k] ** 2)
            factor = 1 - h * (-5 / 2 + 5 / v)
            variance = factor**2 * variance + 5 * h
        errors.append(math.sqrt(variance) - exact)
    assert math.log2(errors[0] / errors[1]) == pytest.approx(1, abs=0.15)
    x = reverse_sde(
        exact_denoiser(NARROW, path), path, noise(20_000), down_to(0, 200), generator=seeded(3)
    ).x
    assert float(x.std()) - exact == pytest.approx(errors[0], abs=0.006)


def test_dpm_solver_is_ddim_in_its_first_step_and_exact_for_a_constant_guess():
    path = cosine()
    guess = one(0.4)

    def point(t, x):
        at = path.at(t.double())
        return Denoised(guess.expand_as(x), (x - at.alpha * guess) / at.sigma)

    times = to_data(uniform(path, 3))
    for sampler in (ddim, dpm_solver, heun):
        assert float(sampler(point, path, one(1.3), times).x) == pytest.approx(0.4, abs=1e-12)
    denoise = exact_denoiser(TWO, path)
    first = uniform(path, 3)[:2]
    a, b = ddim(denoise, path, one(1.3), first).x, dpm_solver(denoise, path, one(1.3), first).x
    assert float(a) == pytest.approx(float(b), abs=1e-13)


def test_on_the_straight_path_the_flow_by_euler_is_ddim():
    """There alpha' x0 + sigma' eps is a straight line for a fixed guess."""
    path = straight()
    denoise = exact_denoiser(TWO, path)
    times = uniform(path, 5)
    euler = probability_flow(denoise, path, one(0.7), times, method="euler").x
    assert float(ddim(denoise, path, one(0.7), times).x) == pytest.approx(float(euler), abs=1e-12)


# -- distributions ---------------------------------------------------------------------------------

N = 4000


@pytest.mark.parametrize("t", [0.1, 0.3, 0.6])
@pytest.mark.parametrize("name", ["constant", "cosine"])
def test_all_samplers_and_the_forward_sde_have_the_same_marginals(name, t):
    """Two-sample tests of Kolmogorov and Smirnov against draws of p_t, each at the level LEVEL."""
    path = PATHS[name]()
    denoise = exact_denoiser(TWO, path)
    at = path.at(torch.tensor(t, dtype=f64))
    drawn = TWO.noised(at.alpha, at.sigma).sample(N, seeded(1)).double()
    start = path.at(torch.tensor(path.last, dtype=f64))
    x = TWO.noised(start.alpha, start.sigma).sample(N, seeded(2)).double()
    data = TWO.sample(N, seeded(3)).double()
    stop = path._replace(first=t)
    times = geometric(stop, 150)
    found = {
        "forward": forward_sde(path, data, torch.tensor([0.0, t / 2, t]), generator=seeded(4))[-1],
        "flow": probability_flow(denoise, path, x, times[[0, -1]]).x,
        "reverse": reverse_sde(denoise, path, x, times, generator=seeded(5)).x,
        "louder": reverse_sde(denoise, path, x, times, noise=1.5, generator=seeded(5)).x,
        "ddim": ddim(denoise, path, x, times, eta=0.5, generator=seeded(6)).x,
        "ancestral": ancestral(denoise, path, x, times, generator=seeded(7)).x,
        "corrected": predictor_corrector(denoise, path, x, times, generator=seeded(8)).x,
        "heun": heun(denoise, path, x, times, churn=30.0, generator=seeded(9)).x,
        "dpm": dpm_solver(denoise, path, x, times).x,
    }
    for which, points in found.items():
        p = ks_2samp(points[:, 0].numpy(), drawn[:, 0].numpy()).pvalue
        assert p > LEVEL, (which, p)


def test_the_test_of_marginals_sees_a_sampler_that_is_wrong():
    """g^2 score in the ODE, without the half: refused at the level."""
    path = constant()
    denoise = exact_denoiser(TWO, path)
    x = noise(N)
    drawn = TWO.noised(*path.at(torch.tensor(0.1, dtype=f64))[:2]).sample(N, seeded(1)).double()
    times = geometric(path._replace(first=0.1), 150)

    def doubled(t, x):
        parts = denoise(t, x)
        at = path.at(t.double())
        eps = parts.eps + at.noise_square / (2 * at.sigma) * parts.eps / at.sigma_slope
        return Denoised(parts.x0, eps)

    wrong = probability_flow(doubled, path, x, times[[0, -1]]).x
    assert ks_2samp(wrong[:, 0].numpy(), drawn[:, 0].numpy()).pvalue < 1e-6


def test_the_forward_sde_has_the_paths_covariance_over_time():
    """Cov(x_s, x_t) = (alpha_s / alpha_t) Var x_t, for s later than t."""
    path = linear()
    x0 = NARROW.sample(50_000, seeded()).double()
    times = torch.tensor([0.0, 0.2, 0.4], dtype=f64)
    states = forward_sde(path, x0, times, generator=seeded(1))
    at = path.at(times)
    variance = at.alpha**2 * STD**2 + at.sigma**2
    assert torch.allclose(states.var(1)[:, 0], variance, rtol=0.03)
    both = float((states[1] * states[2]).mean())
    assert both == pytest.approx(float(at.alpha[2] / at.alpha[1] * variance[1]), rel=0.05)


def test_langevin_steps_bring_a_wrong_start_to_the_density():
    path = constant()
    denoise = exact_denoiser(TWO, path)
    t = 0.5
    drawn = TWO.noised(*path.at(torch.tensor(t, dtype=f64))[:2]).sample(N, seeded(1)).double()
    before = 0.3 * noise(N)
    after = langevin(denoise, path, before, t, steps=300, snr=0.1, generator=seeded(2))
    assert ks_2samp(before[:, 0].numpy(), drawn[:, 0].numpy()).pvalue < 1e-6
    assert ks_2samp(after[:, 0].numpy(), drawn[:, 0].numpy()).pvalue > LEVEL


def test_corrections_mend_coarse_steps():
    path = constant()
    denoise = exact_denoiser(NARROW, path)
    times = to_data(geometric(path, 12))
    plain = reverse_sde(denoise, path, noise(N), times, generator=seeded()).x.std()
    mended = predictor_corrector(
        denoise, path, noise(N), times, corrections=4, snr=0.3, generator=seeded()
    )
    assert abs(float(mended.x.std()) - STD) < abs(float(plain) - STD) / 2


def test_the_larger_variance_of_ddpm_widens_coarse_samples():
    path = constant()
    denoise = exact_denoiser(NARROW, path)
    stds = [
        float(
            ancestral(
                denoise, path, noise(N), down_to(0, 10), variance=which, generator=seeded()
            ).x.std()
        )
        for which in ("posterior", "forward")
    ]
    assert stds[1] > 1.15 * stds[0]


# -- counts, seeds, shapes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sampler", "calls"),
    [
        (ddim, 12),
        (ancestral, 12),
        (reverse_sde, 12),
        (dpm_solver, 12),
        (heun, 23),
        (predictor_corrector, 23),
    ],
)
def test_nfe_is_the_number_of_calls(sampler, calls):
    path = cosine()
    exact = exact_denoiser(TWO, path)
    made = []

    def denoise(t, x):
        made.append(float(t))
        return exact(t, x)

    found = sampler(denoise, path, noise(3), to_data(uniform(path, 11)))
    assert found.nfe == calls == len(made)


def test_a_denoiser_says_how_many_evaluations_it_makes():
    class Twice:
        evaluations = 2

        def __call__(self, t, x):
            return exact_denoiser(TWO, cosine())(t, x)

    assert ddim(Twice(), cosine(), noise(3), uniform(cosine(), 7)).nfe == 14


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_keeps_dtype_shape_and_states_and_follows_its_generator(name):
    path = cosine()
    mixture = gaussian_mixture(torch.ones(3), torch.eye(3, 4), 0.1)
    denoise = exact_denoiser(mixture, path)
    x = torch.randn(5, 1, 2, 2, generator=seeded())
    times = uniform(path, 9)

    def run():
        return SAMPLERS[name](denoise, path, x, times, generator=seeded(4), keep=True)

    found = run()
    assert found.x.shape == x.shape and found.x.dtype == torch.float32
    assert found.states.shape == (10, 5, 1, 2, 2)
    assert torch.equal(found.states[-1], found.x) and torch.equal(found.states[0], x)
    state = torch.random.get_rng_state()
    assert torch.equal(run().x, found.x)
    assert torch.equal(state, torch.random.get_rng_state())  # torch's own generator is left alone


def test_the_velocity_field_is_drift_and_half_the_score():
    path = linear()
    denoise = exact_denoiser(TWO, path)
    t = torch.tensor(0.4, dtype=f64)
    at = path.at(t)
    x = noise(6)
    score = TWO.noised(at.alpha, at.sigma).score(x)
    expected = at.drift * x - at.noise_square * score / 2
    assert torch.allclose(velocity_field(denoise, path)(t, x), expected, atol=1e-12)


# -- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": torch.tensor([1.0, 0.5, 0.7])}, "times must decrease strictly"),
        ({"times": torch.tensor([0.1, 0.5, 0.7])}, "times must decrease strictly"),
        ({"times": torch.tensor([1.0, 1.0])}, "times must decrease strictly"),
        ({"times": torch.tensor([1.0, -0.1])}, r"times must be in \[0, 1\]"),
        ({"times": torch.tensor([1.5, 0.1])}, r"times must be in \[0, 1\]"),
        ({"times": torch.tensor([1.0, math.nan])}, r"times must be in \[0, 1\]"),
        ({"times": torch.tensor([1.0])}, "times must be two or more"),
        ({"x": torch.zeros(3)}, "x must be a batch of points"),
        ({"x": torch.zeros(3, 1, dtype=torch.int64)}, "x must be a batch of points"),
        ({"x": torch.zeros(3, 2)}, "x must have 1 entries in each row"),
        ({"eta": 1.5}, r"eta must be in \[0, 1\]"),
        ({"denoise": lambda t, x: Denoised(x[:1], x)}, "denoise.* must return x0 and eps of x's"),
    ],
)
def test_bad_input_of_ddim_is_refused(change, message):
    path = constant()
    arguments = {
        "denoise": exact_denoiser(TWO, path),
        "path": path,
        "x": torch.zeros(3, 1),
        "times": torch.tensor([1.0, 0.5]),
        **change,
    }
    with pytest.raises(ValueError, match=message):
        ddim(**arguments)


@pytest.mark.parametrize(
    ("sampler", "options", "message"),
    [
        (ancestral, {"variance": "large"}, "variance must be 'posterior' or 'forward'"),
        (reverse_sde, {"noise": -1}, "noise must be 0 or more"),
        (heun, {"churn": -1}, "churn must be 0 or more"),
        (predictor_corrector, {"corrections": 0}, "corrections must be an integer of 1 or more"),
        (predictor_corrector, {"snr": 0.0}, "snr must be positive"),
    ],
)
def test_bad_options_of_samplers_are_refused(sampler, options, message):
    path = constant()
    with pytest.raises(ValueError, match=message):
        sampler(exact_denoiser(TWO, path), path, noise(3), torch.tensor([1.0, 0.5]), **options)


def test_times_that_a_sampler_cannot_use_are_refused_with_the_path_that_can():
    path = straight()
    denoise = exact_denoiser(TWO, path)
    times = torch.tensor([1.0, 0.5, 0.0], dtype=f64)
    for sampler in (heun, dpm_solver):
        with pytest.raises(ValueError, match=r"alpha = 0 at 1; begin at path.last = 0.999"):
            sampler(denoise, path, noise(3), times)
    assert ddim(denoise, path, noise(3), times).x.isfinite().all()
    with pytest.raises(ValueError, match=r"finite sigma'.* end at path.first = 0.0001"):
        probability_flow(denoise, constant(), noise(3), times)
    with pytest.raises(ValueError, match="times must increase, from data to noise"):
        forward_sde(path, noise(3), times)
    with pytest.raises(ValueError, match="t must have sigma > 0"):
        langevin(denoise, path, noise(3), 0.0)
