"""Controlled equations: exact answers, what they are blind to, what interpolations see."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
import torchdiffeq
from scipy.interpolate import CubicHermiteSpline, CubicSpline

from node_tutorial.models.control_paths import (
    INTERPOLATIONS,
    hermite,
    levy_area,
    linear,
    natural_cubic,
    rectilinear,
    with_time,
)
from node_tutorial.models.controlled import NeuralCDE, cdeint

f64 = torch.float64
A = torch.tensor([[[0.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 0.0]]], dtype=f64)
Z0 = torch.tensor([1.0, 0.0], dtype=f64)


def points(*corners):
    return torch.tensor(corners, dtype=f64)


def matrix(z):
    return torch.einsum("cij,...j->...ic", A, z)


def random_path(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=f64)


CORNER = points((0, 0), (1, 0), (1, 1))
SQUARE = points((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))


# -- the equation ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path, z",
    [
        (CORNER, (1, 1)),
        (points((0, 0), (0, 1), (1, 1)), (2, 1)),
        (points((0, 0), (1, 1)), (1.543080635, 1.175201194)),
        (SQUARE, (0, 1)),
    ],
)
def test_the_linear_equation_ends_where_it_must(path, z):
    ends = cdeint(matrix, Z0, linear(path), rtol=1e-10, atol=1e-12)
    assert torch.allclose(ends[-1], torch.tensor(z, dtype=f64), atol=1e-8)
    assert torch.equal(ends[0], Z0)


def test_of_random_paths_the_solution_is_a_product_of_matrix_exponentials():
    x = random_path(6, 2)
    z = Z0.numpy()
    for move in x.diff(dim=0).numpy():
        z = scipy.linalg.expm(np.einsum("c,cij->ij", move, A.numpy())) @ z
    got = cdeint(matrix, Z0, linear(x), rtol=1e-10, atol=1e-12)[-1]
    assert np.allclose(got, z, atol=1e-7)


def growing(z):
    return z[:, None] * torch.tensor([1.0, 2.0], dtype=f64)


@pytest.mark.parametrize("method, order", [("euler", 1), ("midpoint", 2), ("rk4", 4)])
def test_a_fixed_step_from_knot_to_knot_keeps_its_order_at_kinks(method, order):
    z0 = torch.ones(1, dtype=f64)

    def error(n):  # each of two legs as n lines, of dz = z (dX1 + 2 dX2)
        legs = [torch.linspace(0, 1, n + 1, dtype=f64)[:, None] * leg for leg in CORNER.diff(dim=0)]
        x = torch.cat([legs[0], legs[0][-1] + legs[1][1:]])
        return float(abs(cdeint(growing, z0, linear(x), method=method)[-1] - math.exp(3)))

    assert math.log2(error(16) / error(32)) == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize(
    "method",
    [
        "explicit_adams",
        "implicit_adams",
        "fixed_adams",
        "reversible_heun",
        "asynchronous_leapfrog",
        "scipy_solver",
    ],
)
def test_methods_that_carry_something_across_a_kink_are_refused_by_name(method):
    with pytest.raises(ValueError, match=f"method '{method}' is not for cdeint"):
        cdeint(matrix, Z0, linear(SQUARE), method=method)
    with pytest.raises(ValueError, match="is not for cdeint"):
        NeuralCDE(3, 8, 2, method=method)(linear(torch.randn(5, 20, 3)))


@pytest.mark.parametrize("method", ["implicit_midpoint", "gl4", "radauIIA5", "bosh3", "rk4"])
def test_one_step_methods_go_around_the_square(method):
    legs = [torch.linspace(0, 1, 17, dtype=f64)[1:, None] * leg for leg in SQUARE.diff(dim=0)]
    x = torch.cat([SQUARE[:1], *(a + leg for a, leg in zip(SQUARE, legs))])
    end = cdeint(matrix, Z0, linear(x), method=method)[-1]
    assert torch.allclose(end, torch.tensor([0.0, 1.0], dtype=f64), atol=1e-2)


def test_the_slope_at_a_knot_is_that_after_it_and_at_the_last_that_before():
    path = linear(CORNER)
    assert path.slope(1.0).tolist() == [0.0, 1.0] and path.slope(2.0).tolist() == [0.0, 1.0]
    assert path.at(3.0).tolist() == [1.0, 2.0]  # the last line goes on


def test_knots_are_finite():
    with pytest.raises(ValueError, match="knots must be 3 finite increasing numbers"):
        linear(CORNER, torch.tensor([0.0, 1.0, math.inf], dtype=f64))


def test_one_channel_alone_counts_only_by_its_ends():
    x = random_path(9, 1)

    def field(z):
        return (z.sin() + 1)[..., None]

    straight = torch.stack([x[0], x[-1]])
    tight = {"rtol": 1e-10, "atol": 1e-12}
    z0 = torch.tensor([0.3], dtype=f64)
    one, other = (cdeint(field, z0, linear(path), **tight)[-1] for path in (x, straight))
    assert torch.allclose(one, other, atol=1e-7)


@pytest.mark.parametrize("interpolation", ["linear", "rectilinear"])
def test_another_speed_changes_nothing(interpolation):
    make = INTERPOLATIONS[interpolation]
    x = random_path(7, 2)
    count = len(make(x).knots)
    knots = torch.rand(count, generator=torch.Generator().manual_seed(1), dtype=f64).cumsum(0)
    tight = {"rtol": 1e-10, "atol": 1e-12}
    one, other = (cdeint(matrix, Z0, path, **tight)[-1] for path in (make(x), make(x, knots)))
    assert torch.allclose(one, other, atol=1e-7)


def test_a_path_there_and_back_leaves_nothing_and_a_figure_eight_does():
    x = random_path(5, 2)
    back = cdeint(matrix, Z0, linear(torch.cat([x, x.flip(0)[1:]])), rtol=1e-10, atol=1e-12)
    assert torch.allclose(back[-1], Z0, atol=1e-7)
    eight = torch.cat([SQUARE, points((-1, 0), (-1, 1), (0, 1), (0, 0))])
    assert levy_area(eight) == 0
    assert not torch.allclose(cdeint(matrix, Z0, linear(eight))[-1], Z0, atol=0.1)


def test_torchdiffeq_finds_the_same_along_a_smooth_path():
    path = natural_cubic(random_path(3, 8, 2))
    z0 = random_path(3, 2, seed=1)
    s = torch.linspace(0, 7, 5, dtype=f64)

    def along(s, z):
        return (matrix(z) @ path.slope(s)[..., None])[..., 0]

    theirs = torchdiffeq.odeint(along, z0, s, rtol=1e-9, atol=1e-9)
    ours = cdeint(matrix, z0, path, s, rtol=1e-9, atol=1e-9)
    assert ours.shape == (5, 3, 2) and torch.allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", INTERPOLATIONS.values(), ids=list(INTERPOLATIONS))
def test_gradients_reach_start_path_and_field(make):
    weight = random_path(2, 2, 2, seed=2)

    def end(z0, x, weight):
        def field(z):
            return torch.einsum("cij,...j->...ic", weight, z).tanh()

        return cdeint(field, z0, make(x), method="rk4")[-1]

    inputs = (random_path(3, 2), random_path(3, 4, 2, seed=1), weight)
    assert torch.autograd.gradcheck(end, [part.requires_grad_() for part in inputs])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"s": torch.tensor([0.5, 1.0], dtype=f64)}, "s must begin at the first knot, 0,"),
        ({"s": torch.tensor([0.0, 3.0], dtype=f64)}, "at or before the last, 2; got 0 to 3"),
        ({"field": lambda z: z}, r"one column for each of 2 channels, \(2, 2\), got \(2,\)"),
    ],
)
def test_a_bad_question_is_refused_by_name(change, message):
    asked = {"field": matrix, "z0": Z0, "path": linear(CORNER)} | change
    with pytest.raises(ValueError, match=message):
        cdeint(**asked)


# -- paths -----------------------------------------------------------------------------------------


def test_cubics_are_those_of_scipy():
    x = random_path(7, 3)
    knots = torch.rand(7, generator=torch.Generator().manual_seed(1), dtype=f64).cumsum(0)
    s = torch.linspace(float(knots[0]), float(knots[-1]), 41, dtype=f64)
    line = x.diff(dim=0) / knots.diff()[:, None]
    slopes = torch.cat([line[:1], line])  # behind each knot; the first line's at the first
    for path, theirs in [
        (natural_cubic(x, knots), CubicSpline(knots, x, bc_type="natural")),
        (hermite(x, knots), CubicHermiteSpline(knots, x, slopes)),
    ]:
        assert np.allclose(path.at(s), theirs(s), atol=1e-10)
        assert np.allclose(path.slope(s), theirs(s, 1), atol=1e-8)


@pytest.mark.parametrize("make", INTERPOLATIONS.values(), ids=list(INTERPOLATIONS))
def test_a_path_goes_through_its_points_in_batches_too(make):
    x = random_path(4, 5, 6, 3)
    path = make(x)
    every = 2 if make is rectilinear else 1
    assert torch.allclose(path.at(path.knots[::every]), x, atol=1e-12)
    assert torch.allclose(path.at(1.3)[2, 3], make(x[2, 3]).at(1.3))
    assert path.slope(torch.tensor([0.1, 2.0, 3.7])).shape == (4, 5, 3, 3)


@pytest.mark.parametrize(
    "name, newest", [("linear", 4), ("hermite", 4), ("natural cubic", 9), ("rectilinear", 3)]
)
def test_how_far_an_interpolation_looks_ahead(name, newest):
    x = random_path(10, 2).requires_grad_()
    between = 6.5 if name == "rectilinear" else 3.5  # the knots 6 and 7 are at observations 3, 4
    (slope,) = torch.autograd.grad(INTERPOLATIONS[name](x).at(between)[1], x)
    assert int(slope[:, 1].nonzero().max()) == newest


def test_the_levy_area():
    triangle = points((0, 0), (1, 0), (1, 1))
    assert levy_area(triangle) == 0.5 and levy_area(points((0, 0), (0, 1), (1, 1))) == -0.5
    assert levy_area(points((0, 0), (1, 1))) == 0 and levy_area(SQUARE) == 1
    assert levy_area(SQUARE + 5) == 1 and levy_area(SQUARE.flip(0)) == -1
    angle = torch.linspace(0, 2 * math.pi, 20_001, dtype=f64)
    assert float(levy_area(torch.stack([angle.cos(), angle.sin()], 1))) == pytest.approx(
        math.pi, abs=1e-6
    )
    assert levy_area(random_path(3, 4, 9, 2)).shape == (3, 4)


def test_times_become_the_first_channel():
    t = torch.linspace(0, 1, 5)
    x = torch.randn(2, 5, 3)
    assert torch.equal(with_time(t, x)[1, :, 0], t) and torch.equal(with_time(t, x)[..., 1:], x)
    assert torch.equal(with_time(t.expand(2, -1), x), with_time(t, x))
    with pytest.raises(ValueError, match="a time for each of the 5 observations"):
        with_time(t[1:], x)


@pytest.mark.parametrize(
    "x, knots, message",
    [
        (torch.zeros(1, 2), None, "at least two observations"),
        (torch.zeros(3, 2, dtype=torch.int64), None, "x must be floats"),
        (torch.tensor([[0.0], [math.nan]]), None, "x must be finite; fill in"),
        (torch.zeros(3, 2), torch.tensor([0.0, 1.0, 1.0]), "knots must be 3 finite increasing"),
        (torch.zeros(3, 2), torch.tensor([0.0, 1.0]), "knots must be 3 finite increasing"),
    ],
)
def test_a_path_of_what_is_none_is_refused_by_name(x, knots, message):
    for make in (linear, hermite, natural_cubic):
        with pytest.raises(ValueError, match=message):
            make(x, knots)


def test_rectilinear_and_area_want_their_channels():
    with pytest.raises(ValueError, match="the time and at least one more channel"):
        rectilinear(torch.zeros(3, 1))
    with pytest.raises(ValueError, match=r"x must be \(..., T, 2\)"):
        levy_area(torch.zeros(3, 3))


# -- the net ---------------------------------------------------------------------------------------


def test_a_neural_cde_reads_a_batch_row_by_row():
    torch.manual_seed(0)
    net = NeuralCDE(3, 4, 2).double()
    x = random_path(5, 9, 3)
    out = net(linear(x))
    assert out.shape == (5, 2) and torch.allclose(out[3], net(linear(x[3:4]))[0])
    states = net.states(linear(x))
    assert states.shape == (9, 5, 4) and torch.allclose(net.out(states[-1]), out)


def test_a_neural_cde_with_lines_knows_at_a_knot_only_what_was_seen():
    torch.manual_seed(0)
    net = NeuralCDE(2, 4, 1).double()
    x = random_path(1, 8, 2)
    changed = x.clone()
    changed[:, 5:] += 1
    for make, ahead in ((linear, False), (hermite, False), (natural_cubic, True)):
        before, after = (net.states(make(path))[4] for path in (x, changed))
        assert torch.allclose(before, after) != ahead


def test_a_neural_cde_wants_sizes():
    with pytest.raises(ValueError, match="hidden must be an integer of 1 or more"):
        NeuralCDE(2, 0, 1)
