"""Facts that lesson 11's helpers rely on: closed forms, the exact posterior, the landscape,
trainings; and its exercises.
"""

import cmath
import itertools
import math
import re

import numpy as np
import pytest
import torch

from node_tutorial import explore, odeint
from node_tutorial.data import collate, exact_oscillation, oscillations
from node_tutorial.exercises import EXERCISES
from node_tutorial.lessons.continuous_vae import frequency_landscape, latent_point, physics, runs
from node_tutorial.lessons.continuous_vae import series as real
from node_tutorial.lessons.continuous_vae.exercises import _kept
from node_tutorial.lessons.continuous_vae.misfits import ALIAS, FREQUENCIES, downhill, half_width
from node_tutorial.lessons.continuous_vae.misfits import oscillations as oscillations_at
from node_tutorial.models import ContinuousVAE, Oscillator

float64 = torch.float64
T = np.linspace(0, 6, 25)


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
    mean, covariance = model.posterior(t, x, mask)
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
    mean, covariance = model.posterior(t, x, mask)
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
    one = model.posterior(t, x, torch.ones_like(x, dtype=torch.bool))
    own = model.posterior(t.expand(3, -1), x, torch.ones_like(x, dtype=torch.bool))
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(one, own))


def test_the_bound_from_one_solve_is_that_of_every_continuous_vae():
    (t, x, mask), model = series_and_model(0.2)
    bounds = []
    for elbo in (model.elbo, lambda *batch: ContinuousVAE.elbo(model, *batch)):
        torch.manual_seed(0)
        bounds.append(elbo(t, x, mask))
    assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(*bounds))


def test_the_early_encoder_does_not_look_beyond_its_window():
    torch.manual_seed(0)
    encoder = runs.EarlyEncoder(window=3.0)
    t, x, mask = collate(oscillations(4, 20)[0])
    changed = torch.where((t > 3.0)[..., None], x + 1, x)
    assert torch.equal(encoder(t, x, mask, 0.0).mean, encoder(t, changed, None, 0.0).mean)
    assert not torch.equal(encoder(t, x, mask, 0.0).mean, encoder(t, x + 1, mask, 0.0).mean)


def test_one_flow_for_all_series_gives_each_the_path_that_it_has_alone():
    """The times of some rows are padded, and the damping makes no step the same as another."""
    (t, _, _), model = series_and_model(0.2)
    z0 = torch.tensor([[1.0, -0.5], [0.2, 2.0], [-1.3, 0.4]], dtype=float64)
    alone = ContinuousVAE.latents(model, z0, t)
    assert torch.allclose(model.latents(z0, t), alone, atol=1e-5)
    assert torch.allclose(
        model.latents(z0, t[0]), ContinuousVAE.latents(model, z0, t[0]), atol=1e-5
    )


def test_training_changes_omega_and_leaves_the_noise_alone():
    model = runs.new_model(1.5)
    before = model.log_noise.item()
    trace = runs.train(model, oscillations(8, 10)[0], ((2.0, 3), (10.0, 3)))
    assert len(trace.omega) == len(trace.noise) == 7
    assert trace.omega[0] == 1.5 != trace.omega[-1]
    assert model.log_noise.item() == before


def test_the_stored_ends_are_what_the_lesson_says_of_them():
    at_once, growing, learned = runs.over_seeds().values()
    assert np.allclose(growing.omega, 1.7, rtol=0.01)
    assert (
        sorted(abs(omega / 1.7 - 1) < 0.01 for omega in at_once.omega) == [False] * 2 + [True] * 3
    )
    assert np.allclose(learned.omega, 1.7, rtol=0.03)
    assert 0.4 < min(learned.noise) and max(learned.noise) < 0.75
    assert all(worse > better for worse, better in zip(learned.error, growing.error))


def test_downhill_stops_in_the_valley_of_the_start():
    loss = np.cos(np.linspace(0, 4 * np.pi, 401))  # valleys at 100 and 300
    assert [downhill(loss, i) for i in (20, 180, 220, 380)] == [100, 100, 300, 300]


