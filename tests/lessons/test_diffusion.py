"""Facts that lesson 16's helpers rely on: the line, the narrow Gaussian, copies, guidance, runs."""

import math

import numpy as np
import pytest
import torch

from node_tutorial import explore
from node_tutorial.course.exercises import EXERCISES
from node_tutorial.lessons.diffusion import copies, exercises, figures, narrow, one_score, snippet
from node_tutorial.lessons.diffusion.guidance_weight import STD, compute, whole
from node_tutorial.lessons.diffusion.line import (
    DENOISE,
    MIXTURE,
    PATH,
    density,
    distance,
    floor,
    noise,
    quantiles,
    seeded,
)
from node_tutorial.models.samplers import ddim, dpm_solver
from node_tutorial.models.time_grids import even

f64 = torch.float64


def test_quantiles_are_the_inverse_of_the_cdf():
    q = quantiles(MIXTURE, 200)
    shares = (torch.arange(200, dtype=f64) + 0.5) / 200
    assert torch.allclose(MIXTURE.cdf(q[:, None]), shares, atol=1e-5)


def test_the_distance_is_that_by_which_samples_are_moved():
    x = quantiles(MIXTURE, 500)[:, None]
    assert distance(x) < 1e-9
    assert distance(x + 0.25) == pytest.approx(0.25, abs=1e-9)
    assert distance(x[torch.randperm(500)]) < 1e-9


def test_the_floor_falls_with_the_root_of_the_number_of_draws():
    assert floor(500) / floor(8000) == pytest.approx(4, rel=0.5)
    assert floor(one_score.N) == pytest.approx(one_score.FLOOR, abs=0.001)


def test_the_spread_of_the_mixture_is_the_one_that_the_panel_says():
    mean = MIXTURE.weights @ MIXTURE.means[:, 0]
    square = MIXTURE.weights @ (MIXTURE.means[:, 0] ** 2 + MIXTURE.variances[:, 0])
    assert math.sqrt(square - mean**2) == pytest.approx(one_score.STD, abs=1e-3)
    assert float(noise(20_000).mean()) == pytest.approx(0.75 * math.exp(-2.5), abs=0.03)


@pytest.mark.parametrize(
    ("name", "stds"),
    [
        ("Euler in t", (0.5211, 0.4200, 0.3250)),
        ("Heun in t", (-0.0186, 0.2161, 0.2978)),
        ("DDIM", (0.1037, 0.1449, 0.2332)),
        ("ancestral", (0.1020, 0.1411, 0.2222)),
        ("reverse SDE", (0.7162, 0.5299, 0.3448)),
    ],
)
def test_the_end_stds_are_those_of_the_recursions(name, stds):
    assert list(narrow.end_stds(name).values()) == pytest.approx(stds, abs=0.012)


def test_second_order_on_karras_grid_needs_few_evaluations_and_even_steps_help_nobody():
    """The figure's claim, against its rivals, by a third of the effect."""
    off = {key: dict(values) for key, values in figures.sampler_errors().items()}
    chance = floor(figures.N)
    assert off["karras", "DPM-Solver++"][16] < 1.5 * chance
    for name in ("reverse SDE", "ancestral", "DDIM"):
        assert off["karras", name][16] > 2 * chance
    for name in ("reverse SDE", "ancestral", "DDIM", "DPM-Solver++"):
        assert off["even", name][16] > 4 * chance
        assert off["even", name][16] > 1.25 * off["karras", name][16]


def test_the_solver_that_extrapolates_fails_where_a_long_step_in_log_r_follows_a_short_one():
    """Even steps to t = 1e-4, and one to 0: with one step by DDIM all is as on the even grid."""
    for seed in range(3):
        ruined = one_score.ruined_by_a_grid(seed)
        assert ruined.step / (2 * ruined.before) == pytest.approx(3.8, abs=0.05)
        straight = distance(dpm_solver(DENOISE, PATH, noise(2000, seed), even(PATH, 16)).x)
        assert ruined.off > 3 * ruined.mended and ruined.off > 3 * straight


@pytest.mark.parametrize("seed", range(4))
def test_with_16_steps_the_grid_helps_more_than_the_method(seed):
    start = noise(one_score.N, seed)
    off = {
        (sampler.__name__, grid): distance(
            sampler(DENOISE, PATH, start, one_score.GRIDS[grid](PATH, 16)).x
        )
        for sampler in (ddim, dpm_solver)
        for grid in ("even", "karras")
    }
    assert off["ddim", "even"] > 1.3 * off["ddim", "karras"]
    assert off["dpm_solver", "even"] > 2 * off["dpm_solver", "karras"]
    assert off["dpm_solver", "even"] > 0.8 * off["ddim", "even"]


