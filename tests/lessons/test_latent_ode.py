"""Facts that lesson 12's helpers rely on: data, exact answers, losses, what is measured, refined
posteriors, events, readable figures; and other right and wrong answers to its exercises.
"""

import math

import numpy as np
import pytest
import torch

from node_tutorial import exercises, odeint
from node_tutorial.data import two_spirals
from node_tutorial.lessons.latent_ode import (
    bands,
    baselines,
    event_rate,
    events,
    nets,
    refinement,
    runs,
    spirals,
)
from node_tutorial.models import GRUWithGaps, LatentODE
from node_tutorial.models.vae import Posterior

# ---- Data ----


def test_thinned_spirals_have_their_points_at_their_places():
    whole, (t, x, mask), places = runs.thinned(6, 30, seed=3)
    assert t.shape == places.shape == (6, 30) and mask.all()
    assert torch.equal(whole.t[places], t)
    assert torch.equal(whole.x.gather(1, places[..., None].expand(-1, -1, 2)), x)


def test_sparse_spirals_have_2_to_40_points_each_version_its_own():
    whole, (t, x, mask), places = runs.sparse(40, seed=0, versions=2)
    number = mask.all(-1).sum(1)
    assert (
        len(x) == 80
        and number.min() >= runs.FEWEST
        and number.max() <= runs.MOST
        and len(number.unique()) > 15
    )
    assert torch.equal(mask.all(-1), mask.any(-1))
    assert torch.equal(whole.t[places][mask[..., 0]], t[mask[..., 0]])
    assert not torch.equal(number[:40], number[40:])
    longest = torch.stack(
        [places[i, :n].diff(prepend=torch.tensor([-1])).max() for i, n in enumerate(number)]
    )
    assert (longest[number > 25] > 20).any()  # a gap, though there are many points


def test_the_sense_of_rotation():
    whole = runs.thinned(20, 30, seed=0).spirals
    assert torch.equal(runs.turning(whole.clean) > 0, whole.counterclockwise)
    assert torch.equal(runs.turning(whole.clean[:, 100:]) > 0, whole.counterclockwise)
    turned = 6 * math.pi * 199 / 999  # three turns have 1000 points, a piece has 200
    assert torch.allclose(runs.angle(whole.clean).abs(), torch.tensor(turned), atol=1e-4)
    assert torch.equal(runs.angle(whole.clean) > 0, whole.counterclockwise)


def test_spirals_of_the_lesson_come_nearer_to_the_center():
    for clean in (
        runs.thinned(20, 30, seed=0).spirals.clean,
        runs.sparse(20, seed=0).spirals.clean,
        bands.shown().clean,
    ):
        assert (clean.norm(dim=2).diff(dim=1) < 0).all()


def test_observations_are_found_again_among_all_times():
    for data in (runs.thinned(5, 30, seed=1), runs.sparse(20, seed=1)):
        values, known = spirals.on_grid(data)
        assert values.shape == known.shape == data.spirals.clean.shape
        assert torch.equal(known.all(-1).sum(1), data.batch.mask.all(-1).sum(1))
        for i in range(len(values)):
            seen = data.batch.mask[i, :, 0]
            assert torch.equal(values[i][known[i, :, 0]], data.batch.x[i][seen])
        assert not values[~known].any() and not known[:, 100:].any()


# ---- Exact answers ----


def without_noise(keep, seed=0):
    data = runs.thinned(30, keep, seed)
    clean = data.spirals.clean.gather(1, data.places[..., None].expand(-1, -1, 2))
    return data._replace(batch=data.batch._replace(x=clean))


@pytest.mark.parametrize("answer", [baselines.least_squares, baselines.two_lines])
def test_regression_continues_a_spiral_without_noise_exactly(answer):
    data = without_noise(30)
    assert baselines.rmse(answer(data), data) < 1e-4


def test_what_regression_can_do_with_noise():
    """0.029 is near the bound of Cramer and Rao for the one unknown angle."""
    data = runs.thinned(200, 30, seed=10_000)
    exact = baselines.rmse(baselines.least_squares(data), data)
    assert exact == pytest.approx(0.029, abs=5e-4)
    assert baselines.rmse(baselines.two_lines(data), data) == pytest.approx(0.177, abs=5e-4)
    clean = data.spirals.clean
    speed = clean.diff(dim=1).norm(dim=2) / float(data.spirals.t[1])  # |dx / d theta_0|
    observed = (0.3 / math.sqrt(30) * speed[:, 100:] / speed[:, :100].mean(1, keepdim=True)) ** 2
    assert exact == pytest.approx(float((observed.mean() / 2).sqrt()), rel=0.15)