def landscape(horizon, omega=3.0, noise=0.1, disorder=1.0, growing=False):
    return frequency_landscape.compute(horizon, omega, noise, disorder, growing)


@pytest.mark.parametrize("disorder", [0.0, 0.1, 0.3, 0.5, 1.0])
def test_disorder_fills_the_valley_of_the_alias_by_a_known_law(disorder):
    """A uniform jitter of width d gaps leaves sinc(d)^2 of the alias' fit: its characteristic
    function at one turn per gap.
    """
    misfit = landscape(20.0, disorder=disorder).misfit
    power = np.square(oscillations_at(disorder).q).mean()
    expected = 0.01 * 27 / 29 + power * (1 - np.sinc(disorder) ** 2)
    assert misfit[np.abs(FREQUENCIES - ALIAS).argmin()] == pytest.approx(expected, rel=0.12)
    assert misfit[np.abs(FREQUENCIES - 1.7).argmin()] == pytest.approx(0.01, rel=0.2)


@pytest.mark.parametrize("horizon", [8.0, 10.0, 20.0, 40.0, 80.0])
def test_the_half_width_of_the_valley_is_one_turn_by_the_horizon(horizon):
    assert half_width(horizon) * horizon == pytest.approx(2 * math.pi, rel=0.03)


def test_a_short_horizon_leads_where_a_long_one_is_stuck():
    assert landscape(3.0).found
    assert not landscape(20.0).found
    noisy = landscape(2.0, omega=1.7, noise=0.6)
    assert abs(noisy.end.omega - 1.7) > 0.15  # the valley is wide, and at the wrong place


def test_a_growing_horizon_leads_where_a_long_one_is_stuck():
    grown = landscape(20.0, growing=True)
    assert grown.found and list(grown.way) == [2.0, 4.0, 20.0]
    assert list(landscape(2.0, growing=True).way) == [2.0]  # nothing to grow from


def test_the_way_downhill_goes_from_the_start_to_the_end_through_all_horizons():
    def frame(k):
        return frequency_landscape.compute(20.0, 3.0, 0.1, 1.0, True, k)

    frames = [frame(k) for k in range(frequency_landscape.FRAMES)]
    assert frames[0].now == frames[0].here and frames[-1].now == frames[-1].end
    assert [data.until for data in frames[::10]] == [2.0, 4.0, 20.0, 20.0]
    for data, after in itertools.pairwise(frames):
        assert data.until < after.until or data.now.misfit >= after.now.misfit
    shown = {(data.until, data.now.omega) for data in frames}
    assert len(shown) == len(frames)  # each frame is another picture
    t, x = frames[5].observed  # and the fit is the best one of the present place
    weights = physics.position_weights(t, np.array([[frames[5].now.omega]]))
    start, _ = physics.best_starts(weights, x)
    path = physics.position_weights(frequency_landscape.FINE, frames[5].now.omega) @ start[0]
    assert t.max() <= 2.0 and np.allclose(frames[5].fit, path, atol=2e-3)


def test_the_frames_of_the_moving_latent_share_one_solve():
    before = latent_point.solved.cache_info().misses
    for frame in (0, 30, 60):
        data = latent_point.compute(0.3, -0.7, 1.3, 0.2, frame)
        assert latent_point.TIMES[data.now] == pytest.approx(frame / 4)
    assert latent_point.solved.cache_info().misses == before + 1


@pytest.mark.parametrize("damping", [1.3, 1.4, 2.5])
def test_from_the_critical_damping_on_no_start_crosses_zero_more_than_once(damping):
    for q, v in np.random.default_rng(0).uniform(-1.5, 1.5, (40, 2)):
        assert latent_point.compute(q, v, 1.3, damping, 0).zeros <= 1


def test_more_damping_may_mean_more_zeros():
    """From a start that just fails to cross zero: so the lesson speaks of its own start only."""
    zeros = [latent_point.compute(-1.0, 1.0, 0.5, damping, 0).zeros for damping in (0.5, 0.55)]
    assert zeros == [0, 1]
    here = [latent_point.compute(1.0, 1.0, 1.7, k / 20, 0).zeros for k in range(51)]
    assert here == sorted(here, reverse=True) and here[34] == 0