def test_the_perfect_net_of_digits_copies_and_is_worse_than_nothing_on_others():
    found = copies.copies()
    assert float(found.samples.max()) < 0.05 and float(found.film.max()) < 0.05
    assert float(found.test.median()) > 2
    train, test = copies.losses(0.1)
    assert train < 1e-3 and test > 2.5
    train, test = copies.losses(0.3)
    assert train < 0.03 and 0.25 < test < 0.35


def test_the_snippet_adds_variance_with_every_step_and_keeps_the_signal():
    for steps in (20, 100):
        mean = np.mean(
            [math.exp(-2 * t) * (1 - math.exp(-2 * t)) for t in np.linspace(0, 1, steps)]
        )
        assert snippet.variance_of_noise(steps) == pytest.approx(steps * mean, rel=0.05)
    assert snippet.variance_of_noise(100) / 100 == pytest.approx(0.186911, abs=0.005)
    assert snippet.kept(20) == pytest.approx(1, abs=0.06)
    assert pytest.approx(0.156518, abs=1e-6) == snippet.SNR_AT_ONE


def test_the_snippets_loss_is_an_image_against_the_noise_of_the_last_step():
    """The closed forms, against draws."""
    x0 = MIXTURE.sample(1_000_000, seeded(1)).double()
    eps = torch.randn(x0.shape, generator=seeded(2), dtype=f64) * math.sqrt(1 - math.exp(-2))
    assert snippet.loss_of_a_perfect_model() == pytest.approx(
        float((x0 - eps).square().mean()), abs=0.01
    )
    assert snippet.loss_of_a_useless_model() == pytest.approx(float(eps.square().mean()), abs=0.005)


def test_guidance_trades_spread_for_fidelity():
    rows = [compute(0, w) for w in (0.0, 1.0, 4.0)]
    assert [row.nfe for row in rows] == [20, 20, 40]
    assert rows[0].sure < rows[1].sure < rows[2].sure
    assert rows[1].spread == pytest.approx(STD, rel=0.1) and rows[2].spread < 0.8 * rows[1].spread
    assert rows[1].away < 0.1 < 0.5 < rows[2].away
    assert rows[0].sure == pytest.approx(float(whole().weights[0]), abs=0.05)


def test_the_solution_of_the_floor_is_the_mean_over_the_path():
    t = (torch.arange(4000, dtype=f64) + 0.5) / 4000 * math.pi / 2
    for s in (0.3, 1.0, 2.0):
        left = s**2 * t.cos() ** 2 / (s**2 * t.cos() ** 2 + t.sin() ** 2)
        assert exercises.best_loss(s) == pytest.approx(float(left.mean()), abs=1e-4)


def test_the_solution_of_the_score_is_that_of_the_package():
    noised = density(0.3)
    at = torch.tensor(0.2, dtype=f64)
    alpha = math.exp(-0.75)
    found = exercises.score(
        at,
        alpha,
        math.sqrt(1 - alpha**2),
        MIXTURE.weights,
        MIXTURE.means[:, 0],
        MIXTURE.variances[:, 0].sqrt(),
    )
    assert float(found) == pytest.approx(float(noised.score(at.reshape(1, 1))), abs=1e-12)


def test_a_ddim_step_that_draws_noise_is_told_so():
    def fresh(x, eps, alpha, sigma, alpha_next, sigma_next):
        x0 = (x - sigma * eps) / alpha
        return alpha_next * x0 + sigma_next * float(torch.randn(()))

    assessed = EXERCISES["16.3"].assess(fresh)
    assert assessed.state == "not yet" and "draws fresh noise" in assessed.message


def test_a_step_back_that_draws_noise_is_told_to_leave_it_out():
    def noisy(x, score, f, g, h):
        z = torch.tensor([1.0, 0.0], dtype=f64) * torch.randn(2, dtype=f64)
        return exercises.step_back(x, score, f, g, h) + g * h**0.5 * z

    assessed = EXERCISES["16.2"].assess(noisy)
    assert assessed.state == "not yet" and "leave z out" in assessed.message