# ---- Losses and measures ----


def test_one_solve_through_the_grid_gives_the_loss_of_solves_with_own_clocks():
    data = runs.sparse(12, seed=1)
    torch.manual_seed(0)
    model = LatentODE(2, 4, GRUWithGaps(2, 8), rtol=1e-7, atol=1e-8)
    torch.manual_seed(1)
    own = model.loss(*data.batch)
    torch.manual_seed(1)
    grid = nets.loss(model, (*data.batch, data.places), data.spirals.t)
    assert grid.item() == pytest.approx(own.item(), rel=1e-4)


@pytest.mark.parametrize("name", [*runs.MODELS, *runs.ENCODERS])
def test_hidden_values_change_no_loss_and_all_parameters_learn(name):
    data = runs.sparse(8, seed=2)
    t, x, mask = data.batch
    torch.manual_seed(0)
    model, losses = (runs.MODELS | runs.ENCODERS)[name](), []
    for other in (0.0, 9.0):
        torch.manual_seed(1)
        losses.append(
            nets.loss(model, (t, torch.where(mask, x, other), mask, data.places), data.spirals.t)
        )
    assert losses[0].item() == losses[1].item()
    gradients = torch.autograd.grad(losses[1], list(model.parameters()))
    assert all(g.isfinite().all() and (g != 0).any() for g in gradients)


def test_a_forward_encoder_knows_a_late_point_better():
    """Without training, too: what was read last weighs most."""
    torch.manual_seed(0)
    t, x = torch.linspace(0, 1.8, 40)[None], torch.zeros(1, 40, 2, requires_grad=True)
    late = {}
    for name in ("GRU, forward", "GRU, backward"):
        mean = runs.ENCODERS[name]().encode(t, x).mean
        (gradient,) = torch.autograd.grad(mean.square().sum() + mean.sum(), x)
        size = gradient[0].norm(dim=1)
        late[name] = size[-1] > 10 * size[0], size[0] > 10 * size[-1]
    assert late == {"GRU, forward": (True, False), "GRU, backward": (False, True)}


def test_errors_and_coverage():
    data = runs.thinned(10, 30, seed=0)
    clean = data.spirals.clean
    assert torch.allclose(runs.errors(clean + 0.3, clean), torch.full((10,), 0.3))

    class Known:
        def __init__(self, off):
            self.off = off

        def paths_from(self, q, times, draws):
            return clean + self.off + torch.linspace(-1, 1, draws)[:, None, None, None]

    q = Posterior(torch.zeros(10, 4), torch.ones(10, 4))
    shifted = torch.zeros_like(clean)
    shifted[:, 150:] = 2.0
    assert runs.coverage(Known(0.0), data, q) == (1.0, 1.0)
    assert runs.coverage(Known(shifted), data, q) == (1.0, 0.5)


def test_groups_of_pieces_are_by_their_inner_end():
    radii = {inward: runs.radii_beyond(inward) for inward in (True, False)}
    step = spirals.RADIUS_PER_STEP
    for inward, ahead in ((True, 49.5), (False, 149.5)):
        assert radii[inward] == sorted(radii[inward])
        for low, high, radius in zip(runs.EDGES, runs.EDGES[1:], radii[inward]):
            assert step * (low + ahead) - 0.01 < radius < step * (high + ahead)


def test_outward_pieces_leave_the_radii_that_were_observed_and_inward_ones_do_not():
    for inward in (True, False):
        clean = runs.thinned(1000, 30, seed=0, inward=inward).spirals.clean.norm(dim=2)
        leave = clean[:, 100:].amax(1) > clean[:, :100].max() + 1e-4
        assert (leave.double().mean() > 0.1) == (not inward)


def test_training_depends_on_the_seed_alone():
    data = runs.thinned(100, 30, seed=0)
    first, again, other = (
        runs.train(runs.MODELS["latent ODE"], data, seed, steps=3)[1] for seed in (0, 0, 1)
    )
    assert first["loss"] == again["loss"] != other["loss"] and first.status == "finished"


# ---- Bands ----


