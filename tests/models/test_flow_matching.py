"""Flow matching: exact velocities, the regression that finds them, flows and their cost."""

import math

import pytest
import torch
from torch import nn

from node_tutorial import fit, odeint
from node_tutorial.data.mixtures import gaussian, gaussian_mixture
from node_tutorial.models import CNF, MLP, TimedMLP, normal_log_prob
from node_tutorial.models.flow_matching import (
    FlowMatching,
    MarginalVelocity,
    between,
    loss_floor,
    way,
)
from node_tutorial.models.gaussian_paths import cosine, denoised, predicted, straight
from node_tutorial.models.samplers import ddim, exact_denoiser

f64 = torch.float64


def column(*values):
    return torch.tensor(values, dtype=f64)[:, None]


def normal(mean, std):
    return gaussian_mixture([1.0], torch.tensor([mean]), std)


def noise(n, generator=None):
    return torch.randn(n, 1, generator=generator, dtype=f64)


GAUSSIAN = normal(3.0, 0.5)
POINTS = gaussian_mixture([0.5, 0.5], torch.tensor([-1.0, 1.0]), 0.0)
_PARTS = torch.tensor([[0.3, 0.7], [-1.0, 1.5], [0.2, 0.4]], dtype=f64)
MIXTURE = gaussian_mixture(*_PARTS)
WATERSHED = -0.524400513


# -- exact velocities ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "t", "x", "expected"),
    [
        (GAUSSIAN, 0.6, 2.0, 2.8),
        (GAUSSIAN, 0.3, 1.0, 2.878048780),
        (POINTS, 0.5, 0.3, 0.474099134),
        (POINTS, 0.9, 0.3, 7.0),
        (MIXTURE, 0.5, 0.2, 1.245287884),
        (MIXTURE, 0.9, 0.0, 0.949499460),
        (MIXTURE, 0.2, -1.0, 1.542853332),
    ],
)
def test_marginal_velocities_of_mixtures(target, t, x, expected):
    u = MarginalVelocity(target)
    assert u(t, column(x)).item() == pytest.approx(expected, abs=1e-9)
    each = torch.full((3,), t, dtype=f64)
    assert torch.allclose(u(each, column(x, x, x)), column(*3 * [expected]), atol=1e-9)


def test_velocities_of_a_gaussian_and_of_two_points_have_formulas():
    m, s = 3.0, 0.5
    x = torch.linspace(-3, 4, 15, dtype=f64)[:, None]
    for t in (0.0, 0.2, 0.7, 0.99):
        V = (1 - t) ** 2 + t**2 * s**2
        expected = m + (t * s**2 - (1 - t)) * (x - t * m) / V
        assert torch.allclose(MarginalVelocity(GAUSSIAN)(t, x), expected)
        two = (torch.tanh(t * x / (1 - t) ** 2) - x) / (1 - t)
        assert torch.allclose(MarginalVelocity(POINTS)(t, x), two)


def test_the_velocity_says_where_a_point_comes_from_and_goes_to_and_the_score():
    """Between N(0, 1) and N(3, 0.5^2), at t = 0.6 in x = 2, in diffusion's time 0.4."""
    u = MarginalVelocity(GAUSSIAN)(0.6, column(2.0))
    parts = denoised(straight(), "velocity", 0.4, column(2.0), -u)
    assert parts.x0.item() == pytest.approx(3.12) and parts.eps.item() == pytest.approx(0.32)
    score = predicted(straight(), "score", 0.4, parts)
    assert score.item() == pytest.approx(-0.8)
    assert score.item() == pytest.approx((0.6 * u.item() - 2.0) / 0.4)
    assert torch.allclose(score, GAUSSIAN.noised(0.6, 0.4).score(column(2.0)))


@pytest.mark.parametrize("path", [straight(), cosine()], ids=["straight", "cosine"])
def test_velocities_of_a_mixture_in_the_plane_follow_from_its_scores(path):
    torch.manual_seed(0)
    target = gaussian_mixture([0.2, 0.5, 0.3], torch.randn(3, 2), 0.3)
    x = torch.randn(20, 2, dtype=f64)
    for t in (0.3, 0.8):  # diffusion's
        at = path.at(torch.tensor(t, dtype=f64))
        score = target.noised(float(at.alpha), float(at.sigma)).score(x)
        parts = denoised(path, "score", t, x, score)
        expected = -predicted(path, "velocity", t, parts)
        assert torch.allclose(MarginalVelocity(target, path=path)(1 - t, x), expected)


