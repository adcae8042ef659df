"""Facts that lesson 16's helpers rely on: the line, the narrow Gaussian, copies, guidance, runs."""

import math

import numpy as np
import pytest
import torch

from node_tutorial import explore
from node_tutorial.course.exercises import EXERCISES
from node_tutorial.lessons.diffusion import copies, exercises, figures, narrow, one_score, snippet
from node_tutorial.lessons.diffusion.guidance_weight import STD, compute, whole
from node_tutorial.lessons.diffusion.line import MIXTURE, density, distance, floor, noise, quantiles

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
    assert floor(one_score.N) == pytest.approx(one_score.FLOOR, abs=0.008)


def test_the_spread_of_the_mixture_is_the_one_that_the_panel_says():
    mean = MIXTURE.weights @ MIXTURE.means[:, 0]
    square = MIXTURE.weights @ (MIXTURE.means[:, 0] ** 2 + MIXTURE.variances[:, 0])
    assert math.sqrt(square - mean**2) == pytest.approx(one_score.STD, abs=1e-3)
    assert float(noise(20_000).mean()) == pytest.approx(0.75 * math.exp(-2.5), abs=0.03)


@pytest.mark.parametrize(
    ("name", "stds"),
    [
        ("Euler, flow", (0.5211, 0.4200, 0.3250)),
        ("Heun, flow", (-0.0186, 0.2161, 0.2978)),
        ("DDIM", (0.1037, 0.1449, 0.2332)),
        ("ancestral", (0.1020, 0.1411, 0.2222)),
        ("reverse SDE", (0.7162, 0.5299, 0.3448)),
    ],
)
def test_the_end_stds_are_those_of_the_recursions(name, stds):
    assert list(narrow.end_stds(name).values()) == pytest.approx(stds, abs=0.012)


def test_second_order_on_karras_grid_needs_few_evaluations_and_even_steps_spoil_it():
    """The figure's claim, against its rivals, by a third of the effect."""
    off = {key: dict(values) for key, values in figures.sampler_errors().items()}
    karras, even = ("Karras, ρ = 7", "uniform in t")
    chance = floor(figures.N)
    assert off[karras, "DPM-Solver++"][16] < 1.5 * chance
    assert off[even, "DPM-Solver++"][16] > 3 * off[even, "DDIM"][16]
    for name in ("reverse SDE", "ancestral", "DDIM"):
        assert off[karras, name][16] > 2 * chance


def test_the_perfect_net_of_digits_copies_and_is_worse_than_nothing_on_others():
    found = copies.copies()
    assert float(found.samples.max()) < 0.05 and float(found.test.median()) > 2
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
    variance, kurtosis = snippet.kurtosis_of_noise_times_noise()
    assert variance == pytest.approx(1, abs=0.03) and kurtosis == pytest.approx(9, abs=1)


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


def test_noisy_samplers_forgive_a_wrong_start_with_many_steps_only():
    panel = explore.one_score()
    for steps, forgives in ((256, True), (4, False)):
        ode = panel.evaluate(start=0.5, steps=steps, grid="karras").data.off
        sde = panel.evaluate(start=0.5, steps=steps, grid="karras", share=1.0).data.off
        assert (sde < ode / 3) == forgives
