"""Facts that lesson 11's helpers rely on: closed forms, the exact posterior, the landscape,
trainings, figures.
"""

import math

import numpy as np
import pytest
import torch

from node_tutorial.data import collate, exact_oscillation, oscillations
from node_tutorial.lessons.continuous_vae import figures, frequency_landscape, physics, runs
from node_tutorial.lessons.continuous_vae import series as real
from node_tutorial.lessons.continuous_vae.misfits import FREQUENCIES, GAP, downhill
from node_tutorial.models import ContinuousVAE, Oscillator
from node_tutorial.plotting import text_problems

float64 = torch.float64
T = np.linspace(0, 6, 25)
ALIAS = 2 * math.pi / GAP - physics.TRUE  # it has the same values at times GAP apart


@pytest.mark.parametrize("omega, damping", [(1.7, 0.0), (1.7, 0.4)])
def test_weights_of_the_start_give_the_exact_oscillation(omega, damping):
    start = torch.tensor([0.7, -1.2], dtype=float64)
    exact = exact_oscillation(torch.from_numpy(T), start, omega, damping)[:, 0]
    weights = physics.position_weights(T, omega, damping)
    assert np.allclose(weights @ start.numpy(), exact, atol=1e-12)


@pytest.mark.parametrize("damping", [0.999999, 1.0, 1.000001])
def test_weights_are_finite_and_continuous_at_the_critical_damping(damping):
    weights = physics.position_weights(T, 1.0, damping)
    assert np.allclose(weights[:, 0], np.exp(-T) * (1 + T), atol=1e-4)
    assert np.allclose(weights[:, 1], np.exp(-T) * T, atol=1e-4)


def test_weights_solve_the_equation_beyond_the_critical_damping():
    omega, damping = 0.8, 1.9
    slow, fast = (-damping + s * math.sqrt(damping**2 - omega**2) for s in (1, -1))
    exact = (fast * np.exp(slow * T) - slow * np.exp(fast * T)) / (fast - slow)  # from (1, 0)
    assert np.allclose(physics.position_weights(T, omega, damping)[:, 0], exact, atol=1e-12)


def test_best_starts_are_those_of_numpy():
    omegas = np.array([0.4, 1.7, 3.3])
    chance = np.random.default_rng(0)
    t = np.sort(chance.uniform(0, 9, 14))
    x = chance.standard_normal(14)
    start, misfit = physics.best_starts(physics.position_weights(t, omegas[:, None]), x)
    for i, omega in enumerate(omegas):
        best, residual, *_ = np.linalg.lstsq(physics.position_weights(t, omega), x, rcond=None)
        assert np.allclose(start[i], best, atol=1e-6)
        assert misfit[i] == pytest.approx(residual[0] / 14, abs=1e-8)


def test_the_grid_of_frequencies_finds_a_damped_one_too():
    series, _ = oscillations(12, 20, damping=0.2, noise=0.02)
    grid = np.arange(0.5, 3.0, 0.01)
    found = physics.least_squares_frequency(series, grid, damping=0.2)
    assert found == pytest.approx(1.7, abs=0.02)


def series_and_model(damping=None):
    torch.manual_seed(0)
    model = physics.LinearVAE(Oscillator(1.7, damping), rtol=1e-7, atol=1e-8).double()
    series = [
        (t[: 4 + i].double(), x[: 4 + i].double())
        for i, (t, x) in enumerate(oscillations(3, 12, end=5.0)[0])
    ]
    return collate(series), model


@pytest.mark.parametrize("damping", [None, 0.2])
def test_the_posterior_is_the_one_of_a_linear_regression(damping):
    (t, x, mask), model = series_and_model(damping)
    mean, covariance = physics.linear_posterior(model, t, x, mask)
    noise = model.log_noise.exp().item()
    for i in range(3):
        seen = mask[i, :, 0]
        a = exact_oscillation(t[i, seen], torch.eye(2, dtype=float64), 1.7, damping or 0.0)
        a = (a @ model.decoder.weight.detach()[0]).T
        precision = torch.eye(2, dtype=float64) + a.T @ a / noise**2
        value = (x[i, seen, 0] - model.decoder.bias.detach()) / noise**2
        assert torch.allclose(covariance[i], torch.linalg.inv(precision), atol=1e-6)
        assert torch.allclose(mean[i], torch.linalg.solve(precision, a.T @ value), atol=1e-5)


def test_no_other_independent_gaussian_gives_a_higher_bound():
    """The bound of q is log p(x) - KL(q || posterior): the formula's q must be the best of all."""
    (t, x, mask), model = series_and_model()
    mean, covariance = physics.linear_posterior(model, t, x, mask)
    q_mean, q_std = model.encode(t, x, mask)
    posterior = torch.distributions.MultivariateNormal(mean, covariance)

    def gap(mean, std):
        q = torch.distributions.MultivariateNormal(mean, torch.diag_embed(std**2))
        return torch.distributions.kl_divergence(q, posterior)

    best = gap(q_mean, q_std)
    assert torch.equal(q_mean, mean) and (best >= 0).all()
    for factor in (0.95, 1.05):
        assert (gap(q_mean, q_std * factor) > best).all()
        assert (gap(q_mean + (factor - 1), q_std) > best).all()