def test_the_regression_target_is_the_exact_velocity_in_expectation():
    """The mean of x1 - x0 over 400 000 pairs whose x_t fell into a narrow bin."""
    chance = torch.Generator().manual_seed(0)
    x0, x1 = noise(400_000, chance), MIXTURE.sample(400_000, chance).double()
    u = MarginalVelocity(MIXTURE)
    for t in (0.2, 0.5, 0.8):
        x, velocity = between(x0, x1, t)
        for place in (-0.5, 0.3, 0.9):
            near = (x[:, 0] - place).abs() < 0.02
            found, error = velocity[near].mean(), velocity[near].std() / near.sum() ** 0.5
            exact = u(t, x[near]).mean()
            assert near.sum() > 500 and abs(found - exact) < 4 * error
            spread = u.variance(t, x[near]).mean()
            assert velocity[near].var().item() == pytest.approx(spread.item(), rel=0.15)


def test_least_squares_find_the_exact_velocity_without_knowing_it():
    """The target in the plane is a mixture; features at the right places, one linear solve."""
    chance = torch.Generator().manual_seed(1)
    t, n = 0.6, 200_000
    x0, x1 = noise(n, chance), MIXTURE.sample(n, chance).double()
    x, velocity = between(x0, x1, t)
    u = MarginalVelocity(MIXTURE)
    centers = torch.linspace(-2, 3, 24, dtype=f64)

    def features(x):
        return torch.exp(-((x - centers) ** 2) / (2 * 0.3**2))

    weights = torch.linalg.lstsq(features(x), velocity).solution
    inside = torch.linspace(-1.0, 1.6, 27, dtype=f64)[:, None]
    assert (features(inside) @ weights - u(t, inside)).abs().max() < 0.06


# -- the floor -------------------------------------------------------------------------------------


def test_the_floor_of_a_gaussian_is_pi_s_over_two_in_each_dimension():
    for s, size in ((0.5, 1), (1.0, 3), (0.2, 2)):
        target = gaussian_mixture([1.0], torch.ones(1, size), s)
        found = loss_floor(
            MarginalVelocity(target),
            lambda n, generator, size=size: torch.randn(n, size, generator=generator),
            target.sample,
            4000,
            torch.Generator().manual_seed(0),
        )
        assert found == pytest.approx(size * math.pi * s / 2, abs=1e-4)


def test_pythagoras():
    """E |x1 - x0|^2 = E |u|^2 + floor, by quadrature: 10.25 = 9.464601837 + 0.785398163."""
    m, s = 3.0, 0.5
    u = MarginalVelocity(GAUSSIAN)
    z, weight = gauss(60)
    times, time_weight = unit_gauss(80)
    energy = floor = 0.0
    for t, w in zip(times, time_weight):
        x = t * m + ((1 - t) ** 2 + t**2 * s**2) ** 0.5 * z[:, None]
        energy += w * (weight * u(t, x)[:, 0] ** 2).sum()
        floor += w * (weight * u.variance(t, x)).sum()
    assert energy.item() == pytest.approx(9.464601837, abs=1e-8)
    assert floor.item() == pytest.approx(0.785398163, abs=1e-8)
    assert (energy + floor).item() == pytest.approx(1 + m**2 + s**2)


def gauss(n):
    """Nodes (n,) and weights of expectations over N(0, 1)."""
    import numpy as np

    z, weight = np.polynomial.hermite_e.hermegauss(n)
    return torch.tensor(z), torch.tensor(weight / weight.sum())


def unit_gauss(n):
    """Nodes (n,) and weights of integrals from 0 to 1."""
    import numpy as np

    t, weight = np.polynomial.legendre.leggauss(n)
    return torch.tensor((t + 1) / 2), torch.tensor(weight / 2)


