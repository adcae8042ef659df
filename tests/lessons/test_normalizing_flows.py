"""Facts that lesson 14's helpers rely on: stored flows, how they are built and measured, folds."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import (
    AffineTransform,
    Normal,
    SigmoidTransform,
    TransformedDistribution,
)
from torch.func import jacrev, vmap

from node_tutorial import exercises as all_exercises
from node_tutorial import explore
from node_tutorial.data import grid
from node_tutorial.lessons.normalizing_flows import exercises, figures, runs
from node_tutorial.lessons.normalizing_flows.coupling_layers import last_layers
from node_tutorial.lessons.normalizing_flows.planar_layer import area, roots
from node_tutorial.models import normal_log_prob

float64 = torch.float64
MOONS = runs.Setting("two moons")
COMPARED = [(density, kind) for density in runs.COMPARED for kind in runs.MILLISECONDS]


def log_det(map, x):
    return torch.linalg.slogdet(vmap(jacrev(map))(x)).logabsdet


def test_trainings_are_stored_with_their_parameters():
    for setting in runs.UPDATES:
        size = sum(p.numel() for p in runs.build(setting).parameters())
        assert runs.stored()[f"{setting.name}/parameters"].shape == (size,)


def test_no_stored_flow_is_better_than_the_truth():
    for setting in runs.UPDATES:
        found = runs.measures(setting)
        assert found["kl"] > -3 * found["standard_error"], setting.name
    for density, kind in COMPARED:
        fits = runs.compared(density, kind)
        assert all(kl > -3 * error for kl, error in zip(fits.kl, fits.error))


@pytest.mark.parametrize(("density", "kind"), COMPARED)
def test_kinds_are_compared_at_the_same_price_and_after_as_many_trials(density, kind):
    nll = runs.trials(density, kind)
    sizes = list(runs.MILLISECONDS[kind])
    assert nll.shape == (len(sizes), len(runs.RATES)) == (2, 5)
    fits = runs.compared(density, kind)
    assert nll[sizes.index(fits.layers), runs.RATES.index(fits.rate)] == nll.min()
    price = runs.MILLISECONDS[kind][fits.layers]
    assert fits.updates * price == pytest.approx(1000 * runs.SECONDS, rel=1e-3)
    assert len(fits.kl) == len(runs.SEEDS) >= 3


def test_a_comparison_can_be_made_anew(monkeypatch):
    monkeypatch.setattr(runs, "SECONDS", 0.01)
    fits = runs.compared("two moons", "planar", anew=True)
    assert fits.updates < 10 and min(fits.kl) > max(runs.compared("two moons", "planar").kl)
    trials = runs.RUNS.results["tried/two moons/alternating"]
    monkeypatch.setattr(runs, "TRIAL", 0.01)
    assert np.shape(trials.make(trials.settings, trials.seeds)["nll"]) == (2, 5)


def test_a_training_is_the_same_twice_and_leaves_the_default_dtype():
    for setting in (runs.Setting("two moons", layers=2), runs.Setting("U1", "planar", 2)):
        first, second = (runs.measured(runs.Training(setting, 3), (0,)) for _ in range(2))
        assert all(np.array_equal(first[name], second[name]) for name in first)
    assert torch.get_default_dtype() == torch.float32


def test_one_mask_keeps_the_first_coordinate_and_alternating_masks_none():
    x = torch.randn(50, 2, dtype=float64)
    for layers in runs.LAYERS:
        kept = runs.flow_of(runs.Setting("8 Gaussians", "one mask", layers))(x).y == x
        moved = runs.flow_of(runs.Setting("8 Gaussians", layers=layers))(x).y == x
        assert kept[:, 0].all() and not kept[:, 1].any() and not moved.any()


def test_the_layers_next_to_the_noise_are_the_end_of_the_flow():
    flow, x = runs.flow_of(MOONS), torch.randn(20, 2, dtype=float64)
    assert torch.equal(last_layers(flow, 8)(x).y, flow(x).y)
    assert torch.equal(last_layers(flow, 0)(x).y, x)
    back = x
    for k in range(3):
        one = last_layers(flow, k + 1)
        one.nets, one.kept = one.nets[:1], one.kept[:1]
        back = one.inverse(back).y
    assert torch.allclose(back, last_layers(flow, 3).inverse(x).y)


@pytest.mark.parametrize(("wu", "steep"), [(-0.5, 1.0), (-2.0, 1.0), (-3.0, 2.0), (2.0, 0.5)])
def test_the_integral_of_a_planar_layer_is_that_over_the_plane(wu, steep):
    x, cell = grid((-12, 12, -8, 8), 600)
    a = steep * x[:, 0]  # w = (steep, 0), u = (wu / steep, 0)
    h = torch.tanh(a)
    image = torch.stack([x[:, 0] + wu / steep * h, x[:, 1]], dim=1)
    claimed = normal_log_prob(image).exp() * (1 + wu * (1 - h * h)).abs()
    assert area(wu, steep) == pytest.approx(float(claimed.sum() * cell), abs=2e-3)
    assert (area(wu, steep) > 1.01) == (wu < -1)


def test_roots_are_all_points_with_one_image():
    for wu, level, count in [(-2.0, 0.0, 3), (-2.0, 3.0, 1), (-0.9, 0.3, 1), (2.0, -1.0, 1)]:
        found = roots(wu, level)
        assert len(found) == count
        for a in found:
            assert a + wu * math.tanh(a) == pytest.approx(level, abs=1e-5)


def test_the_solution_of_14_4_is_autograds_log_det():
    for size in (2, 3, 6):
        x = torch.randn(10, size, dtype=float64)
        assert torch.allclose(
            exercises.radial_log_det(x), log_det(lambda x: x * (1 + x.square().sum()), x)
        )


def test_the_solution_of_14_3_undoes_its_coupling():
    x = torch.randn(10, 2, dtype=float64)
    s, r = exercises._net(x[:, :1])
    y = torch.cat([x[:, :1], x[:, 1:] * s.exp() + r], dim=1)
    assert torch.allclose(exercises.undo(y, exercises._net), x)


def test_the_solution_of_14_1_is_a_density():
    x = torch.linspace(1e-6, 1 - 1e-6, 100_001, dtype=float64)
    assert float(torch.trapezoid(exercises.density(x), x)) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("map", ["x = a z", "x = -a z", "x = exp(a z)", "x = z + a tanh(2 z)"])
def test_the_factors_of_the_line_have_the_areas_that_theory_says(map):
    panel, a = explore.stretched_density(), 1.5
    found = {
        factor: panel.evaluate(map=map, a=a, factor=factor).data
        for factor in ("|dz/dx|", "dz/dx", "no factor")
    }
    assert found["|dz/dx|"].area == pytest.approx(1, abs=1e-6)
    assert found["dz/dx"].area == pytest.approx(-1 if map == "x = -a z" else 1, abs=1e-6)
    mean_slope = {"x = a z": a, "x = -a z": a, "x = exp(a z)": a * math.exp(a * a / 2)}.get(map)
    if mean_slope:
        assert found["no factor"].area == pytest.approx(mean_slope, rel=1e-6)


def test_a_path_between_islands_begins_and_ends_on_them():
    start, end = torch.tensor([-3.0, 0.1], dtype=float64), torch.tensor([3.0, 0.0], dtype=float64)
    path = figures.bridge_path(runs.flow_of(runs.ISLANDS), start, end)
    assert torch.allclose(path[0], start, atol=1e-6) and torch.allclose(path[-1], end, atol=1e-6)
    assert path.diff(dim=0).norm(dim=1).max() < 1  # in one piece


def test_the_share_far_from_the_islands_is_counted():
    centers = torch.tensor([[-3.0, 0.0], [3.0, 0.0]])
    x = torch.tensor([[-3.0, 0.5], [0.0, 0.0], [3.0, 2.0], [3.1, 0.0]])
    assert figures.share_far_from(centers, x, 1.0) == 0.5


def test_areas_of_the_moons_grow_most_between_them_and_not_where_noise_is_rare_too():
    with torch.no_grad():
        torch.manual_seed(0)
        z = torch.randn(4000, 2, dtype=float64)
        x, growth = runs.flow_of(MOONS).inverse(z)
    log_p = runs.density_of(MOONS.density).log_prob(x)
    most = growth > growth.quantile(0.99)
    outside = (log_p < log_p.quantile(0.02)) & (x[:, 0].abs() > 2)
    assert log_p[most].median() < log_p.median() - 2
    assert (x[most, 0].abs() < 2).all()
    assert log_p[outside].median() < log_p.median() - 2  # as rare
    assert growth[outside].median() < growth[most].median() - 1
    assert z[outside].norm(dim=1).median() > z[most].norm(dim=1).median() + 0.5


def test_no_coupling_with_one_mask_is_better_than_the_best_single_one():
    """The best has the mean and the variance of x_2 for each x_1."""
    density = runs.density_of("two moons")
    gaps = [runs.measures(runs.Setting("two moons", "one mask", n))["kl"] for n in runs.LAYERS]
    points, cell = grid(density.bounds, 300)
    p = density.log_prob(points).exp().reshape(300, 300)
    left, right, _, _ = density.bounds
    dx = (right - left) / 300
    dy = cell / dx
    x1 = points[:300, 0]
    x2 = points[:, 1].reshape(300, 300)
    p1 = p.sum(0) * dy
    given = p / p1
    mean = (given * x2).sum(0) * dy
    variance = (given * (x2 - mean) ** 2).sum(0) * dy
    log_q = Normal(mean, variance.sqrt()).log_prob(x2) + Normal(0.0, 1.0).log_prob(x1)
    best = float((p * (p.log() - log_q)).sum() * cell)
    assert best < min(gaps) < max(gaps) < best + 0.05


def test_below_minus_one_the_width_of_a_fold_changes_the_integral_and_the_shear_does_not():
    panel = explore.planar_layer()
    plain = panel.evaluate(wu=-2.0).data.area
    assert panel.evaluate(wu=-2.0, shear=1.5).data.area == pytest.approx(plain, abs=1e-3)
    assert panel.evaluate(wu=-2.0, steep=3.0).data.area < plain - 0.3
    for settings in ({"shear": 1.5}, {"steep": 3.0}, {"steep": 0.5}):
        assert panel.evaluate(wu=-0.5, **settings).data.area == pytest.approx(1, abs=1e-2)


# -- exercises: right answers in other forms, and wrong ones ---------------------------------------


def by_torch(x):
    """The density of 14.1, by torch's own rules for transformed noise."""
    maps = [AffineTransform(1.0, -2.0), SigmoidTransform()]
    noise = Normal(torch.zeros((), dtype=x.dtype), 1.0)
    return TransformedDistribution(noise, maps).log_prob(x).exp()


