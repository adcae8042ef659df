"""Lesson 01: the polygon is Euler's, and the nets are what the lesson says they are."""

import itertools
import math

import numpy as np
import pytest
import torch

from node_tutorial import exercises, odeint
from node_tutorial.data.systems import van_der_pol
from node_tutorial.lessons.euler import depth_of_a_net, euler_polygon, nets


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


def test_nets_whose_blocks_are_alike_show_order_one_below_their_depth():
    for kind in ("shared", "smooth"):
        distance = [nets.evaluated(kind)[depth].distance for depth in (4, 8, 16, 32, 64)]
        assert all(1.7 < more / less < 2.4 for more, less in itertools.pairwise(distance))
    random = {depth: nets.evaluated("random")[depth].distance for depth in (2, 4, 8, 16)}
    assert random[4] > random[2] and random[8] > 6 * random[16]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_of_two_free_nets_that_differ_in_their_start_alone_the_equal_one_may_skip_blocks(seed):
    equal, random = (nets.evaluated(kind, seed) for kind in ("equal", "random"))
    assert equal[16].accuracy == random[16].accuracy == 1
    assert equal[4].accuracy > 0.9 > 0.85 > random[4].accuracy
    assert nets.change_between_blocks("equal", seed) < 0.5
    assert nets.change_between_blocks("random", seed) > 1


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_free_nets_are_as_near_to_their_limit_as_the_others_at_their_own_depth(seed):
    """As the worse of the others: nearer than both they are in some draws only."""
    at = {kind: nets.evaluated(kind, seed)[nets.DEPTH].distance for kind in nets.NETS.values()}
    assert max(at["equal"], at["random"]) < max(at["shared"], at["smooth"])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_net_of_random_blocks_bears_long_steps_that_skip_nothing(seed):
    assert nets.accuracy_of_means("random", 4, seed) > 0.95
    assert nets.evaluated("random", seed)[4].accuracy < 0.85


@pytest.mark.parametrize("kind", ["shared", "random"])
def test_the_mean_of_one_block_is_the_block(kind):
    alike = nets.evaluated(kind)[nets.DEPTH].accuracy
    assert nets.accuracy_of_means(kind, nets.DEPTH) == alike == 1
    # blocks that are the same may be averaged
    shared = nets.evaluated("shared")[4].accuracy
    assert nets.accuracy_of_means("shared", 4) == shared < 1


def test_the_points_pass_the_blocks_along_straight_lines():
    whole = depth_of_a_net.compute(4, "smooth in t")
    assert whole.t == 1 and len(whole.features) == 5
    half = depth_of_a_net.compute(4, "smooth in t", frame=10)
    assert torch.equal(half.features[:3], whole.features[:3])
    assert torch.allclose(half.features[3], (whole.features[2] + whole.features[3]) / 2)
    assert "t = 0.62" in depth_of_a_net.describe(half)
    assert len(depth_of_a_net.compute(4, "smooth in t", frame=0).features) == 1


def test_a_net_of_equal_blocks_has_no_change_between_them():
    assert nets.change_between_blocks("shared") == 0


def test_the_polygon_grows_along_its_sides():
    whole = euler_polygon.compute(16, "harmonic oscillator", 1.0, 0.0)
    assert whole.t == pytest.approx(2 * math.pi) and whole.nfe == 16
    half = euler_polygon.compute(16, "harmonic oscillator", 1.0, 0.0, frame=17)
    assert half.nfe == 9 and torch.equal(half.y[:-1], whole.y[:9])
    middle = (whole.y[8] + whole.y[9]) / 2
    assert torch.allclose(half.y[-1], middle) and len(half.y) == 10
    exact = point(math.cos(half.t), -math.sin(half.t))
    assert torch.allclose(half.exact[-1], exact, atol=1e-7)
    start = euler_polygon.compute(16, "harmonic oscillator", 1.0, 0.0, frame=0)
    assert start.error == 0 and start.y.tolist() == [[1, 0]]


# -- exercises: right answers in other forms, and wrong ones --------------------------------------


def state(id, answer):
    return exercises.find(id).assess(answer)


def euler_end(steps, dtype=torch.float64):
    x = torch.ones(1, dtype=dtype)
    for _ in range(steps):
        x = x - x / steps
    return x


RIGHT = {
    "01.1": [
        0.9**10,
        [0.3487],
        np.float32(0.9**10),
        euler_end(10),
        euler_end(10, torch.float32),
    ],
    "01.2": [
        lambda run, N: 2 * run(2 * N) - run(N),
        lambda run, N: np.float64(run(2 * N)) * 2 - run(N),
        lambda run, N: torch.tensor([2.0, -1.0]) @ torch.tensor([run(2 * N), run(N)]),
        lambda run, N: run(N) + 2 * (run(2 * N) - run(N)),
    ],
    "01.3": [1840, 1840.0, torch.tensor(1840), np.int64(1840)],
    "01.4": [
        lambda f, N: torch.log2((f(2 * N) - f(N)).norm() / (f(4 * N) - f(2 * N)).norm()),
        lambda f, N: math.log((f(2 * N) - f(N)).norm() / (f(4 * N) - f(2 * N)).norm(), 2),
        lambda f, N: np.log2(float(abs(f(2 * N) - f(N)).max() / abs(f(4 * N) - f(2 * N)).max())),
    ],
}
WRONG = {
    "01.1": [math.exp(-1), 0.9**9, 1.0, 0.35, -(0.9**10)],
    "01.2": [
        lambda run, N: run(4 * N),
        lambda run, N: run(2 * N) - 2 * run(N),
        lambda run, N: 2 * run(4 * N) - run(2 * N),
        lambda run, N: math.exp(-1),
    ],
    "01.3": [1839, 1841, 10_000, 1e300, math.inf, -math.inf, math.nan, 0, -5, 1, 1840.5],
    "01.4": [
        lambda f, N: 1.0,
        lambda f, N: (f(2 * N) - f(N)).norm(),
        lambda f, N: math.log2(
            (f(2 * N) - f(N)).square().sum() / (f(4 * N) - f(2 * N)).square().sum()
        ),
        lambda f, N: math.log10((f(2 * N) - f(N)).norm() / (f(4 * N) - f(2 * N)).norm()),
    ],
}


@pytest.mark.parametrize("id", RIGHT)
def test_an_exercise_accepts_right_answers_in_every_form(id):
    for i, answer in enumerate(RIGHT[id]):
        assert state(id, answer).state == "correct", f"{i}: {state(id, answer)}"


@pytest.mark.parametrize("id", WRONG)
def test_an_exercise_refuses_wrong_answers(id):
    for i, answer in enumerate(WRONG[id]):
        assert state(id, answer).state == "not yet", f"{i}: {state(id, answer)}"


def test_the_hint_names_the_mistake_that_was_made():
    squares = WRONG["01.4"][2]
    assert "squares" in state("01.4", squares).message
    assert "whole number" in state("01.3", math.inf).message
    assert "fewer steps are enough" in state("01.3", 1e300).message
    assert "three digits" in state("01.1", 0.35).message


def test_two_runs_give_an_error_of_order_two():
    better_end = exercises.find("01.2").solution
    errors = [abs(better_end(lambda n: (1 - 1 / n) ** n, N) - math.exp(-1)) for N in (32, 64, 128)]
    assert all(3.8 < more / less < 4.2 for more, less in itertools.pairwise(errors))