def test_a_quarter_of_a_period_tells_the_velocity():
    """Half a period, with as many points, tells little more."""
    period = 2 * math.pi / 1.7

    def known(part, points):
        t = np.linspace(0, part * period, points)
        return physics.start_posterior(t, np.zeros(points), 1.7, 0.2)[1][1, 1] ** 0.5

    assert known(1 / 8, 10) > 0.35 and known(1 / 4, 10) < 0.2
    assert 0.8 < known(1 / 2, 10) / known(1 / 4, 10) < 1


def test_no_latent_path_leaves_the_pictures_plane():
    panel = explore.latent_point()
    ends = {name: (control.min, control.max) for name, control in panel.controls.items()}
    for q, v, omega in itertools.product(ends["q"], ends["v"], ends["omega"]):
        path = latent_point.compute(q, v, omega, 0.0, 60).path
        assert np.abs(path).max() < latent_point.REACH


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


# ---- Exercises ----

float32 = torch.float32


def assess(id, answer):
    return EXERCISES[id].assess(answer)


def by_matrix_exponential(omega, t):
    return torch.linalg.matrix_exp(
        torch.tensor([[0.0, 1.0], [-(omega**2), 0.0]], dtype=float64) * t
    )


def by_complex_numbers(omega, t):
    turn = cmath.exp(-1j * omega * t)
    return [[turn.real, -turn.imag / omega], [omega * turn.imag, turn.real]]


def by_a_solver(omega, t):
    times = torch.tensor([0.0, t], dtype=float64)
    if t == 0:
        return np.eye(2)
    field = Oscillator(omega).double()
    return odeint(field, torch.eye(2, dtype=float64), times, rtol=1e-9, atol=1e-10)[1].T


def damped_a_little(omega, t):
    return math.exp(-0.001 * t) * by_matrix_exponential(omega, t)


def to_first_order(omega, t):
    return np.array([[1.0, t], [-(omega**2) * t, 1.0]])


def with_absolute_sine(omega, t):
    c, s = np.cos(omega * t), np.abs(np.sin(omega * t))
    return np.array([[c, s / omega], [-omega * s, c]])


FLOWS = (
    by_matrix_exponential,
    by_complex_numbers,
    by_a_solver,
    lambda omega, t: (
        exact_oscillation(torch.tensor([t], dtype=float64), torch.eye(2, dtype=float64), omega)[
            :, 0
        ].T
    ),
    lambda omega, t: torch.tensor(by_complex_numbers(omega, t), dtype=float32),
)


@pytest.mark.parametrize("flow", FLOWS)
def test_every_form_of_the_flow_is_right(flow):
    assert assess("11.1", flow).state == "correct", assess("11.1", flow)


@pytest.mark.parametrize(
    "flow, said",
    [
        (damped_a_little, "has changed at t = 20"),
        (to_first_order, "has changed at t = 20"),
        (with_absolute_sine, "rows of its derivative"),
        (lambda omega, t: by_matrix_exponential(omega, t + 0.1), "identity"),
    ],
)
def test_a_flow_that_is_wrong_is_told_by_what_it_breaks(flow, said):
    feedback = assess("11.1", flow)
    assert feedback.state == "not yet" and said in feedback.message


def by_loop(net, t, x, mask):
    rows = []
    for i in range(len(t)):
        rows.append(net(torch.stack([t[i][mask[i]], x[i][mask[i]]], 1)).mean(0))
    return torch.stack(rows)


def by_filling_and_weights(net, t, x, mask):
    weights = mask / mask.sum(1, keepdim=True)
    return torch.einsum("bt,btk->bk", weights, net(torch.stack([t, x.nan_to_num()], -1)))


def by_flat_choice(net, t, x, mask):
    each = net(torch.stack([t[mask], x[mask]], -1))
    row = mask.nonzero()[:, 0]
    total = torch.zeros(len(t), each.shape[1], dtype=each.dtype).index_add(0, row, each)
    return total / mask.sum(1)[:, None]


def by_masked_fill(net, t, x, mask):
    each = net(torch.stack([t, x.masked_fill(~mask, 0.0)], -1))
    return each.masked_fill(~mask[..., None], 0).sum(1) / mask.sum(1)[:, None]


