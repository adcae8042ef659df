"""Mixtures of Gaussians: closed forms against autograd, quadrature and sums over points."""

import math

import pytest
import torch

from node_tutorial.data import GaussianMixture, gaussian, gaussian_mixture

f64 = torch.float64
CONSTANT = 5.0  # beta of the variance preserving path of the values below


def on_a_line():
    return gaussian_mixture([0.3, 0.7], [-1.0, 1.5], [0.2, 0.4])


def tilted():
    """Three Gaussians in the plane with axes of their own."""
    angles = torch.tensor([0.3, 1.1, -0.7], dtype=f64)
    c, s = angles.cos(), angles.sin()
    axes = torch.stack([torch.stack([c, -s], -1), torch.stack([s, c], -1)], -2)
    weights = torch.tensor([0.2, 0.5, 0.3], dtype=f64)
    means = torch.tensor([[0.0, 1.0], [-1.0, 0.5], [2.0, -1.0]], dtype=f64)
    variances = torch.tensor([[0.5, 0.1], [1.0, 0.02], [0.3, 0.3]], dtype=f64)
    return GaussianMixture(weights, means, variances, axes)


def scales(t):
    alpha = math.exp(-CONSTANT * t / 2)
    return alpha, math.sqrt(1 - alpha**2)


@pytest.mark.parametrize(
    ("t", "x", "log_p", "score", "guess"),
    [
        (0.0, 0.2, -5.640570, 8.124902, 0.2),
        (0.1, 0.2, -1.550323, 0.776996, 0.649363),
        (0.3, 0.2, -1.006538, 0.215378, 0.777618),
        (0.5, 0.0, -0.964036, 0.219963, 0.704727),
        (1.0, 0.2, -0.929932, -0.137714, 0.770099),
    ],
)
def test_a_mixture_on_a_line_has_the_known_density_score_and_guess(t, x, log_p, score, guess):
    alpha, sigma = scales(t)
    noised = on_a_line().noised(alpha, sigma)
    at = torch.tensor([x], dtype=f64)
    x0, eps = on_a_line().denoised(at, alpha, sigma)
    assert float(noised.log_prob(at)) == pytest.approx(log_p, abs=1e-6)
    assert float(noised.score(at)) == pytest.approx(score, abs=1e-6)
    assert float(x0) == pytest.approx(guess, abs=1e-6)
    assert float(eps) == pytest.approx(-sigma * score, abs=1e-6)


def test_the_score_on_the_exploding_path_is_the_known_one():
    """sigma = 0.01 * 5000^t; its SDE, from the data at 0, adds sigma(t)^2 - sigma(0)^2."""
    x = torch.tensor([0.2], dtype=f64)
    added = math.sqrt(0.01**2 * (5000 - 1))
    assert float(on_a_line().noised(1.0, added).score(x)) == pytest.approx(0.670199326, abs=1e-9)


@pytest.mark.parametrize("make", [tilted, lambda: tilted().noised(0.6, 0.8)])
def test_the_score_is_the_gradient_of_the_log_density(make):
    x = torch.randn(20, 2, dtype=f64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (gradient,) = torch.autograd.grad(make().log_prob(x).sum(), x)
    assert torch.allclose(make().score(x.detach()), gradient, atol=1e-12)


def test_tilted_densities_have_mass_one_and_the_covariance_of_their_draws():
    half = torch.linspace(-8, 8, 801, dtype=f64)
    x = torch.cartesian_prod(half, half)
    assert float(tilted().log_prob(x).exp().sum() * 0.02**2) == pytest.approx(1, abs=1e-6)
    covariance = torch.tensor([[2.0, 0.7], [0.7, 1.0]], dtype=f64)
    draws = gaussian(torch.tensor([1.0, -1.0]), covariance).sample(
        40_000, torch.Generator().manual_seed(1)
    )
    assert torch.allclose(draws.double().T.cov(), covariance, atol=0.05)


def test_denoising_a_mixture_is_tweedies_formula_and_adds_up():
    """x_0 = (x + sigma^2 score) / alpha, eps = -sigma score, alpha x_0 + sigma eps = x."""
    x = torch.randn(20, 2, dtype=f64, generator=torch.Generator().manual_seed(0))
    alpha, sigma = 0.6, 0.5
    score = tilted().noised(alpha, sigma).score(x)
    x0, eps = tilted().denoised(x, alpha, sigma)
    assert torch.allclose(x0, (x + sigma**2 * score) / alpha, atol=1e-12)
    assert torch.allclose(eps, -sigma * score, atol=1e-12)
    assert torch.allclose(alpha * x0 + sigma * eps, x, atol=1e-12)


def test_denoising_holds_at_both_ends():
    x = torch.randn(5, 2, dtype=f64, generator=torch.Generator().manual_seed(0))
    x0, eps = tilted().denoised(x, 1.0, 0.0)
    assert torch.allclose(x0, x) and torch.equal(eps, torch.zeros_like(x))
    x0, eps = tilted().denoised(x, 0.0, 1.0)
    mean = tilted().weights @ tilted().means
    assert torch.allclose(x0, mean.expand(5, 2)) and torch.allclose(eps, x)


def test_one_time_for_each_point_is_as_one_call_for_each():
    x = torch.randn(3, 2, dtype=f64, generator=torch.Generator().manual_seed(0))
    alpha = torch.tensor([[0.9], [0.5], [0.1]], dtype=f64)
    sigma = (1 - alpha**2).sqrt()
    together = tilted().denoised(x, alpha, sigma)
    for k in range(3):
        alone = tilted().denoised(x[k], float(alpha[k]), float(sigma[k]))
        assert torch.allclose(together[0][k], alone[0]) and torch.allclose(together[1][k], alone[1])


def test_a_set_of_points_is_denoised_to_their_average_by_weights():
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]], dtype=f64)
    copies = gaussian_mixture(torch.ones(3), points, 0.0)
    x = torch.tensor([[0.3, 0.4]], dtype=f64)
    shares = (-(x - 0.8 * points).square().sum(1) / (2 * 0.6**2)).softmax(0)
    x0, _ = copies.denoised(x, 0.8, 0.6)
    assert torch.allclose(x0, shares @ points)
    near, _ = copies.denoised(x, 1.0, 0.01)
    assert torch.allclose(near, points[:1])


def test_the_cdf_is_the_share_of_the_draws():
    draws = on_a_line().sample(20_000, torch.Generator().manual_seed(0)).double()
    for x in (-1.0, 0.5, 1.5):
        below = float((draws < x).double().mean())
        exact = float(on_a_line().cdf(torch.tensor([x], dtype=f64)))
        assert abs(below - exact) < 4 * math.sqrt(exact * (1 - exact) / 20_000)


def test_what_is_no_mixture_is_refused():
    with pytest.raises(ValueError, match="weights must be 2 positive numbers"):
        gaussian_mixture([1.0, 0.0], torch.zeros(2), 1.0)
    with pytest.raises(ValueError, match="stds must be 0 or more"):
        gaussian_mixture([1.0], torch.zeros(1), -1.0)
    with pytest.raises(ValueError, match="covariance must be symmetric"):
        gaussian(torch.zeros(2), torch.tensor([[1.0, 2.0], [2.0, 1.0]]))
    with pytest.raises(ValueError, match="points must have 2 entries"):
        tilted().score(torch.zeros(4, 3))
    with pytest.raises(ValueError, match="cdf is for mixtures on a line"):
        tilted().cdf(torch.zeros(4, 2))
