"""Facts that lesson 24 relies on: its exact paths, its readers, its fits, its exercises."""

import itertools
import math

import numpy as np
import pytest
import torch

from node_tutorial import explore
from node_tutorial.course.exercises import EXERCISES
from node_tutorial.data.stochastic import gbm_mean, ou_kl
from node_tutorial.lessons.controlled_equations import (
    exercises,
    figures,
    linear_control,
    noisy_fits,
    noisy_steps,
    path_order,
    readers,
    reading_dial,
    runs,
)
from node_tutorial.models.control_paths import levy_area
from node_tutorial.plotting import text_problems
from node_tutorial.solvers.brownian import BrownianPath
from node_tutorial.solvers.sdeint import SDE_METHODS, sdeint

f64 = torch.float64


# -- what is exact ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, end, area",
    [
        ("right, then up", (1, 1), 0.5),
        ("up, then right", (2, 1), -0.5),
        ("diagonal", (math.cosh(1), math.sinh(1)), 0),
        ("square", (0, 1), 1),
        ("figure eight", (-1, 1), 0),
        ("there and back", (1, 0), 0),
    ],
)
def test_a_path_ends_where_it_must(name, end, area):
    path = linear_control.PATHS[name]
    assert torch.allclose(linear_control.exact(path)[-1], torch.tensor(end, dtype=f64))
    assert abs(float(levy_area(path)) - area) < 1e-12


def test_the_circle_has_nearly_the_area_of_the_square():
    assert float(levy_area(linear_control.circle())) == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("method", SDE_METHODS)
@pytest.mark.parametrize("steps", [4, 16])
def test_the_formula_for_the_mean_of_a_scheme_is_its_mean(method, steps):
    x = noisy_steps.walk(method, 0.8, steps)[-1]
    off = float(x.mean()) - gbm_mean(1, noisy_steps.MU, 0.8, SDE_METHODS[method].reading)
    spread = float(x.std()) / math.sqrt(noisy_steps.PATHS)
    assert abs(off - noisy_steps.bias(method, 0.8, steps)) < 4 * spread


@pytest.mark.parametrize("method", SDE_METHODS)
def test_the_measured_weak_errors_agree_with_the_formula_within_their_bars(method):
    data = noisy_steps.compute(method, 16, 0.8)
    assert (abs(data.weak - data.biases) < 3 * data.unsure).all()
    assert (data.unsure < 0.3 * data.biases).all()


def test_milstein_moves_the_mean_where_the_drift_is_not_linear():
    n, paths = 4, 40_000
    w = BrownianPath(0, 1, (paths,), seed=1)
    ends = [
        sdeint(
            lambda t, x: -(3 * x).sin(),
            lambda t, x: 0.8 * x,
            torch.ones(paths, dtype=f64),
            torch.linspace(0, 1, n + 1, dtype=f64),
            w,
            method=method,
        )[-1]
        for method in ("milstein", "euler_maruyama")
    ]
    off = ends[0] - ends[1]
    assert float(off.mean()) < -20 * float(off.std()) / math.sqrt(paths)


def test_the_expansion_holds_for_an_open_path():
    for area, order in ((1, 3), (0, 2), (-1, 2)):
        halved = linear_control.off_by(0.02, area) / linear_control.off_by(0.01, area)
        assert math.log2(halved) == pytest.approx(order, abs=0.02)


def test_the_lobes_of_the_figure_eight_have_two_signs():
    eight = explore.path_order().evaluate(name="figure eight").data
    areas = [float(levy_area(torch.from_numpy(lobe))) for lobe in path_order._lobes(eight.x)]
    assert areas == pytest.approx([1, -1])


@pytest.mark.parametrize("reading", [0.0, 0.5, 1.0])
def test_steps_that_read_the_noise_later_tend_to_that_reading(reading):
    data = reading_dial.compute(reading, 0.8)
    assert data.exact == pytest.approx(gbm_mean(1, 0.5, 0.8, reading))
    assert data.mean[-1] == pytest.approx(data.exact, rel=0.02)
    assert data.median == pytest.approx(data.exact_median, rel=0.02)


