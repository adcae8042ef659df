"""The simulated walker walks: its feet stand, its legs are of one piece, its measures are right."""

import math

import pytest
import torch

from node_tutorial.data import gait, motion
from node_tutorial.data.gait import MARCH, STROLL, Style, at_speed, between, feet, skeleton, walk

f64 = torch.float64
T = torch.linspace(0, 12, 1201, dtype=f64)
STYLES = [STROLL, MARCH, between(STROLL, MARCH, 0.3), Style(stride=1.2), Style(stride=0.3)]


def number(value):
    return torch.tensor(value, dtype=f64)


def test_the_leg_of_the_table():
    knee, foot = gait.leg(number(0.4), number(0.6))
    assert knee.tolist() == pytest.approx([0.175238254, -0.414477447], abs=1e-9)
    assert foot.tolist() == pytest.approx([0.085837055, -0.855507407], abs=1e-9)


def test_bones_keep_their_lengths_whatever_the_angles():
    angles = torch.randn(50, 9, dtype=f64, generator=torch.Generator().manual_seed(0))
    points = skeleton(angles)
    lengths = [0.45, 0.45, 0.45, 0.45, 0.55, 0.2, 0.3, 0.28, 0.3, 0.28]
    for (a, b), length in zip(gait.BONES, lengths, strict=True):
        assert torch.allclose((points[:, a] - points[:, b]).norm(dim=1), number(length).expand(50))


def test_the_angles_bring_the_feet_where_they_are_to_be():
    phase = torch.linspace(-9, 9, 400, dtype=f64)
    for style in STYLES:
        place = feet(gait.pose(phase, phase + math.pi, style))
        assert torch.allclose(place[:, 0], gait.foot(phase, style), atol=1e-12)
        assert torch.allclose(place[:, 1], gait.foot(phase + math.pi, style), atol=1e-12)


def test_knees_never_straighten_and_never_bend_forward():
    phase = torch.linspace(0, 2 * math.pi, 2001, dtype=f64)
    for style in STYLES:
        knee = gait.pose(phase, phase, style)[:, 1]
        assert knee.min() > 0.25 and knee.max() < 2


def test_the_exact_walk_does_not_slide_and_has_its_period():
    for style in STYLES:
        for apart in (math.pi, 0.9 * math.pi):
            angles = walk(T, 1.2, style, phase=0.7, apart=apart)
            assert motion.slide(T, angles, style.stride / 1.2) < 1e-10
        assert motion.period(T, angles[:, 0]) == pytest.approx(1.2, abs=1e-6)


def test_feet_have_continuous_positions_velocities_and_accelerations():
    phase = torch.linspace(0, 4 * math.pi, 40_001, dtype=f64)
    place = gait.foot(phase, MARCH)
    h = float(phase[1])
    for order in (1, 2):
        slope = place.diff(n=order, dim=0) / h**order
        assert slope.diff(dim=0).abs().max() < 0.01 * (slope.max() - slope.min())


def test_swings_reach_no_farther_than_widest():
    reach = gait.DUTY * STROLL.stride / 2
    x = gait.foot(torch.linspace(0, 2 * math.pi, 20_001, dtype=f64), STROLL)[:, 0].abs().max()
    assert 0.99 * gait.WIDEST < float(x) / reach < gait.WIDEST


def test_lift_and_arms_are_those_of_the_style():
    for style in STYLES:
        angles = walk(T[:121], 1.2, style)
        height = feet(angles)[:, 0, 1]
        assert float(height.max() - height.min()) == pytest.approx(style.lift, rel=1e-3)
        assert float(angles[:, 4].max()) == pytest.approx(style.arm, rel=1e-3)