def test_a_monotone_coupling_has_no_floor():
    """Of x0 paired with 3 + x0 / 2 the lines do not cross: x_t says which pair it is."""
    x0 = noise(1000, torch.Generator().manual_seed(0))
    x, velocity = between(x0, 3 + x0 / 2, 0.4)
    slope, intercept = 0.5 - 1, 3.0  # velocity = 3 - x0 / 2, with x0 = (x - 1.2) / 0.8
    assert torch.allclose(velocity, intercept + slope * (x - 0.4 * 3) / (0.6 + 0.4 * 0.5))


# -- flows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "steps", "expected"),
    [
        *zip(
            7 * ["euler"],
            (1, 2, 3, 4, 8, 16, 64),
            (0, 0.2, 0.294118, 0.340541, 0.414785, 0.455683, 0.488555),
        ),
        *zip(
            6 * ["heun2"],
            (1, 2, 3, 4, 8, 16),
            (0.5, 0.48, 0.501586, 0.504835, 0.502441, 0.500764),
        ),
        *zip(5 * ["midpoint"], (1, 2, 3, 4, 8), (0.4, 0.494387, 0.496680, 0.498291, 0.499776)),
    ],
)
def test_the_standard_deviation_after_n_steps(method, steps, expected):
    model = FlowMatching(MarginalVelocity(GAUSSIAN), 1)
    ends = model.move(column(-1.0, 0.0, 1.0), steps=steps, method=method)
    assert ends.x[1].item() == pytest.approx(3.0)  # the mean is right whatever the steps
    assert (ends.x[2] - ends.x[1]).item() == pytest.approx(expected, abs=1e-6)
    assert ends.nfe == steps * (1 if method == "euler" else 2)


def test_eulers_standard_deviation_follows_a_recursion():
    s, n = 0.5, 10
    std = 1.0
    for k in range(n):
        t = k / n
        V = (1 - t) ** 2 + t**2 * s**2
        std *= 1 + (t * s**2 - (1 - t)) / V / n
    ends = FlowMatching(MarginalVelocity(GAUSSIAN), 1).move(column(0.0, 1.0), steps=n).x
    assert (ends[1] - ends[0]).item() == pytest.approx(std, abs=1e-12)


def test_the_flow_of_a_gaussian_is_affine_and_of_a_mixture_monotone():
    tight = {"rtol": 1e-11, "atol": 1e-11}
    z = column(-2.0, 0.0, 0.3, 1.7)
    moved = FlowMatching(MarginalVelocity(GAUSSIAN), 1).move(z, **tight)
    assert torch.allclose(moved.x, 3 + 0.5 * z, atol=1e-9) and moved.nfe > 30
    z = column(-1.0, -0.53, -0.5, 0.0, 1.0)
    expected = column(-0.985523700, -0.503035018, 0.599646920, 1.273620471, 1.799969436)
    moved = FlowMatching(MarginalVelocity(MIXTURE), 1).move(z, **tight).x
    assert torch.allclose(moved, expected, atol=1e-8)
    assert torch.allclose(MIXTURE.cdf(moved), torch.special.ndtr(z[:, 0]), atol=1e-9)  # quantiles
    assert torch.special.ndtri(torch.tensor(0.3)).item() == pytest.approx(WATERSHED, abs=1e-6)


def test_forward_and_back_is_the_identity():
    model = FlowMatching(MarginalVelocity(MIXTURE), 1)
    z = column(-1.0, 0.0, 1.0)
    tight = {"rtol": 1e-10, "atol": 1e-10}
    there = model.move(z, **tight).x
    back = model.move(there, torch.tensor([1.0, 0.0]), **tight).x[-1]
    assert torch.allclose(back, z, atol=1e-7)


def test_the_way_of_a_gaussian_costs_what_optimal_transport_costs_and_a_little_more():
    """m^2 + (1 - s)^2 = 9.25, and pi/4 short of 1 more for the detour: 0.214601837."""
    z, weight = gauss(20)
    found = way(MarginalVelocity(GAUSSIAN), z[:, None], rtol=1e-9, atol=1e-9)
    assert torch.allclose(found.x1, 3 + z[:, None] / 2, atol=1e-7)
    assert (weight * found.cost).sum().item() == pytest.approx(9.25, abs=1e-6)
    assert (weight * found.detour).sum().item() == pytest.approx(0.214601837, abs=1e-6)
    assert (weight * found.energy).sum().item() == pytest.approx(9.464601837, abs=1e-6)