def test_more_points_are_the_same_points_and_others():
    for gap in (0, 30, 60):
        few, many = (set(bands.kept(number, gap).tolist()) for number in (5, 40))
        assert few < many and len(few) == 5 and len(many) == 40
        assert not [place for place in many if abs(place - 49.5) < gap / 2]


def test_a_band_is_the_same_each_time_and_leaves_random_numbers_alone():
    model = runs.stored("GRU, backward")
    q = runs.stored_q("GRU, backward", 5, 0, 0)
    state = torch.random.get_rng_state()
    first, again = (bands.band(model, q, bands.shown().t) for _ in range(2))
    assert torch.equal(first, again) and first.shape == (bands.DRAWS, 1, 100, 2)
    assert torch.equal(state, torch.random.get_rng_state())


def test_half_widths_are_those_of_the_paths():
    model = runs.stored("GRU, backward")
    width, covered = bands.by_number(model, (10,), rows=5)
    whole = two_spirals(5, noise=runs.NOISE, inward=True, seed=30_000)
    places = bands.kept(10, 0)
    q = model.encode(whole.t[places], whole.x[:, places])
    low, high = bands.band(model, q, whole.t).quantile(torch.tensor([0.05, 0.95]), dim=0)
    assert width.between[0] == pytest.approx(float((high - low).mean() / 2), rel=1e-3)
    assert 0 <= covered.beyond[0] <= covered.between[0] <= 1


def test_the_explorable_shows_what_the_encoder_says_and_what_becomes_of_it():
    spiral = bands.shown()
    for name in runs.ENCODERS:
        model = runs.stored(name)
        mean, std = bands.refined_frames(model)
        assert mean.shape == std.shape == (bands.FRAMES, 18, runs.LATENT)
        for number, gap in ((2, 60), (20, 30)):
            places = bands.kept(number, gap)
            series = spiral.x[bands.SERIES, places][None]
            first, said = (
                runs.stored_q(name, number, gap, 0),
                model.encode(spiral.t[places], series),
            )
            assert torch.allclose(first.mean, said.mean, atol=5e-3)
            assert torch.allclose(first.std, said.std, atol=5e-3)
            setting = bands.NUMBERS.index(number) * 3 + bands.GAPS.index(gap)
            last = runs.stored_q(name, number, gap, bands.FRAMES - 1)
            assert torch.allclose(last.mean[0], mean[-1, setting], atol=0.05)


# ---- Refined posteriors ----


@pytest.fixture
def small():
    torch.manual_seed(0)
    model = LatentODE(2, 4, GRUWithGaps(2, 8), noise=0.3)
    data = runs.sparse(12, seed=1)
    return model, (*data.batch, data.places), data.spirals.t


def mean_bound(model, q, batch, grid, draws=200):
    torch.manual_seed(1)
    with torch.no_grad():
        return -sum(nets.minus_bound(model, q, batch, grid) for _ in range(draws)) / draws


def test_refinement_raises_the_bound_of_every_series_and_changes_no_parameter(small):
    model, batch, grid = small
    before = [p.clone() for p in model.parameters()]
    state = torch.random.get_rng_state()
    said, *_, refined = refinement.refinement(model, batch, grid, 60)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(map(torch.equal, before, model.parameters()))
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(said.mean, model.encode(*batch[:3]).mean)
    gain = mean_bound(model, refined, batch, grid) - mean_bound(model, said, batch, grid)
    assert (gain > 0).all()


def test_refinement_is_the_same_each_time_and_of_each_series_by_itself(small):
    model, batch, grid = small
    q, again = (refinement.refine(model, batch, grid, 20) for _ in range(2))
    assert torch.equal(q.mean, again.mean) and torch.equal(q.std, again.std)
    other = (batch[0], batch[1].clone(), *batch[2:])
    other[1][6:] += 3.0  # what other series hold does not matter
    changed = refinement.refine(model, other, grid, 20)
    assert torch.allclose(q.mean[:6], changed.mean[:6], atol=0.02)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_refinement_finds_the_posterior_where_it_is_known(factor):
    """The latent stays, and the decoder is the identity: then the posterior is Gaussian. The
    encoder's guess is off by two of its standard deviations, and half or twice as wide.
    """

    class Still(torch.nn.Module):
        def forward(self, t, z):
            return torch.zeros_like(z)

    class Guess(torch.nn.Module):
        def forward(self, t, x, mask, t0):
            precision = 1 + x.shape[1] / 0.25
            mean = x.sum(1) / 0.25 / precision
            std = torch.full_like(mean, precision**-0.5)
            return Posterior(mean + 2 * std, factor * std)

    model = LatentODE(2, 2, None, Still(), decoder=torch.nn.Identity(), noise=0.5)
    model.encoder = Guess()
    data = runs.thinned(20, 30, seed=0)
    q = refinement.refine(model, (*data.batch, data.places), data.spirals.t)
    guess = model.encode(*data.batch)
    std = guess.std / factor
    assert ((q.mean - (guess.mean - 2 * std)).abs() < 0.4 * std).all()
    assert torch.allclose(q.std, std, rtol=0.3)


