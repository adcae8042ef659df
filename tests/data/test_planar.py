"""The points: where they lie, how they are spread, that the same seed gives the same ones."""

import math

import pytest
import torch

from node_tutorial.data import disk_in_annulus, reflection


def test_disk_and_annulus_lie_where_they_should_with_their_labels():
    x, label = disk_in_annulus(500, 1500, seed=3)
    radius = x.norm(dim=1)
    assert x.shape == (2000, 2) and label.shape == (2000, 1)
    assert (label[:500] == -1).all() and (label[500:] == 1).all()
    assert radius[:500].max() <= 0.5 and radius[500:].min() >= 1 and radius[500:].max() <= 1.5


def test_points_are_uniform_in_area_and_in_every_direction():
    x, _label = disk_in_annulus(20000, 20000)
    radius, angle = x.norm(dim=1), torch.atan2(x[:, 1], x[:, 0])
    assert (radius[:20000] < 0.25).double().mean().item() == pytest.approx(1 / 4, abs=0.012)
    area = (1.25**2 - 1) / (1.5**2 - 1)
    assert (radius[20000:] < 1.25).double().mean().item() == pytest.approx(area, abs=0.014)
    for part in (angle[:20000], angle[20000:]):
        counts = torch.histc(part, 10, -math.pi, math.pi)
        assert (counts / 2000 - 1).abs().max() < 0.1


def test_a_seed_gives_its_points_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    one, two, other = (disk_in_annulus(20, 30, seed=seed)[0] for seed in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_reflection_reverses_the_order():
    x, target = reflection()
    assert x.shape == target.shape == (2, 1)
    assert x[0] < x[1] and target[0] > target[1]
