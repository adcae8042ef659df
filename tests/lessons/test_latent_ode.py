"""Facts that lesson 12's helpers rely on: data, losses, what is measured, events."""

import math

import pytest
import torch

from node_tutorial import explore
from node_tutorial.data import Batch, two_spirals
from node_tutorial.lessons.latent_ode import bands, event_rate, events, nets, runs
from node_tutorial.models import GRUWithGaps, LatentODE

# ---- Data ----


def test_thinned_spirals_have_their_points_at_their_places():
    spirals, (t, x, mask), places = runs.thinned(6, 30, seed=3)
    assert t.shape == places.shape == (6, 30) and mask.all()
    assert torch.equal(spirals.t[places], t)
    assert torch.equal(spirals.x.gather(1, places[..., None].expand(-1, -1, 2)), x)


def test_sparse_spirals_have_2_to_40_points_each_version_its_own():
    spirals, (t, x, mask), places = runs.sparse(40, seed=0, versions=2)
    number = mask.all(-1).sum(1)
    assert (
        len(x) == 80
        and number.min() >= runs.FEWEST
        and number.max() <= runs.MOST
        and len(number.unique()) > 15
    )
    assert torch.equal(mask.all(-1), mask.any(-1))
    assert torch.equal(spirals.t[places][mask[..., 0]], t[mask[..., 0]])
    assert not torch.equal(number[:40], number[40:])
    longest = torch.stack(
        [places[i, :n].diff(prepend=torch.tensor([-1])).max() for i, n in enumerate(number)]
    )
    assert (longest[number > 25] > 20).any()  # a gap, though there are many points


def test_the_sense_of_rotation():
    spirals = runs.thinned(20, 30, seed=0).spirals
    assert torch.equal(runs.turning(spirals.clean) > 0, spirals.counterclockwise)
    assert torch.equal(runs.turning(spirals.clean[:, 100:]) > 0, spirals.counterclockwise)
    turned = 6 * math.pi * 199 / 999  # three turns have 1000 points, a piece has 200
    assert torch.allclose(runs.angle(spirals.clean).abs(), torch.tensor(turned), atol=1e-4)
    assert torch.equal(runs.angle(spirals.clean) > 0, spirals.counterclockwise)


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

        def paths(self, t, x, mask, times, draws):
            return clean + self.off + torch.linspace(-1, 1, draws)[:, None, None, None]

    shifted = torch.zeros_like(clean)
    shifted[:, 150:] = 2.0
    assert runs.coverage(Known(0.0), data) == (1.0, 1.0)
    assert runs.coverage(Known(shifted), data) == (1.0, 0.5)


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
    t, x, *_ = two_spirals(1, noise=runs.NOISE)
    state = torch.random.get_rng_state()
    first, again = (bands.band(model, t[:5], x[0, :5], t) for _ in range(2))
    assert torch.equal(first, again) and first.shape == (bands.DRAWS, 100, 2)
    assert torch.equal(state, torch.random.get_rng_state())


def test_the_horizon_ends_the_picture_and_what_is_said_of_it():
    panel = explore.posterior_band()
    short, long = panel.evaluate(horizon=1.0), panel.evaluate(horizon=2.0)
    assert short.data.beyond is None and "beyond" not in short.text
    assert len(short.data.times) == 100 and len(long.data.times) == 200


def test_half_widths_are_those_of_the_paths():
    width, covered = bands.by_number(runs.stored("GRU, backward"), (10,), rows=5)
    spirals = two_spirals(5, noise=runs.NOISE, seed=30_000)
    places = bands.kept(10, 0)
    batch = Batch(spirals.t[places], spirals.x[:, places], torch.ones(5, 10, 2, dtype=torch.bool))
    torch.manual_seed(0)
    paths = runs.stored("GRU, backward").paths(*batch, spirals.t, bands.DRAWS)
    low, high = paths.quantile(torch.tensor([0.05, 0.95]), dim=0)
    assert width.between[0] == pytest.approx(float((high - low).mean() / 2), rel=1e-3)
    assert 0 <= covered.beyond[0] <= covered.between[0] <= 1


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