def test_paths_from_the_posterior_of_the_encoder_are_paths(small):
    model, batch, grid = small
    torch.manual_seed(3)
    paths = model.paths(*batch[:3], grid, draws=3)
    torch.manual_seed(3)
    assert torch.equal(paths, model.paths_from(model.encode(*batch[:3]), grid, draws=3))


def test_what_is_stored_says_what_the_lesson_says():
    """Inward: no unlucky seed; refined: the bands hold within, and not beyond."""
    for what in ("covers, refined", "covers", "covers beyond, refined"):
        assert len(runs.found("latent ODE", 30, what)) == 5
    assert max(runs.found("latent ODE", 30, "beyond")) < 0.45
    assert max(runs.found("latent ODE", 30, "beyond", inward=False)) > 1.2
    assert max(runs.found("latent ODE", 30, "covers")) < 0.66
    assert min(runs.found("latent ODE", 30, "covers, refined")) > 0.85
    assert max(runs.found("latent ODE", 30, "covers beyond, refined")) < 0.5
    assert min(runs.found("latent ODE", 30, "gain")) > 5  # nats


def test_a_reading_moves_the_rnn_on_by_about_the_same_whatever_the_gap():
    """Its favorite step: too far where the gap is one step, not far enough where it is three."""
    data = runs.thinned(200, 30, seed=10_000)
    rnn = runs.stored("RNN")
    clean = data.spirals.clean[:, 100:]
    steps = []
    for gap in (1, 2, 3, 4):
        places = torch.arange(gap - 1, 100, gap)
        path = runs.predict(rnn, data.batch, data.spirals.later[places])
        turned = runs.angle(path) / runs.angle(clean[:, places])
        steps.append(gap * float(turned.median()))
    assert 1.4 < steps[0] < 1.8 and 2.0 < steps[2] < 2.4 and steps == sorted(steps)
    assert steps[3] < 2 * steps[0]  # for a gap that is four times as long


def test_the_latent_tells_the_two_senses_apart_and_no_flat_cut_does():
    data = runs.thinned(200, 30, seed=10_000)
    start = runs.stored("latent ODE").encode(*data.batch).mean
    sense = data.spirals.counterclockwise
    apart = torch.cdist(start, start).fill_diagonal_(torch.inf)
    assert (sense[apart.argmin(1)] == sense).double().mean() > 0.98
    with_one = torch.cat([start, torch.ones(200, 1)], 1)
    cut = torch.linalg.lstsq(with_one[:100], sense[:100, None].float() * 2 - 1).solution
    assert ((with_one[100:] @ cut > 0)[:, 0] == sense[100:]).double().mean() < 0.8


def test_refined_two_points_are_given_one_sense():
    times = torch.cat([bands.shown().t, bands.shown().later])
    sense = bands.shown().counterclockwise[bands.SERIES]
    for name in runs.ENCODERS:
        first, last = (
            runs.turning(
                bands.band(runs.stored(name), runs.stored_q(name, 2, 0, frame), times)[:, 0]
            )
            for frame in (0, bands.FRAMES - 1)
        )
        assert 0.1 < ((first > 0) == sense).double().mean() < 0.9
        assert ((last > 0) == sense).double().mean() > 0.9


# ---- Events ----