def by_autograd(x):
    s = x.clone().requires_grad_()
    z = (1 - torch.logit(s)) / 2
    (slope,) = torch.autograd.grad(z.sum(), s)
    return normal_log_prob(z.unsqueeze(-1)).exp() * slope.abs()


def by_differences(x):
    """The difference of the noise's distribution function."""
    h = 1e-6
    below, above = (1 - torch.special.ndtr((1 - torch.logit(x + d)) / 2) for d in (-h, h))
    return (above - below) / (2 * h)


def by_numpy(x):
    z = 0.5 - 0.5 * np.log(x.numpy() / (1 - x.numpy()))
    return np.exp(-z * z / 2) / np.sqrt(8 * np.pi) / (x.numpy() - x.numpy() ** 2)


def by_scanning(c):
    """The least w.u of a fine list for which the layer never falls."""
    a = np.linspace(-1e-3, 1e-3, 3)
    wu = np.linspace(-5, 0, 50_001)
    rises = np.all(np.diff(a + wu[:, None] * np.tanh(c * a), axis=1) > 0, axis=1)
    return wu[rises].min()


def by_steps(y, net):
    """The root for each point."""
    rows = []
    for row in y:
        s, r = net(row[None, :1])
        rows.append(torch.stack([row[0], (row[1] - r[0, 0]) / s[0, 0].exp()]))
    return torch.stack(rows)