# -- readers of paths ------------------------------------------------------------------------------


@pytest.mark.parametrize("task", readers.TASKS)
def test_series_keep_their_share_of_the_points_and_their_label_is_the_sign_of_the_area(task):
    data = readers.series(task, 300, 70, seed=1)
    assert data.t.shape == (300, 12) and data.x.shape == (300, 12, 2)
    assert (data.t.diff(dim=1) > 0).all() and data.t.min() >= 0 and data.t.max() <= 1
    full = readers.series(task, 300, 0, seed=1)
    assert torch.equal(full.label, data.label) and 0.4 < float(data.label.mean()) < 0.6
    assert readers.polygon(full) > 0.98
    assert torch.equal(readers.series(task, 300, 0, seed=1).x, full.x)


def test_nets_have_about_the_same_size_and_read_series_of_any_length():
    sizes = {}
    for kind, make in readers.READERS.items():
        net = make()
        sizes[kind] = sum(p.numel() for p in net.parameters() if p.requires_grad)
        for points in (12, 40):
            data = readers.series("loops", 5, 0, seed=0, points=points)
            assert net(data.t, data.x).shape == (5,)
    assert max(sizes.values()) < 1.5 * min(sizes.values())
    assert sizes == {"CDE": 857, "GRU": 1073, "GRU + dX": 1051, "ODE-RNN": 1275}


def test_tuning_judges_and_tests_see_other_series():
    train = readers.series("loops", 50, 0, seed=runs.SEEDS[0])
    for seed in (runs.JUDGED, runs.JUDGED + 1, runs.SEEDS[0] + 100):
        assert not torch.equal(readers.series("loops", 50, 0, seed).x, train.x)


def test_stored_settings_were_chosen_by_the_tuning():
    tried = [(rate, steps) for steps in readers.STEPS for rate in readers.RATES]
    for kind in readers.READERS:
        found = runs.RUNS.numbers()[f"tuned/{kind}"]
        assert tried[int(np.argmax(found["tried"]))] == (found["rate"], found["steps"])


def test_a_gru_with_the_steps_gets_those_and_nothing_of_the_future():
    data = readers.series("loops", 5, 0, seed=0)
    net = readers.StepsGRUReader()
    read = []
    net.net.register_forward_hook(lambda module, inputs, output: read.append(inputs[0]))
    net(data.t, data.x)
    assert torch.equal(read[0][:, 1:, 4:], data.x.diff(dim=1)) and (read[0][:, 0, 4:] == 0).all()


# -- fits ------------------------------------------------------------------------------------------


def test_the_evidence_is_that_of_the_chain_by_filtering():
    data = noisy_fits.blurred(3, seed=0)
    h = noisy_fits.LATENT_END / noisy_fits.LATENT_STEPS
    mean, variance = torch.zeros(3, dtype=f64), 0.0
    total = torch.zeros(3, dtype=f64)
    for column in data.y.double().T:
        for _ in range(noisy_fits.SEEN):
            mean = mean * (1 - noisy_fits.THETA * h)
            variance = variance * (1 - noisy_fits.THETA * h) ** 2 + 0.4**2 * h
        seen = variance + noisy_fits.BLUR**2
        total += -((column - mean) ** 2 / seen + math.log(2 * math.pi * seen)) / 2
        gain = variance / seen
        mean, variance = mean + gain * (column - mean), variance * (1 - gain)
    assert torch.allclose(noisy_fits.evidence(data, torch.tensor(0.4)), total, atol=1e-5)


def test_the_bound_is_below_the_evidence_whatever_the_guide():
    torch.manual_seed(0)
    data = noisy_fits.blurred(50, seed=0)
    guided = noisy_fits.Guided(data.y.shape[1])
    with torch.no_grad():
        guided.toward.normal_(0, 0.05)
        guided.back.normal_(0, 0.05)
    for sigma in (0.3, 0.5, 0.8):
        with torch.no_grad():
            guided.log_sigma.fill_(math.log(sigma))
        best = float(noisy_fits.evidence(data, torch.tensor(sigma)).mean())
        assert noisy_fits.bound(guided, data, seed=1) < best