def test_events_come_as_often_as_the_rate_says():
    drawn = [events.draw_events(events.wave, 10.0, 3.5, seed=seed) for seed in range(300)]
    expected = 2 * 10 + 1.5 * (1 - math.cos(10.0))
    numbers = torch.tensor([float(len(t)) for t in drawn])
    assert abs(numbers.mean() - expected) < 4 * math.sqrt(expected / 300)
    assert numbers.var() == pytest.approx(
        expected, rel=0.35
    )  # a Poisson number has the variance of its mean
    early = sum(int((t < math.pi).sum()) for t in drawn) / 300
    assert abs(early - (2 * math.pi + 3)) < 4 * math.sqrt((2 * math.pi + 3) / 300)
    assert all((t.diff() > 0).all() and t.min() >= 0 and t.max() <= 10 for t in drawn)


def test_the_integral_of_a_line():
    rate = events.Line(0.7, 0.3)
    t = torch.linspace(0, 10, 1001, dtype=torch.float64)
    assert rate.integral(10.0) == pytest.approx(float(torch.trapezoid(rate.at(t), t)), rel=1e-9)


def test_the_best_constant_rate_is_the_number_of_events_by_the_time():
    for sequence in (0, 3):
        one = event_rate.compute(1.0, 0.0, sequence)
        # log 1 = 0, and the integral is the time.
        assert one.total == pytest.approx(-event_rate.END, abs=1e-9)
        constant = len(one.events) / event_rate.END
        best = event_rate.compute(constant, 0.0, sequence)
        assert best.total == pytest.approx(one.flat, abs=1e-9)
        for other in (0.9 * constant, 1.1 * constant):
            assert event_rate.compute(other, 0.0, sequence).total < best.total


def test_a_latent_rate_integrates_itself():
    torch.manual_seed(0)
    rate = events.LatentRate()
    t = torch.linspace(0, 3, 301)
    log_rate, integral = rate(t)
    assert integral.item() == pytest.approx(torch.trapezoid(log_rate.exp(), t).item(), rel=1e-3)


# ---- Exercises: other right forms, other wrong answers ----


def answer(id, function):
    feedback = exercises.find(id).assess(function)
    return feedback.state, feedback.message


def log_density(x, mean, sigma):
    return -(((x - mean) / sigma) ** 2) / 2 - math.log(sigma) - math.log(2 * math.pi) / 2


def chosen(x, mask, mean, sigma):
    return log_density(x[mask], mean[mask], sigma).sum()


def by_distribution(x, mask, mean, sigma):
    x = x.nan_to_num().where(mask, torch.zeros_like(x))
    entries = torch.distributions.Normal(mean, sigma).log_prob(x)
    return entries.masked_fill(~mask, 0.0).sum()


def in_a_loop(x, mask, mean, sigma):
    total = 0.0
    for value, seen, m in zip(x.flatten(), mask.flatten(), mean.flatten()):
        if seen:
            total = total + log_density(value, m, sigma)
    return total


def in_numpy(x, mask, mean, sigma):
    seen = mask.numpy()
    return log_density(x.numpy()[seen], mean.detach().numpy()[seen], sigma).sum()


@pytest.mark.parametrize("right", [chosen, by_distribution, in_a_loop, in_numpy])
def test_a_masked_likelihood_may_be_written_in_any_form(right):
    assert answer("12.1", right)[0] == "correct"


def test_a_hidden_nan_spoils_neither_the_value_nor_the_gradient():
    """With x = [1, NaN], `torch.where` on the result has the right value, and a gradient of NaN."""

    def last(x, mask, mean, sigma):
        return torch.where(mask, log_density(x, mean, sigma), 0.0).sum()

    def product(x, mask, mean, sigma):
        return (log_density(x, mean, sigma) * mask).sum()

    def nansum(x, mask, mean, sigma):
        return (log_density(x, mean, sigma) * mask).nansum()

    for wrong, why in (
        (last, "gradient is NaN"),
        (product, "NaN * 0"),
        (nansum, "gradient is NaN"),
    ):
        state, message = answer("12.1", wrong)
        assert state == "not yet" and why in message, message


def by_sorting(paths, truth):
    ordered = paths.sort(dim=0).values
    return ((ordered[5] <= truth) & (truth <= ordered[-6])).float().mean()


def by_numpy(paths, truth):
    low, high = np.quantile(paths.numpy(), [0.05, 0.95], axis=0)
    return np.mean((low < truth.numpy()) & (truth.numpy() < high))


def by_rank(paths, truth):
    below = (paths < truth).double().mean(0)
    return ((below > 0.05) & (below < 0.95)).double().mean().item()