@pytest.mark.parametrize("form", [by_loop, by_filling_and_weights, by_flat_choice, by_masked_fill])
def test_every_form_of_the_summary_is_right(form):
    assert assess("11.2", form).state == "correct", assess("11.2", form)
    with torch.no_grad():
        assert assess("11.2", form).state == "correct"


def multiplied(net, t, x, mask):
    return (net(torch.stack([t, x], -1)) * mask[..., None]).sum(1) / mask.sum(1)[:, None]


def chosen_after_the_net(net, t, x, mask):
    each = torch.where(mask[..., None], net(torch.stack([t, x], -1)), 0.0)
    return each.sum(1) / mask.sum(1)[:, None]


@pytest.mark.parametrize(
    "form, said",
    [
        (multiplied, "NaN times 0"),
        (chosen_after_the_net, "gradient is NaN"),
        (lambda *args: by_loop(*args).detach(), "no gradient"),
        (
            lambda *args: by_loop(*args) * torch.tensor([[1.0], [2.0]]),
            "mean of the net's results|padded",
        ),
        (lambda net, t, x, mask: _kept(net, t, x, mask).amax(1), "mean of the net's results"),
    ],
)
def test_a_summary_that_lets_nan_or_padding_in_is_told_so(form, said):
    feedback = assess("11.2", form)
    assert feedback.state == "not yet" and re.search(said, feedback.message), feedback


FOLDS = (
    lambda omega, dt: math.acos(math.cos(omega * dt)) / dt,
    lambda omega, dt: abs(omega - round(omega * dt / (2 * math.pi)) * 2 * math.pi / dt),
    lambda omega, dt: abs(np.angle(np.exp(1j * omega * dt))) / dt,
    lambda omega, dt: (
        torch.remainder(torch.tensor(omega * dt), 2 * math.pi)
        .sub(math.pi)
        .abs()
        .mul(-1)
        .add(math.pi)
        / dt
    ),
    lambda omega, dt: min(abs(omega - k * 2 * np.pi / dt) for k in range(100)),
)


@pytest.mark.parametrize("fold", FOLDS)
def test_every_form_of_the_fold_is_right(fold):
    assert assess("11.3", fold).state == "correct", assess("11.3", fold)


@pytest.mark.parametrize(
    "fold, said",
    [
        (lambda omega, dt: omega, "smallest"),
        (lambda omega, dt: math.pi / dt, "not yet|cosine"),
        (lambda omega, dt: -FOLDS[0](omega, dt), "smallest"),
        (lambda omega, dt: abs(2 * math.pi / dt - omega), "smallest|cosine"),
        (lambda omega, dt: omega % (2 * math.pi), "you leave it out of omega"),
        (lambda omega, dt: FOLDS[0](omega, dt) * dt, "the angle from one picture"),
    ],
)
def test_a_fold_that_is_wrong_is_told_so(fold, said):
    feedback = assess("11.3", fold)
    assert feedback.state == "not yet" and re.search(said, feedback.message), feedback


def test_every_form_of_the_constants_is_right():
    damping = math.log(1 / 0.6) / 4
    omega = math.hypot(math.pi / 2, damping)
    for pair in (
        [omega, damping],
        np.array([omega, damping], dtype=np.float32),
        torch.tensor([omega, damping]),
        (round(omega, 3), round(damping, 3)),
        (torch.tensor(omega), damping),
    ):
        assert assess("11.4", pair).state == "correct", pair


@pytest.mark.parametrize(
    "pair, said",
    [
        ((1.6, 0.1297), "4 units of time"),
        ((1.576, 0.15), "0.6 times"),
        ((1.576, -0.1277), "between 0 and omega"),
        ((1.5708, 0.1277), "omega is not 2 pi over the period"),
        ((1.571, 0.128), "omega is not 2 pi over the period"),
        ((0.128, 1.576), "wrong order"),
    ],
)
def test_constants_that_are_wrong_are_told_by_what_they_break(pair, said):
    feedback = assess("11.4", pair)
    assert feedback.state == "not yet" and said in feedback.message, feedback