def test_squared_distance_is_least_without_noise_and_likelihood_at_the_true_noise():
    x = noisy_fits.wells(4000, 1)[..., 0]
    around = noisy_fits.wells(4000, 2)[..., 0] - x
    alone = x - x.mean(1, keepdim=True)
    assert float(around.square().mean()) == pytest.approx(
        2 * float(alone.square().mean()), rel=0.05
    )


def test_new_noise_at_each_call_has_its_variance():
    t = torch.tensor([0.0, 0.5, 2.0])
    w = noisy_fits.white_noise(t, (20_000,), torch.Generator().manual_seed(0))
    assert w[0].abs().max() == 0
    assert torch.allclose(w.var(1), t, atol=0.06)


def test_a_short_fit_lowers_the_noise_by_distance_and_finds_it_by_likelihood():
    far = noisy_fits.fit_ball("by distance", 0, updates=60)[1]
    near = noisy_fits.fit_ball("by likelihood", 0, updates=60)[1]
    assert len(far) == 60 and far[-1] < 0.7 < near[-1] < 0.85


# -- pictures --------------------------------------------------------------------------------------


def test_figures_are_legible():
    w = torch.linspace(0, 1, 9, dtype=f64)
    x = torch.tensor([0.0, 1.0, 0.5, 0.2, 0.9], dtype=f64)
    for fig in (
        figures.two_ways(),
        figures.two_ends(),
        figures.looking_ahead(x, x + torch.tensor([0.0, 0.0, 0.0, 0.5, 1.0])),
        figures.readers(
            figures.right_of({"loops": ("loops/{}/0", "0"), "some": ("loops/{}/30", "30")}),
            [0.99, 0.97],
        ),
        figures.refined([(w[::4], w[::4]), (w, w)]),
        figures.ball_paths(),
        figures.sigmas(),
    ):
        fig.png()  # lays it out
        assert not text_problems(fig)


def test_the_panels_say_what_they_show():
    path = explore.path_order()
    assert "z = (2.00, 1.00)" in path.text and path.evaluate(frame=0).data.area == 0
    steps = explore.noisy_steps()
    assert "orders 0.5 and 1.0" in steps.text
    assert "exact 1.65" in explore.reading_dial().text


# -- exercises: right answers in other forms, and wrong ones ---------------------------------------