def test_a_walker_four_times_as_fast_takes_strides_twice_as_long():
    slow, period = at_speed(0.3)
    fast, shorter = at_speed(1.2)
    assert fast.stride == pytest.approx(2 * slow.stride) and shorter == pytest.approx(period / 2)
    assert fast.stride / shorter == pytest.approx(1.2) and slow.stride / period == pytest.approx(
        0.3
    )


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: at_speed(0.0), "speed must be a positive"),
        (lambda: at_speed(float("nan")), "speed must be a positive"),
        (lambda: walk(T, 0.0), "period must be a positive"),
        (lambda: walk(T, 1.2, Style(stride=1.5)), "shorter strides"),
        (lambda: walk(T, 1.2, Style(stride=-1.0)), "style.stride"),
        (lambda: walk(T, 1.2, Style(stride=float("nan"))), "style.stride"),
        (lambda: skeleton(torch.zeros(5, 8)), r"got shape \(5, 8\)"),
        (lambda: motion.slide(T, walk(T, 1.2), 0.0), "speed must be a positive"),
        (lambda: motion.slide(T.flip(0), walk(T, 1.2), 1.0), "sort the frames"),
        (lambda: motion.period(T, torch.ones(len(T))), "x stands, its range is 0"),
        (lambda: motion.period(T[:50], T[:50]), "takes two"),
        (lambda: motion.period(T, walk(T, 1.2)), "one series"),
        (lambda: motion.period(T[:1], T[:1]), "two times or more"),
        (lambda: motion.jerk(T.square(), walk(T, 1.2)), "evenly spaced"),
        (lambda: motion.jerk(T[:3], walk(T[:3], 1.2)), "four times or more"),
        (lambda: motion.seam(T[:3], walk(T[:3], 1.2)), "four times or more"),
    ],
)
def test_bad_input_is_refused_with_what_to_do(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_a_missing_frame_is_named():
    angles = walk(T, 1.2)
    angles[7, 2] = float("nan")
    with pytest.raises(ValueError, match=r"angles\[7\] is NaN"):
        motion.slide(T, angles, 1.0)
    with pytest.raises(ValueError, match=r"t\[6\] = 0.06 follows"):
        motion.jerk(T[torch.tensor([0, 1, 2, 3, 4, 7, 6])], walk(T[:7], 1.2))


# -- measures --------------------------------------------------------------------------------------


def test_a_figure_that_is_pushed_along_slides_all_its_way():
    angles = walk(T[:1], 1.2).expand(len(T), 9)
    assert motion.slide(T, angles, 0.5) == pytest.approx(1, abs=1e-12)
    half_apart = (walk(T, 1.2) + walk(T, 1.2, phase=math.pi)) / 2
    assert motion.slide(T, half_apart, 0.8 / 1.2) == pytest.approx(1, abs=1e-9)


def test_a_walk_on_a_belt_of_another_speed_slides_by_the_difference():
    angles = walk(T, 1.2)
    for factor in (0.5, 1.25, 2.0):
        expected = abs(factor - 1) / factor
        assert motion.slide(T, angles, factor * 0.8 / 1.2) == pytest.approx(expected, abs=1e-9)


def test_the_period_needs_no_even_times_and_no_zero_mean():
    chance = torch.Generator().manual_seed(0)
    t = (20 * torch.rand(600, generator=chance, dtype=f64)).sort().values
    x = 5 + torch.sin(2 * t) + 0.02 * torch.randn(600, generator=chance, dtype=f64)
    assert motion.period(t, x) == pytest.approx(math.pi, rel=0.01)


def test_the_noise_of_a_solver_is_no_gait():
    noise = 2e-6 * torch.sin(2 * T) + 0.3  # at tolerances of 1e-6
    with pytest.raises(ValueError, match="there is no gait"):
        motion.period(T, noise)
    assert motion.period(T, 1e-3 * torch.sin(8 * T)) == pytest.approx(math.pi / 4, rel=1e-4)


def test_jerk_is_the_third_derivative():
    angles = torch.stack([torch.sin(3 * T), torch.zeros_like(T)], -1)
    assert motion.jerk(T, angles) == pytest.approx(27 / 2, rel=2e-3)


def test_a_seam_is_measured_in_place_and_velocity():
    t = torch.linspace(0, 1.2, 241, dtype=f64)
    whole = motion.seam(t, walk(t, 1.2))
    assert whole.gap < 1e-12 and whole.kink < 0.1
    short = motion.seam(t, walk(t, 1.2 * 1.1))
    assert short.gap > 0.05
    tent = 1 - (2 * t / 1.2 - 1).abs()
    assert motion.seam(t, tent[:, None]).kink == pytest.approx(2 * 2 / 1.2)


@pytest.mark.parametrize(
    "phi, factor",
    [(math.pi / 2, 0.707107), (2.0, 0.540302), (3.0, 0.070737), (math.pi, 0.0)],
)
def test_the_mean_of_two_swings_has_the_cosine_of_half_their_distance(phi, factor):
    t = torch.linspace(0, 1.2, 12_001, dtype=f64)
    mean = (walk(t, 1.2, MARCH) + walk(t, 1.2, MARCH, phase=phi)) / 2
    assert abs(math.cos(phi / 2)) == pytest.approx(factor, abs=1e-6)
    assert float(mean[:, 4].max()) == pytest.approx(factor * MARCH.arm, abs=1e-6)
