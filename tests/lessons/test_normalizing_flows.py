"""Facts that lesson 14's helpers rely on: stored flows, how they are built and measured, folds."""

import math

import numpy as np
import pytest
import torch
from torch.func import jacrev, vmap

from node_tutorial import explore
from node_tutorial.data import grid
from node_tutorial.lessons.normalizing_flows import exercises, figures, runs
from node_tutorial.lessons.normalizing_flows.coupling_layers import last_layers
from node_tutorial.lessons.normalizing_flows.planar_layer import area, roots
from node_tutorial.models import normal_log_prob

float64 = torch.float64
MOONS = runs.Setting("two moons")


def log_det(map, x):
    return torch.linalg.slogdet(vmap(jacrev(map))(x)).logabsdet


def test_the_first_seed_is_stored_with_its_parameters():
    for setting in runs.UPDATES:
        name = f"{setting.name}/parameters"
        assert (name in runs.stored()) == (setting.seed == 0)
        if setting.seed == 0:
            size = sum(p.numel() for p in runs.build(setting).parameters())
            assert runs.stored()[name].shape == (size,)


def test_no_stored_flow_is_better_than_the_truth():
    for setting in runs.UPDATES:
        found = runs.measures(setting)
        assert found["kl"] > -3 * found["standard_error"], setting.name


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


def test_areas_of_the_moons_grow_most_where_data_are_rare():
    with torch.no_grad():
        torch.manual_seed(0)
        x, growth = runs.flow_of(MOONS).inverse(torch.randn(2000, 2, dtype=float64))
    log_p = runs.density_of(MOONS.density).log_prob(x)
    assert log_p[growth > growth.quantile(0.99)].median() < log_p.median() - 2


def test_below_minus_one_the_width_of_a_fold_changes_the_integral_and_the_shear_does_not():
    panel = explore.planar_layer()
    plain = panel.evaluate(wu=-2.0).data.area
    assert panel.evaluate(wu=-2.0, shear=1.5).data.area == pytest.approx(plain, abs=1e-3)
    assert panel.evaluate(wu=-2.0, steep=3.0).data.area < plain - 0.3
    for settings in ({"shear": 1.5}, {"steep": 3.0}, {"steep": 0.5}):
        assert panel.evaluate(wu=-0.5, **settings).data.area == pytest.approx(1, abs=1e-2)