def shoelace(points):
    x, y = np.asarray(points).T
    return (x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def by_triangles(points):
    return sum(
        float(
            (b[0] - points[0][0]) * (c[1] - points[0][1])
            - (c[0] - points[0][0]) * (b[1] - points[0][1])
        )
        / 2
        for b, c in itertools.pairwise(points[1:])
    )


def by_filter(theta, sigma, h):
    variance = 0.0
    for _ in range(3000):
        variance = (1 - theta * h) ** 2 * variance + sigma**2 * h
    return variance


def kl_by_sum(a, b, sigma, x0, T):
    t = torch.linspace(0, T, 4001, dtype=f64)
    square = x0**2 * torch.exp(-2 * a * t) + sigma**2 * (1 - torch.exp(-2 * a * t)) / (2 * a)
    return torch.trapezoid(square, t) * (a - b) ** 2 / (2 * sigma**2)


RIGHT = {
    "24.1": [
        shoelace,
        by_triangles,
        lambda points: levy_area(torch.cat([points, points[:1]])),
        lambda points: (
            ((points[:, 0] + points[:, 0].roll(-1)) / 2) @ (points[:, 1].roll(-1) - points[:, 1])
        ),
        lambda points: float(np.float32(shoelace(points))),
    ],
    "24.2": [(4, 4, 9, 3), np.array([4, 4, 9, 3]), torch.tensor([4.0, 4.0, 9.0, 3.0])],
    "24.3": [
        lambda mu, sigma, T, meant: gbm_mean(T, mu, sigma) / gbm_mean(T, mu, sigma, meant),
        lambda mu, sigma, T, meant: np.exp(-np.float32(meant) * sigma**2 * T),
        lambda mu, sigma, T, meant: torch.exp(torch.tensor(-meant * sigma**2 * T)),
    ],
    "24.4": [
        lambda theta, sigma, h: sigma**2 / (2 * theta - theta**2 * h),
        by_filter,
        lambda theta, sigma, h: torch.tensor(sigma**2 / theta / (2 - theta * h)),
    ],
    "24.5": [
        kl_by_sum,
        lambda a, b, sigma, x0, T: ou_kl(T, a, b, sigma, x0),
        lambda a, b, sigma, x0, T: np.float32(ou_kl(T, a, b, sigma, x0)),
    ],
}
WRONG = {
    "24.1": [lambda points: points[:, 0] @ points[:, 1], lambda points: 0.0, lambda points: 1.0],
    "24.2": [[4, 4, 9, 9], [3, 3, 3, 3], [5, 5, 9, 4]],
    "24.3": [
        lambda mu, sigma, T, meant: math.exp((mu - meant * sigma**2) * T),
        lambda mu, sigma, T, meant: 1 - meant * sigma**2 * T,
        lambda mu, sigma, T, meant: math.exp(-(meant**2) * sigma**2 * T),
    ],
    "24.4": [
        lambda theta, sigma, h: sigma**2 / (theta - theta**2 * h / 4),
        lambda theta, sigma, h: sigma**2 * h,
        lambda theta, sigma, h: math.inf,
    ],
    "24.5": [
        lambda a, b, sigma, x0, T: abs(a - b) * T,
        lambda a, b, sigma, x0, T: 0.0,
        lambda a, b, sigma, x0, T: (a - b) ** 2 * x0**2 * T / (2 * sigma**2),
    ],
}


@pytest.mark.parametrize("id, answer", [(id, answer) for id in RIGHT for answer in RIGHT[id]])
def test_other_right_answers_are_correct(id, answer):
    assert EXERCISES[id].assess(answer).state == "correct"


@pytest.mark.parametrize("id, answer", [(id, answer) for id in WRONG for answer in WRONG[id]])
def test_other_wrong_answers_are_not(id, answer):
    assert EXERCISES[id].assess(answer).state == "not yet"


def ends_alone(a, b, sigma, x0, T):
    (m, v), (n, w) = (
        (x0 * math.exp(-k * T), sigma**2 * (1 - math.exp(-2 * k * T)) / (2 * k)) for k in (a, b)
    )
    p, q = (torch.distributions.Normal(mean, var**0.5) for mean, var in ((m, v), (n, w)))
    return float(torch.distributions.kl_divergence(p, q))


def of_square(square):
    """(a - b)^2 / (2 sigma^2) times the integral of a wrong mean square."""

    def kl(a, b, sigma, x0, T):
        t = torch.linspace(0, T, 4001, dtype=f64)
        mean = torch.as_tensor(square(a, sigma, x0, T, t), dtype=f64).expand(4001)
        return float(torch.trapezoid(mean, t)) * (a - b) ** 2 / (2 * sigma**2)

    return kl


def ou_square(a, sigma, x0, t, factor=1.0):
    decay = torch.exp(-2 * a * t)
    return x0**2 * decay + factor * sigma**2 * (1 - decay) / (2 * a)


@pytest.mark.parametrize(
    "id, answer, reply",
    [
        ("24.1", lambda p: (p[:, 1] * (p[:, 0] - p[:, 0].roll(-1))).sum(), "-y dx"),
        ("24.1", lambda p: p[:, 0].sum(), "its area is -3"),
        ("24.2", [3, 3, 3, 3], "ties the pieces"),
        ("24.2", [4, 5, 9, 4], "waits at its old value"),
        ("24.3", lambda mu, sigma, T, m: math.exp((m - 0.5) * sigma**2 * T), "to the median"),
        ("24.3", lambda mu, sigma, T, m: mu / (mu + m * sigma**2), "rates"),
        ("24.4", lambda q, s, h: s**2 * h / (1 - math.exp(-2 * q * h)), "1 - theta h"),
        ("24.4", lambda q, s, h: s**2 / (2 * q) * (1 + q * h / 2), "first order"),
        ("24.4", lambda q, s, h: s**2 * h / (1 - q * h) ** 2, "both sides"),
        ("24.5", of_square(lambda a, s, x0, T, t: ou_square(a, s, x0, 0 * t + T)), "at the end"),
        ("24.5", of_square(lambda a, s, x0, T, t: x0**2), "very short T"),
        ("24.5", of_square(lambda a, s, x0, T, t: ou_square(a / 2, s / 2**0.5, x0, t)), "-2 a t"),
        ("24.5", of_square(lambda a, s, x0, T, t: ou_square(a, s, x0**0.5, t)), "x0^2"),
        ("24.5", of_square(lambda a, s, x0, T, t: ou_square(a, s, x0, t, 2)), "tends to"),
        ("24.5", ends_alone, "more than its end"),
        ("24.5", lambda a, b, sigma, x0, T: 0.1, "For a very short T it is"),
    ],
)
def test_typical_slips_have_a_reply_of_their_own(id, answer, reply):
    assessment = EXERCISES[id].assess(answer)
    assert assessment.state == "not yet" and reply in assessment.message


def test_the_known_values_of_the_exercises():
    assert exercises.stationary_variance(1.0, 0.5, 0.1) == pytest.approx(0.131579, abs=1e-6)
    assert exercises.stationary_variance(1.0, 0.5, 1.9) == pytest.approx(2.5)
    assert exercises.kl(2.0, 1.0, 0.5, 1.0, 1.0) == pytest.approx(0.585164544)
    assert 1 / exercises.wrong_by(0.5, 0.8, 1.0, 0.5) == pytest.approx(2.270499838 / 1.648721271)


def test_the_best_guide_has_the_least_gap():
    """Of a chain that is Gaussian the posterior is known: its steps, as a guide, with the noise of
    the equation.
    """
    h = noisy_fits.LATENT_END / noisy_fits.LATENT_STEPS
    a, steps, sigma = 1 - noisy_fits.THETA * h, noisy_fits.LATENT_STEPS, 0.5
    k = torch.arange(1, steps + 1, dtype=f64)
    first = torch.minimum(k[:, None], k)
    apart = (k[:, None] - k).abs()
    prior = sigma**2 * h * a**apart * (1 - a ** (2 * first)) / (1 - a**2)
    precision = torch.linalg.inv(prior)
    seen = torch.arange(noisy_fits.SEEN, steps + 1, noisy_fits.SEEN) - 1
    precision[seen, seen] += 1 / noisy_fits.BLUR**2
    posterior = torch.linalg.inv(precision)
    # The variance of each step given the one before, from the Cholesky factor.
    steps_of = torch.linalg.cholesky(posterior).diagonal() ** 2
    ratio = sigma**2 * h / steps_of
    gap = float((ratio - 1 - ratio.log()).sum() / 2)
    assert noisy_fits.least_gap(sigma) == pytest.approx(gap, rel=1e-6)
    assert noisy_fits.least_gap(0.1) < noisy_fits.least_gap(0.5)


def test_the_least_gap_vanishes_in_shorter_steps(monkeypatch):
    gaps = []
    for finer in (1, 2, 4):
        monkeypatch.setattr(noisy_fits, "LATENT_STEPS", 80 * finer)
        monkeypatch.setattr(noisy_fits, "SEEN", 16 * finer)
        gaps.append(noisy_fits.least_gap(0.5))
    assert gaps[0] > 1.9 * gaps[1] > 3.6 * gaps[2]