@pytest.mark.parametrize("right", [by_sorting, by_numpy, by_rank])
def test_a_coverage_may_be_found_in_any_form(right):
    assert answer("12.2", right)[0] == "correct"


def test_other_bands_are_not_the_one_that_was_asked_for():
    wrong = (
        lambda paths, truth: ((truth - paths.mean(0)).abs() < 1.645).double().mean(),
        lambda paths, truth: (paths.quantile(0.05) < truth).double().mean(),
        lambda paths, truth: ((paths - truth).abs() < 0.3).double().mean(),
        lambda paths, truth: 0.9,
    )
    for function in wrong:
        assert answer("12.2", function)[0] == "not yet"


def test_mistakes_that_readers_made_are_answered():
    def whole(paths, truth):
        low, high = np.quantile(paths.numpy(), (0.05, 0.95))
        return float(((truth > low) & (truth < high)).double().mean())

    def by_variance(x, mask, mean, sigma):
        return torch.distributions.Normal(mean[mask], sigma**2).log_prob(x[mask]).sum()

    def minus(x, mask, mean, sigma):
        return -torch.distributions.Normal(mean[mask], sigma).log_prob(x[mask]).sum()

    for id, function, said in (
        ("12.1", by_variance, "standard deviation"),
        ("12.1", minus, "minus the log-likelihood"),
        ("12.2", whole, "one band for all times"),
        ("12.3", lambda *args: -exercises.find("12.3").solution(*args), "minus log p"),
    ):
        state, message = answer(id, function)[:2]
        assert state == "not yet" and said in message, message


def rk4(func, h, begin, end, steps=20):
    step = (end - begin) / steps
    for k in range(steps):
        t = begin + k * step
        a = func(t, h)
        b = func(t + step / 2, h + step / 2 * a)
        c = func(t + step / 2, h + step / 2 * b)
        d = func(t + step, h + step * c)
        h = h + step / 6 * (a + 2 * b + 2 * c + d)
    return h


def own_steps(func, cell, t, x, h):
    for i, value in enumerate(x):
        h = cell(value, h if i == 0 else rk4(func, h, t[i - 1], t[i]))
    return h


def move_to_the_next(func, cell, t, x, h):
    for begin, end, value in zip(t[:-1], t[1:], x[:-1]):
        h = odeint(func, cell(value, h), torch.stack([begin, end]), rtol=1e-8, atol=1e-8)[-1]
    return cell(x[-1], h)


def recursive(func, cell, t, x, h):
    h = cell(x[0], h)
    if len(t) == 1:
        return h
    return recursive(
        func,
        cell,
        t[1:],
        x[1:],
        odeint(func, h, t[:2], method="rk4", options={"step_size": 0.05})[-1],
    )


@pytest.mark.parametrize("right", [own_steps, move_to_the_next, recursive])
def test_a_state_may_be_moved_by_any_solver(right):
    assert answer("12.4", right)[0] == "correct"


def test_a_state_that_is_moved_wrongly_is_not_accepted():
    def backwards(func, cell, t, x, h):
        h = cell(x[0], h)
        for i in range(1, len(t)):
            h = cell(x[i], odeint(func, h, t[i - 1 : i + 1].flip(0))[-1])
        return h

    def midpoint(func, cell, t, x, h):
        h = cell(x[0], h)
        for i in range(1, len(t)):
            h = cell(x[i], rk4(func, h, t[i - 1], t[i], steps=1) + 0.01)
        return h

    def only_moves(func, cell, t, x, h):
        return odeint(func, cell(x[0], h), torch.stack([t[0], t[-1]]))[-1]

    for wrong in (backwards, midpoint, only_moves):
        assert answer("12.4", wrong)[0] == "not yet"


def test_an_odernn_is_the_exercise_with_its_own_field_and_cell():
    torch.manual_seed(0)
    net = runs.MODELS["ODE-RNN"]().net
    data = runs.thinned(3, 30, seed=0)
    state = exercises.find("12.4").solution(
        lambda t, h: net.func(t.reshape(1, 1), h[None])[0],
        lambda x, h: net.cell(torch.cat([x, torch.ones(2)])[None], h[None])[0],
        data.batch.t[0],
        data.batch.x[0],
        torch.zeros(net.hidden),
    )
    assert torch.allclose(state, net(*data.batch).state[0, -1], atol=1e-2)


# ---- Pictures ----