def test_the_flow_of_a_mixture_on_a_line_costs_what_optimal_transport_costs():
    """W2^2 = 0.818726: in one dimension, every coupling ends in the monotone map."""
    pieces = ((-8.0, -0.7), (-0.7, WATERSHED), (WATERSHED, -0.3), (-0.3, 8.0))
    total = 0.0
    for left, right in pieces:
        share, weight = unit_gauss(100)
        z = left + (right - left) * share
        found = way(MarginalVelocity(MIXTURE), z[:, None], rtol=1e-11, atol=1e-11)
        p = normal_log_prob(z[:, None]).exp()
        total += float((weight * p * found.cost).sum() * (right - left))
    assert total == pytest.approx(0.8187261, abs=1e-6)
    chance = torch.Generator().manual_seed(0)
    x0, x1 = noise(200_000, chance), MIXTURE.sample(200_000, chance)
    independent = (x1 - x0).square().mean().item()
    assert independent == pytest.approx(2.999, abs=0.03)


def test_in_the_plane_the_flow_is_not_optimal_transport():
    C0 = torch.diag(torch.tensor([4.0, 1.0], dtype=f64))
    R = torch.tensor([[1.0, -1.0], [1.0, 1.0]], dtype=f64) / 2**0.5
    C1 = R @ torch.diag(torch.tensor([4.0, 0.25], dtype=f64)) @ R.T
    zero = torch.zeros(2)
    u = MarginalVelocity(gaussian(zero, C1), gaussian(zero, C0))
    one = torch.eye(2, dtype=f64)
    B = FlowMatching(u).move(one, rtol=1e-10, atol=1e-10).x.T  # its columns are where the axes go
    expected = torch.tensor([[0.539319, 0.980581], [0.245145, 1.372813]], dtype=f64)
    assert torch.allclose(B, expected, atol=1e-6)
    assert torch.allclose(B @ C0 @ B.T, C1, atol=1e-8)
    assert torch.trace((B - one) @ C0 @ (B - one).T).item() == pytest.approx(2.189819, abs=1e-6)
    assert torch.trace(C0 + C1).item() == pytest.approx(9.25)


def test_the_likelihood_of_a_gaussian_is_exact():
    covariance = torch.tensor([[0.5, 0.2], [0.2, 0.3]], dtype=f64)
    target = gaussian(torch.tensor([1.0, -2.0]), covariance)
    x = target.sample(50, torch.Generator().manual_seed(0)).double()
    model = FlowMatching(MarginalVelocity(target))
    found = model.log_prob(x, rtol=1e-7, atol=1e-7)
    assert (found - target.log_prob(x)).abs().max() < 1e-5


def test_the_likelihood_is_that_of_the_cnf_of_the_field():
    torch.manual_seed(0)
    field = TimedMLP(2, 16, 2).double()
    x = torch.randn(7, 2, dtype=f64)
    assert torch.allclose(FlowMatching(field).log_prob(x), CNF(field).log_prob(x))


# -- one family ------------------------------------------------------------------------------------


def test_eulers_steps_are_those_of_ddim_on_the_straight_path():
    """DDIM takes x_t apart into data and noise, and puts them together for the next time."""
    model = FlowMatching(MarginalVelocity(MIXTURE), 1)
    z = noise(50, torch.Generator().manual_seed(0))
    times = torch.linspace(1, 0, 9, dtype=f64)  # diffusion's, from noise to data
    found = ddim(model.denoise, straight(), z, times)
    assert torch.allclose(found.x, model.move(z, steps=8).x, atol=1e-12) and found.nfe == 8


def test_the_toy_sampler_that_goes_a_part_of_the_way_to_the_guess_is_euler_too():
    """x + (guess - x) / (n - i), as in popular material, with no word of flow matching."""
    n = 7
    model = FlowMatching(MarginalVelocity(MIXTURE), 1)
    z = x = column(-1.0, 0.2, 2.0)
    for i in range(n):
        guess = model.denoise(torch.tensor(1 - i / n, dtype=f64), x).x0
        x = x + (guess - x) / (n - i)
    assert torch.allclose(x, model.move(z, steps=n).x, atol=1e-12)


