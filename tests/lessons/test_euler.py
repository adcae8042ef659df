"""Lesson 01: the polygon is Euler's, and the nets are what the lesson says they are."""

import itertools
import math

import pytest
import torch

from node_tutorial import odeint
from node_tutorial.data.systems import oscillator, van_der_pol
from node_tutorial.lessons.euler import euler_polygon, figures, nets
from node_tutorial.plotting import text_problems


def point(*y):
    return torch.tensor(y, dtype=torch.float64)


@pytest.mark.parametrize("name", euler_polygon.FIELDS)
def test_the_polygon_is_the_solvers(name):
    f, T, _ = euler_polygon.FIELDS[name]
    y0 = point(0.5, 0.25)
    t = torch.linspace(0, T, 129, dtype=torch.float64)
    y = euler_polygon.polygon(f, y0, T, 128)
    assert torch.allclose(y, odeint(f, y0, t, method="euler"), atol=1e-12)


def test_the_polygon_stops_where_it_escapes():
    y = euler_polygon.polygon(van_der_pol, point(1.5, 1.5), 7.0, 4)
    assert len(y) < 5 and torch.isfinite(y).all()
    data = euler_polygon.compute(4, "van der Pol oscillator", 1.5, 1.5)
    assert data.escaped and data.error == 0 and "diverges" in euler_polygon.describe(data)


def test_the_radius_grows_by_the_root_of_one_plus_h_squared():
    for steps in (1, 7, 64):
        data = euler_polygon.compute(steps, "harmonic oscillator", 1.0, 0.0)
        radius = data.y.norm(dim=1)
        growth = torch.full_like(radius[1:], math.sqrt(1 + data.h**2))
        assert torch.allclose(radius[1:] / radius[:-1], growth)


def test_a_net_of_smooth_weights_is_an_euler_solve_of_its_field():
    theta = nets.trained("smooth")
    x, _ = nets.moons()

    def f(t, x):
        W, b, V = (p[0] + t * p[1] for p in theta)
        return torch.tanh(x @ W + b) @ V

    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    features = nets.features("smooth", theta, x, 8)
    assert torch.allclose(features, odeint(f, x, t, method="euler"), atol=1e-12)
    exact = odeint(f, x, torch.tensor([0.0, 1.0]), rtol=1e-9, atol=1e-9)[-1]
    limit = nets.features("smooth", theta, x, nets.LIMIT)[-1]
    assert (limit - exact).norm(dim=1).mean() < 0.005


def test_a_free_net_skips_every_second_block_at_half_depth_and_repeats_blocks_at_double_depth():
    theta = [torch.arange(nets.DEPTH)]
    used = {
        N: [int(nets.weights_at("free", theta, k / N)[0]) for k in range(N)] for N in (8, 16, 32)
    }
    assert used[8] == list(range(0, 16, 2))
    assert used[16] == list(range(16))
    assert used[32] == [k // 2 for k in range(32)]


def test_only_nets_with_smooth_weights_show_order_one_below_their_depth():
    for kind in ("shared", "smooth"):
        distance = [nets.evaluated(kind)[depth].distance for depth in (4, 8, 16, 32, 64)]
        assert all(1.7 < more / less < 2.4 for more, less in itertools.pairwise(distance))
    free = {depth: nets.evaluated("free")[depth].distance for depth in (2, 4, 8, 16)}
    assert free[4] > free[2] and free[8] > 6 * free[16]


def test_nothing_in_the_lessons_figures_is_covered_or_cut():
    t = torch.linspace(0, 2, 5)
    turn = 2 * math.pi
    start = point(1.0, 0.0)
    polygons = {N: euler_polygon.polygon(oscillator, start, turn, N) for N in (16, 32, 64, 128)}
    h = [2.0**-k for k in range(4, 12)]
    paths = {
        N: nets.features("smooth", nets.trained("smooth"), start[None], N)[:, 0] for N in (4, 8)
    }
    for fig in (
        figures.hops(2.0 ** -torch.arange(5), t),
        figures.circles(polygons),
        figures.slopes({"one": (h, h), "two": (h, [3 * x for x in h])}),
        figures.feature_paths({"smooth": paths}, paths[8]),
    ):
        fig.png()
        assert not text_problems(fig)