def test_one_grid_for_all_gives_the_posterior_of_clocks_of_their_own():
    (_, x, _), model = series_and_model()
    t = torch.linspace(0.1, 4, x.shape[1], dtype=float64)
    one = physics.linear_posterior(model, t, x, torch.ones_like(x, dtype=torch.bool))
    own = physics.linear_posterior(model, t.expand(3, -1), x, torch.ones_like(x, dtype=torch.bool))
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(one, own))


def test_the_early_encoder_does_not_look_beyond_its_window():
    torch.manual_seed(0)
    encoder = runs.EarlyEncoder(window=3.0)
    t, x, mask = collate(oscillations(4, 20)[0])
    changed = torch.where((t > 3.0)[..., None], x + 1, x)
    assert torch.equal(encoder(t, x, mask, 0.0).mean, encoder(t, changed, None, 0.0).mean)
    assert not torch.equal(encoder(t, x, mask, 0.0).mean, encoder(t, x + 1, mask, 0.0).mean)


def test_a_decoder_that_is_not_linear_is_refused():
    (t, x, mask), _ = series_and_model()
    model = ContinuousVAE(1, 2, Oscillator(1.7)).double()
    with pytest.raises(TypeError, match=r"must be an nn\.Linear, got MLP"):
        physics.linear_posterior(model, t, x, mask)


def test_training_changes_omega_and_leaves_the_noise_alone():
    model = runs.new_model(1.5)
    before = model.log_noise.item()
    omegas = runs.train(model, oscillations(8, 10)[0], ((2.0, 3), (10.0, 3)))
    assert len(omegas) == 6
    assert omegas[0] == 1.5 != omegas[-1]
    assert model.log_noise.item() == before


def test_downhill_stops_in_the_valley_of_the_start():
    loss = np.cos(np.linspace(0, 4 * np.pi, 401))  # valleys at 100 and 300
    assert [downhill(loss, i) for i in (20, 180, 220, 380)] == [100, 100, 300, 300]


def test_the_landscape_has_its_alias_at_regular_times_only():
    for times, low, high in (("regular", 0.0, 0.03), ("irregular", 0.3, 1.0)):
        misfit = frequency_landscape.compute(20.0, 3.0, 0.1, times).misfit
        assert low < misfit[np.abs(FREQUENCIES - ALIAS).argmin()] < high
        assert misfit[np.abs(FREQUENCIES - 1.7).argmin()] < 0.03


def test_a_short_horizon_leads_where_a_long_one_is_stuck():
    assert frequency_landscape.compute(3.0, 3.0, 0.1, "irregular").found
    assert not frequency_landscape.compute(20.0, 3.0, 0.1, "irregular").found
    shortest = frequency_landscape.compute(2.0, 1.7, 0.6, "irregular")
    assert abs(shortest.end.omega - 1.7) > 0.3  # the valley is wide, and at the wrong place


def test_windows_hold_all_values_of_their_time_and_count_from_their_beginning():
    t = torch.arange(1700.0, 1721.0, dtype=float64)
    pieces = real.windows(t, t, 10, 5, unit=5)
    assert [len(times) for times, _ in pieces] == [10, 10, 10]
    for begin, (times, x) in zip((1700, 1705, 1710), pieces):
        assert times[0] == 0 and torch.allclose(times * 5 + begin, x)


def test_real_series_are_scaled_and_the_trend_is_made_without_the_later_years():
    t, x = real.co2_season(until=1985)
    assert len(t) == 2225 and x.isfinite().all()
    assert abs(x[t < 1985].mean()) < 0.05 and x[t < 1985].std() == pytest.approx(1)
    t, x = real.thinned_sunspots()
    assert len(t) == 154 and (t.diff() > 0).all()


def test_a_forecast_of_a_pure_oscillation_is_right_at_all_leads():
    torch.manual_seed(0)
    model = physics.LinearVAE(Oscillator(2.0), noise=1e-3, rtol=1e-6, atol=1e-6)
    torch.nn.init.zeros_(model.decoder.bias)
    t = torch.arange(0.0, 60.0, 0.5, dtype=float64)
    assert min(real.correlations_ahead(model, t, torch.cos(2 * t), 10, 1, (0, 10, 30))) > 0.999


def test_figures_are_readable():
    series, starts = oscillations(3, 12)
    fine = torch.linspace(0, 20, 101)
    flat = torch.zeros(3, 101)
    grid = np.linspace(0.1, 7.6, 50)
    line = (np.linspace(1960, 2000, 50), np.zeros(50))
    panel = figures.Forecast(line, line, line, 1980.0)
    drawn = [
        figures.series_figure(series, starts),
        figures.series_figure(
            series, starts, {"one": (fine, flat), "another": (fine, flat)}, (fine, flat, flat + 1)
        ),
        figures.omega_figure({"from 3, all data": [3.0, 2.9], "from 3, growing": [3.0, 1.7]}),
        figures.alias_figure(
            0.7, 1.7, ALIAS, grid, {"every 0.7": 0 * grid + 0.5, "irregular": 0 * grid + 0.4}
        ),
        figures.forecast_figure({"CO₂": panel, "sunspots": panel}),
    ]
    for fig in drawn:
        fig.png()
        assert not text_problems(fig)