def test_a_flow_is_a_denoiser_for_the_samplers_of_diffusion():
    """The exact one, and so the reverse SDE has the density of the data at the end."""
    model = FlowMatching(MarginalVelocity(MIXTURE), 1)
    x, t = column(-1.0, 0.3, 2.0), torch.tensor(0.4, dtype=f64)
    for one, other in zip(model.denoise(t, x), exact_denoiser(MIXTURE, straight())(t, x)):
        assert torch.allclose(one, other)


@pytest.mark.parametrize("path", [straight(), cosine()], ids=["straight", "cosine"])
def test_diffusions_probability_flow_and_flow_matching_are_one_field(path):
    """dx/dt = f x - g^2 score / 2, in time reversed, is u."""
    x = column(-1.0, 0.3, 2.0)
    for t in (0.2, 0.6, 0.9):
        at = path.at(torch.tensor(t, dtype=f64))
        score = MIXTURE.noised(float(at.alpha), float(at.sigma)).score(x)
        drift = at.drift * x - at.noise_square * score / 2
        assert torch.allclose(MarginalVelocity(MIXTURE, path=path)(1 - t, x), -drift)


def test_another_path_leads_through_other_densities_to_the_same_map_on_a_line():
    z = column(-1.0, 0.0, 1.0)
    tight = {"rtol": 1e-10, "atol": 1e-10}
    ends, middles = [], []
    for path in (straight(), cosine()):
        u = MarginalVelocity(MIXTURE, path=path)
        x = odeint(u, z, torch.tensor([0.0, 0.5, 1.0], dtype=f64), **tight)
        middles.append(x[1])
        ends.append(x[2])
    assert torch.allclose(*ends, atol=1e-8) and not torch.allclose(*middles, atol=1e-2)


# -- training --------------------------------------------------------------------------------------


def test_a_training_comes_to_the_floor_and_not_below():
    torch.manual_seed(0)
    model = FlowMatching(TimedMLP(1, 32, 32, 1), 1)
    history = fit(
        model,
        lambda model, x1: model.loss(x1),
        400,
        batches=lambda step: GAUSSIAN.sample(512),
        lr=1e-2,
        schedule=lambda step: 1 - step / 400,
        progress=False,
    )
    floor = math.pi * 0.5 / 2
    assert floor - 0.03 < sum(history["loss"][-100:]) / 100 < floor + 0.1
    z = torch.linspace(-1.5, 1.5, 7)[:, None]
    assert (model.move(z).x - (3 + 0.5 * z)).abs().max() < 0.15


def test_a_loss_is_the_same_for_the_same_generator_and_pairs_may_be_given():
    torch.manual_seed(0)
    x1 = torch.randn(20, 2)
    model = FlowMatching(TimedMLP(2, 8, 2))

    def loss(**given):
        return model.loss(x1, generator=torch.Generator().manual_seed(3), **given)

    assert torch.equal(loss(), loss())
    perfect = FlowMatching(Constant())
    assert perfect.loss(x1, x1 - 1).item() == pytest.approx(0, abs=1e-12)
    coupled = FlowMatching(Constant(), coupling="optimal").loss(x1)
    assert coupled < FlowMatching(Constant()).loss(x1)


class Constant(nn.Module):
    """The velocity (1, 1), everywhere."""

    def forward(self, t, x):
        return torch.ones_like(x)


