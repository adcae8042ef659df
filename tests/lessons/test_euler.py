"""Lesson 01: the polygon is Euler's, and the nets are what the lesson says they are."""

import itertools
import math

import pytest
import torch

from node_tutorial import odeint
from node_tutorial.lessons.euler import depth_of_a_net as euler_nets
from node_tutorial.lessons.euler import euler_polygon as euler


@pytest.mark.parametrize("name", euler.FIELDS)
def test_the_polygon_is_the_solvers(name):
    f, T, _ = euler.FIELDS[name]
    y0 = torch.tensor([0.5, 0.25], dtype=torch.float64)
    t = torch.linspace(0, T, 129, dtype=torch.float64)
    assert torch.allclose(
        euler.polygon(f, y0, T, 128), odeint(f, y0, t, method="euler"), atol=1e-12
    )


def test_the_polygon_stops_where_it_escapes():
    y = euler.polygon(euler.van_der_pol, (1.5, 1.5), 7.0, 4)
    assert len(y) < 5 and torch.isfinite(y).all()


def test_the_radius_grows_by_the_root_of_one_plus_h_squared():
    for steps in (1, 7, 64):
        radius = euler.polygon(euler.oscillator, (1.0, 0.0), 2 * math.pi, steps).norm(dim=1)
        h = 2 * math.pi / steps
        assert torch.allclose(
            radius[1:] / radius[:-1], torch.full_like(radius[1:], math.sqrt(1 + h * h))
        )


def test_a_net_of_smooth_weights_is_an_euler_solve_of_its_field():
    theta = euler_nets.trained("smooth")
    x, _ = euler_nets._moons()

    def f(t, x):
        W, b, V = (p[0] + t * p[1] for p in theta)
        return torch.tanh(x @ W + b) @ V

    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    assert torch.allclose(
        euler_nets._features("smooth", theta, x, 8), odeint(f, x, t, method="euler"), atol=1e-12
    )
    exact = odeint(f, x, torch.tensor([0.0, 1.0]), rtol=1e-9, atol=1e-9)[-1]
    limit = euler_nets._features("smooth", theta, x, euler_nets.LIMIT)[-1]
    assert (limit - exact).norm(dim=1).mean() < 0.005


def test_a_free_net_skips_every_second_block_at_half_depth_and_repeats_blocks_at_double_depth():
    theta = [torch.arange(euler_nets.DEPTH)]
    used = {
        N: [int(euler_nets._at("free", theta, k / N)[0]) for k in range(N)] for N in (8, 16, 32)
    }
    assert used[8] == list(range(0, 16, 2))
    assert used[16] == list(range(16))
    assert used[32] == [k // 2 for k in range(32)]


def test_only_nets_with_smooth_weights_show_order_one_below_their_depth():
    for kind in ("shared", "smooth"):
        distance = [euler_nets._evaluated(kind)[depth][2] for depth in (4, 8, 16, 32, 64)]
        assert all(1.7 < more / less < 2.4 for more, less in itertools.pairwise(distance))
    free = {depth: euler_nets._evaluated("free")[depth][2] for depth in (2, 4, 8, 16)}
    assert free[4] > free[2] and free[8] > 6 * free[16]