def in_place(y, net):
    x = y.clone()
    s, r = net(x[:, :1])
    x[:, 1:] -= r
    x[:, 1:] *= torch.exp(-s)
    return x


def by_log_scale(y, net):
    s, r = net(y[:, [0]])
    return torch.hstack(
        [y[:, [0]], torch.exp(torch.log((y[:, [1]] - r).abs()) - s) * (y[:, [1]] > r).mul(2).sub(1)]
    )


def radial(x):
    return (1 + x.square().sum(-1, keepdim=True)) * x


def by_rank_one(x):
    """det((1 + r2) I + 2 x x^T), by the rule for I + u v^T."""
    r2 = x.square().sum(1)
    return x.shape[1] * torch.log1p(r2) + torch.log1p(2 * r2 / (1 + r2))


def by_matrices(x):
    eye = torch.eye(x.shape[1], dtype=x.dtype)
    jacobians = (1 + x.square().sum(1))[:, None, None] * eye + 2 * x[:, :, None] * x[:, None, :]
    return torch.linalg.slogdet(jacobians).logabsdet


def by_a_loop(x):
    found = []
    for row in x.numpy():
        r2 = float(row @ row)
        found.append(math.log((1 + r2) ** (len(row) - 1) * (1 + 3 * r2)))
    return found