def test_reflow_of_an_exact_flow_is_straight_in_one_step():
    """A linear net on solved pairs of Gaussians finds u = 3 - x0 / 2, whose flow is straight."""
    torch.manual_seed(0)
    first = FlowMatching(MarginalVelocity(GAUSSIAN), 1)
    x0 = torch.randn(400, 1, dtype=f64)
    x1 = first.move(x0, rtol=1e-9, atol=1e-9).x

    class Fitted(nn.Module):
        def forward(self, t, x):
            start = (x - t * 3) / (1 - t + 0.5 * t)
            return 3 - 0.5 * start

    second = FlowMatching(Fitted(), 1)
    assert second.loss(x1, x0).item() == pytest.approx(0, abs=1e-10)
    assert torch.allclose(second.move(x0, steps=1).x, x1, atol=1e-6)
    assert way(Fitted(), x0).detour.abs().max() < 1e-6
    pairs = first.pairs(5, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(pairs.x1, 3 + pairs.x0 / 2, atol=1e-3)


class Labeled(nn.Module):
    """A net with classes: a bias for each, and for "no class"."""

    def __init__(self, classes):
        super().__init__()
        self.net = MLP(2, 16, 1)
        self.biases = nn.Embedding(classes + 1, 1)
        self.seen = []

    def forward(self, t, x, label=None):
        t = t.to(x).expand(*x.shape[:1], 1)
        out = self.net(torch.cat([x, t], 1))
        if label is None:
            return out
        self.seen.append(label)
        return out + self.biases(label)


def test_labels_are_dropped_in_training_and_guidance_goes_away_from_no_class():
    torch.manual_seed(0)
    net = Labeled(2)
    model = FlowMatching(net, 1, classes=2, drop=0.25)
    label = torch.randint(2, (4000,))
    model.loss(torch.randn(4000, 1), label=label)
    assert (net.seen[-1] == 2).float().mean().item() == pytest.approx(0.25, abs=0.03)
    kept = net.seen[-1] < 2
    assert torch.equal(net.seen[-1][kept], label[kept])
    x, label = torch.randn(3, 1), torch.tensor([0, 1, 1])
    t = torch.tensor(0.3)
    toward = net(t, x, label)
    none = net(t, x, torch.full((3,), 2))
    assert torch.allclose(model.velocity(t, x, label), toward)
    assert torch.allclose(model.velocity(t, x, label, guidance=3.0), toward + 2 * (toward - none))
    drawn = model.sample(3, label=label, guidance=2.0, steps=4)
    assert drawn.x.shape == (3, 1) and drawn.nfe == 8
    assert model.sample(3, label=label, steps=4).nfe == 4
    assert model.log_prob(x, label).shape == (3,)


def test_images_go_through_as_they_are():
    class Halved(nn.Module):
        def forward(self, t, x):
            assert x.shape[1:] == (1, 2, 2)
            return -x

    model = FlowMatching(Halved(), (1, 2, 2))
    assert model.sample(3, steps=2).x.shape == (3, 1, 2, 2)
    x = torch.randn(5, 1, 2, 2, dtype=f64)
    expected = normal_log_prob(x.flatten(1) * math.e) + 4
    assert torch.allclose(model.log_prob(x, rtol=1e-8, atol=1e-8), expected, atol=1e-6)


def test_what_cannot_be_right_is_refused():
    u = MarginalVelocity(MIXTURE)
    model = FlowMatching(TimedMLP(2, 8, 2))
    x = torch.zeros(3, 2)
    refused = [
        (lambda: u(1.2, column(0.0)), "times must be from 0"),
        (lambda: u(0.5, x), "points must have 1 entries"),
        (lambda: MarginalVelocity(POINTS)(1.0, column(0.0)), r"set of points.*0\.999"),
        (lambda: MarginalVelocity(MIXTURE, gaussian(torch.zeros(2), torch.eye(2))), "dimensions"),
        (lambda: between(x, x[:2], 0.5), "one shape"),
        (lambda: between(x, x, -0.1), "times must be from 0"),
        (lambda: FlowMatching(TimedMLP(2, 8, 2), coupling="greedy"), "coupling must be one of"),
        (lambda: FlowMatching(TimedMLP(2, 8, 2), 0), "integer of 1 or more"),
        (lambda: FlowMatching(TimedMLP(2, 8, 2), classes=-1), "classes must be"),
        (lambda: FlowMatching(TimedMLP(2, 8, 2), drop=1.5), "drop must be a share"),
        (lambda: model.loss(torch.zeros(3, 3)), "samples must be"),
        (lambda: model.move(x, torch.tensor([0.0, 1.5])), "times must be from 0"),
        (lambda: model.move(x, steps=0), "steps must be an integer"),
        (lambda: model.sample(3, guidance=2.0), "guidance = 2 needs a label"),
        (lambda: model.loss(x, label=torch.zeros(3, dtype=torch.int64)), "without classes"),
        (lambda: model.log_prob(torch.zeros(3, 1, 2)), "samples must be"),
    ]
    for call, message in refused:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match=r"field must be an nn\.Module"):
        FlowMatching(lambda t, x: x)