def _densities(x, alpha, sigma, weights, means, stds, deviations=None):
    """Slope of p, and p, by torch's own normal densities: as a learner may write it."""
    deviations = (alpha**2 * stds**2 + sigma**2).sqrt() if deviations is None else deviations
    humps = torch.distributions.Normal(alpha * means, deviations)
    x = torch.as_tensor(x, dtype=f64).requires_grad_()
    p = (weights * humps.log_prob(x).exp()).sum()
    return torch.autograd.grad(p, x)[0], p.detach()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda *args: _densities(*args)[0], "That is p', the derivative of p"),
        (lambda *args: _densities(*args)[0] / _densities(*args)[1], None),
        (
            lambda x, alpha, sigma, weights, means, stds: float(
                exercises.score(x, alpha, sigma, weights, means, stds)
            ),
            None,
        ),
    ],
)
def test_natural_answers_to_the_score_are_understood(answer, message):
    assessed = EXERCISES["16.1"].assess(answer)
    assert assessed.state == ("correct" if message is None else "not yet")
    assert message is None or message in assessed.message


def _turned(x, eps, alpha, sigma, alpha_next, sigma_next):
    return alpha_next * (x / alpha + (sigma / alpha - sigma_next / alpha_next) * eps)


def _rescaled(x, eps, alpha, sigma, alpha_next, sigma_next):
    return alpha_next / alpha * x + (sigma_next - sigma) * eps


def _score_back(x, score, f, g, h):
    return x + f * x * h + g**2 * score * h, x + f * x * h + 0.5 * g**2 * score * h


def _half_of_all(x, score, f, g, h):
    drift = f * x - g**2 * score
    return x - drift * h, x - 0.5 * drift * h


@pytest.mark.parametrize(
    ("key", "answer", "message"),
    [
        ("16.2", _score_back, "f x changes its sign as well"),
        ("16.2", _half_of_all, "f x is the same in both"),
        ("16.2", lambda x, score, f, g, h: (x, x), "Two numbers, x - (...) h"),
        ("16.3", _turned, "new one minus the old"),
        ("16.3", _rescaled, "was rescaled, too"),
        ("16.3", lambda x, *_: 2 * x, "x must come back; with alpha_next = 1"),
        ("16.4", lambda s: s**2 / (1 + s), "what is left of x_0"),
        ("16.5", lambda betas: math.exp(-sum(betas)), "Exactly it is a product"),
    ],
)
def test_natural_slips_are_told_apart(key, answer, message):
    assessed = EXERCISES[key].assess(answer)
    assert assessed.state == "not yet" and message in assessed.message


def test_the_two_tests_of_a_ddim_step_refuse_the_slips_that_the_first_lets_pass():
    x, eps, alpha, sigma = 0.7, -0.4, 0.6, 0.8
    for slip in (_turned, _rescaled):
        assert slip(x, eps, alpha, sigma, alpha, sigma) == pytest.approx(x)
        assert abs(slip(x, eps, alpha, sigma, 1.0, 0.0) - (x - sigma * eps) / alpha) > 0.1


def test_x_bar_in_place_of_x_is_recognized():
    def bar(x, eps, alpha, sigma, alpha_next, sigma_next):
        return x / alpha + (sigma_next / alpha_next - sigma / alpha) * eps

    right = lambda *args: args[4] * bar(*args)  # noqa: E731
    assert "a factor is missing" in EXERCISES["16.3"].assess(bar).message
    assert EXERCISES["16.3"].assess(right).state == "correct"


def test_noisy_samplers_forgive_a_wrong_start_with_many_steps_only():
    panel = explore.one_score()
    for steps, forgives in ((256, True), (4, False)):
        ode = panel.evaluate(start=0.5, steps=steps, grid="karras").data.off
        sde = panel.evaluate(start=0.5, steps=steps, grid="karras", share=1.0).data.off
        assert (sde < ode / 3) == forgives


@pytest.mark.parametrize(
    ("twentieths", "x", "guess"),
    [(0, 0.2, 0.20), (2, 0.2, 0.65), (6, 0.2, 0.78), (20, 2.5, 1.02), (20, -2.5, 0.43)],
)
def test_the_guesses_that_the_answer_names(twentieths, x, guess):
    assert explore.noise_level().evaluate(frame=twentieths, x=x).data.guess == pytest.approx(
        guess, abs=0.005
    )


def test_with_more_noise_the_guess_between_the_humps_stays_near_the_mean_of_all():
    panel = explore.noise_level()
    for frame in range(6, 21):
        assert panel.evaluate(frame=frame, x=0.2).data.guess == pytest.approx(0.75, abs=0.05)


def test_the_extremes_that_the_panel_shows():
    panel = explore.one_score()
    few = panel.evaluate(steps=2).data
    assert (few.off, few.std) == pytest.approx((0.8, 0.4), abs=0.05)
    assert panel.evaluate(steps=256, share=1.0, start=0.25).data.off == pytest.approx(
        0.04, abs=0.005
    )
