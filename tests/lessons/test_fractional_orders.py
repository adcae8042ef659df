"""Facts that lesson 20 relies on: tails, two pasts, orders, forgetting, what data say of alpha."""

import itertools
import math

import numpy as np
import pytest
import torch

from node_tutorial.data.mittag_leffler import mittag_leffler
from node_tutorial.lessons.fractional_orders import (
    forgotten_tail,
    found_programs,
    method_and_mesh,
    profiles,
    relaxation,
    two_pasts,
)
from node_tutorial.solvers.fractional import fdeint, graded


@pytest.mark.parametrize("alpha", [0.3, 0.5, 0.9])
def test_the_tail_is_a_power(alpha):
    last = relaxation.compute(alpha, True).last
    assert last == pytest.approx(100**-alpha / math.gamma(1 - alpha), rel=0.2)


def test_the_share_of_rates_near_one_grows_with_the_order():
    shares = [relaxation.compute(alpha, False).near for alpha in (0.5, 0.9, 1.0)]
    assert shares == pytest.approx([0.2163, 0.7696, 1.0], abs=1e-3)


@pytest.mark.parametrize("alpha", [0.3, 0.5, 0.8, 1.0])
def test_two_pasts_meet_at_one_and_part_unless_the_order_is_one(alpha):
    data = two_pasts.compute(alpha, -0.5, 0)
    present = int(np.searchsorted(two_pasts.TIMES, 1))
    assert two_pasts.TIMES[present] == 1
    assert data.y[:, present] == pytest.approx([0.5, 0.5], abs=1e-12)
    assert (data.gap < 1e-12) == (alpha == 1)


def test_the_curve_that_is_pushed_solves_its_equation():
    """Against the package, with the push as a jump of the right side."""
    y, push = two_pasts.pushed(0.7, -0.5)
    mesh = torch.linspace(0, 3, 1201, dtype=torch.float64)
    start = torch.tensor([-0.5], dtype=torch.float64)
    found = fdeint(lambda t, y: -y + push * (t <= 1), start, mesh, 0.7)[:, 0].numpy()
    assert abs(np.interp(two_pasts.TIMES, mesh.numpy(), found) - y)[2:].max() < 0.02


@pytest.mark.parametrize("alpha", [0.3, 0.5, 0.7])
def test_the_orders_that_the_lesson_names(alpha):
    even = method_and_mesh.compute("l1", 8, alpha, False).orders
    on_graded = method_and_mesh.compute("l1", 8, alpha, True).orders
    assert even[0] == pytest.approx(1, abs=0.1) and even[1] < alpha + 0.1
    assert on_graded[1] == pytest.approx(2 - alpha, abs=0.2)


def test_gl_stays_on_its_even_mesh():
    data = method_and_mesh.compute("gl", 16, 0.5, True)
    assert not data.on_graded and "even mesh" in method_and_mesh.describe(data)


@pytest.mark.parametrize("alpha", [0.2, 0.5, 0.8])
def test_what_is_forgotten_is_within_the_bound(alpha):
    errors = [forgotten_tail.compute(alpha, L) for L in forgotten_tail.LENGTHS]
    assert all(data.error < data.bound for data in errors)
    assert all(a.error > b.error for a, b in itertools.pairwise(errors))


def test_a_profile_finds_the_order_that_made_the_data():
    t = np.linspace(0, 8, 60)
    data = mittag_leffler(-1.3 * t**0.7, 0.7)
    alphas = np.linspace(0.65, 0.75, 101)
    found = profiles.interval(alphas, profiles.misfits(alphas, t, data, 0.01))
    assert found.best == pytest.approx(0.7, abs=0.003) and found.low < 0.7 < found.high


def test_an_interval_ends_between_the_orders_or_with_the_last():
    alphas = np.linspace(0, 1, 6)
    found = profiles.interval(alphas, 10 + 8 * abs(alphas - 0.4))
    assert found == pytest.approx((0.4, 0, 0.9))


@pytest.mark.parametrize("seed", [0, 3, 5])
def test_early_and_late_data_together_leave_two_fifths_of_what_late_data_leave(seed):
    t = graded(8.0, 80, 2.0).numpy()
    noise = np.random.default_rng(seed).normal(size=81)
    data = mittag_leffler(-(t**0.6), 0.6) + 0.01 * noise
    alphas = np.linspace(0.54, 0.66, 61)
    late, both = (
        profiles.interval(alphas, profiles.misfits(alphas, t[part], data[part], 0.01))
        for part in (t > 1, t >= 0)
    )
    assert (both.high - both.low) / (late.high - late.low) == pytest.approx(0.42, abs=0.03)


@pytest.mark.parametrize("seed", [1, 2])
def test_noise_and_freedom_hide_the_order_of_one_curve_but_not_of_two(seed):
    mesh = graded(8.0, 80, 2.0)
    clean = torch.tensor(mittag_leffler(-(mesh.numpy() ** 0.6), 0.6))
    noise = torch.tensor(np.random.default_rng(seed).normal(size=(81, 2)))
    starts = torch.tensor([1.0, 2.0], dtype=torch.float64)

    def width(orders, size, curves):
        data = starts[:curves] * clean[:, None] + size * noise[:, :curves]
        misfits = profiles.free_misfits(orders, mesh, data, starts[:curves], size)
        assert 0.5 < misfits.min() / data.numel() < 1.5
        found = profiles.interval(orders, misfits)
        return found.high - found.low

    wide = np.linspace(0.4, 0.8, 17)
    one = width(wide, 0.01, 1)
    quiet = width(wide, 0.001, 1)
    both = width(np.linspace(0.58, 0.62, 13), 0.01, 2)
    assert one > 0.15 and one > 5 * both and one > 2 * quiet


def test_the_found_programs_return_what_the_originals_did():
    """What torchfde's gl and neuralFDE's PECE.py returned for alpha = 1/2, when they were run."""
    found = [found_programs.gl_of_all(0.5, N) for N in (10, 100, 400)]
    assert found == pytest.approx([0.0393, 0.0135, 0.0068], abs=5e-5)
    found = [found_programs.shifted_adams(0.5, N) for N in (10, 40, 160)]
    assert found == pytest.approx([0.5181, 0.4711, 0.4486], abs=5e-5)
    found = [found_programs.shifted_adams(1.0, N) for N in (10, 40, 160)]
    assert found == pytest.approx([0.36946, 0.36798, 0.36789], abs=5e-6)


def test_a_short_memory_comes_to_rest_where_its_bound_says():
    for alpha in (0.3, 0.5, 0.7):
        data = forgotten_tail.compute(alpha, 1.0)
        assert data.short[-1] == pytest.approx(data.bound / (1 + data.bound), abs=0.02)


def test_only_the_true_order_has_one_right_side_for_two_curves():
    for alpha in (0.4, 0.6, 0.8):
        (y, f), (y2, f2) = (profiles.right_side(alpha, 0.6, start) for start in (1.0, 2.0))
        apart = abs(np.interp(0.8, y[::-1], f[::-1]) - np.interp(0.8, y2[::-1], f2[::-1]))
        assert (apart < 0.01) == (alpha == 0.6)