RIGHT = {
    "14.1": [by_torch, by_autograd, by_differences, by_numpy],
    "14.2": [
        by_scanning,
        lambda c: -1 / float(torch.func.grad(lambda a: torch.tanh(c * a))(torch.zeros(()))),
        lambda c: torch.tensor([-1.0]) / c,
        lambda c: -math.exp(-math.log(c)),
    ],
    "14.3": [by_steps, in_place, by_log_scale],
    "14.4": [lambda x: log_det(radial, x), by_rank_one, by_matrices, by_a_loop],
}
WRONG = {
    "14.1": [
        lambda x: by_autograd(x) / (1 - x),
        lambda x: normal_log_prob(torch.logit(x).unsqueeze(-1)).exp() / (x * (1 - x)),
        lambda x: torch.ones_like(x),
        lambda x: by_autograd(x) / by_autograd(x).sum(),
    ],
    "14.2": [lambda c: -2 / c, lambda c: -1 / math.sqrt(c), lambda c: -1 - c, lambda c: math.nan],
    "14.3": [
        lambda y, net: y,
        lambda y, net: torch.cat([y[:, :1], (y[:, 1:] - net(y[:, :1])[1])], dim=1),
        lambda y, net: torch.cat([y[:, :1], y[:, 1:] * torch.exp(-net(y[:, :1])[0])], dim=1),
        lambda y, net: by_steps(y, net).flip(1),
    ],
    "14.4": [
        lambda x: 2 * by_rank_one(x),
        lambda x: torch.log1p(3 * x.square()).sum(1),
        lambda x: x.shape[1] * torch.log1p(3 * x.square().sum(1)),
        lambda x: torch.log1p(x.norm(dim=1)) * (x.shape[1] - 1) + torch.log1p(3 * x.norm(dim=1)),
    ],
}


@pytest.mark.parametrize("id", RIGHT)
def test_right_answers_in_other_forms_pass(id):
    for i, answer in enumerate(RIGHT[id]):
        feedback = all_exercises.find(id).assess(answer)
        assert feedback.state == "correct", f"{i}: {feedback}"


@pytest.mark.parametrize("id", WRONG)
def test_wrong_answers_do_not(id):
    for i, answer in enumerate(WRONG[id]):
        feedback = all_exercises.find(id).assess(answer)
        assert feedback.state == "not yet", f"{i}: {feedback}"
