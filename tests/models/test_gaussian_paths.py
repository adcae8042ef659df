"""Gaussian paths: derivatives, schedules' values, conversions between predictions, refusals."""

import itertools
import math

import pytest
import torch

from node_tutorial.models import PATHS, denoised, predicted
from node_tutorial.models.gaussian_paths import PREDICTIONS, At, Denoised, GaussianPath, linear

f64 = torch.float64
TIMES = torch.linspace(0.03, 0.97, 17, dtype=f64)


@pytest.mark.parametrize("name", PATHS)
def test_slopes_are_the_derivatives_of_alpha_and_sigma(name):
    t = TIMES.clone().requires_grad_()
    at = PATHS[name]().at(t)
    for value, slope in (
        (at.alpha, at.alpha_slope),
        (at.sigma, at.sigma_slope),
        (at.sigma**2, at.square_slope),
    ):
        (exact,) = torch.autograd.grad((value + 0 * t).sum(), t, retain_graph=True)
        assert torch.allclose(slope, exact, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", PATHS)
def test_the_forward_sde_keeps_the_variance_that_the_path_has(name):
    """dV/dt = 2 f V + g^2 for V = alpha^2 s^2 + sigma^2, whatever the data's s."""
    at = PATHS[name]().at(TIMES)
    variance = at.alpha**2 * 0.09 + at.sigma**2
    slope = 2 * at.alpha * at.alpha_slope * 0.09 + at.square_slope
    assert torch.allclose(2 * at.drift * variance + at.noise_square, slope, rtol=1e-10)
    assert (at.noise_square > 0).all()


@pytest.mark.parametrize("name", PATHS)
def test_a_path_goes_from_data_to_noise(name):
    path = PATHS[name]()
    at = path.at(torch.linspace(path.first, path.last, 101, dtype=f64))
    assert (at.sigma / at.alpha).diff().min() > 0
    assert at.alpha[0] >= 0.999 and at.sigma[0] < 0.05
    assert at.sigma[-1] > 3 * at.alpha[-1]


@pytest.mark.parametrize("name", ["constant", "linear", "cosine"])
def test_variance_preserving_paths_preserve_it(name):
    at = PATHS[name]().at(TIMES)
    assert torch.allclose(at.alpha**2 + at.sigma**2, torch.ones(17, dtype=f64), atol=1e-14)


def test_the_known_values_of_schedules():
    one = torch.tensor(1.0, dtype=f64)
    assert float(linear().at(one).alpha ** 2) == pytest.approx(4.3186e-5, rel=1e-4)
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=f64)
    assert float((1 - betas).prod()) == pytest.approx(4.0358e-5, rel=1e-4)
    for steps, left in ((100, 0.363563), (50, 0.602952)):
        few = torch.linspace(1e-4, 0.02, steps, dtype=f64)
        assert float((1 - few).prod()) == pytest.approx(left, abs=1e-6)


def test_a_path_of_your_own_belongs_to_the_sde_that_it_was_made_for():
    """dx = 25^t dw: sigma^2 = (25^(2 t) - 1) / (2 log 25), known values at 1 and 1/2."""
    growth = math.log(25)

    def at(t):
        square = torch.expm1(2 * growth * t) / (2 * growth)
        slope = torch.exp(2 * growth * t)
        sigma = square.sqrt()
        return At(torch.ones_like(t), sigma, torch.zeros_like(t), slope / (2 * sigma), slope)

    path = GaussianPath("25^t", at)
    t = torch.tensor([1.0, 0.5], dtype=f64)
    assert path.at(t).sigma.tolist() == pytest.approx([9.845214563, 1.930805430], abs=1e-9)
    assert torch.allclose(path.at(t).noise_square.sqrt(), 25**t)


def test_the_constant_path_is_the_ornstein_uhlenbeck_process():
    """Values for data N(0, 0.3^2), beta = 5."""
    one = torch.tensor(1.0, dtype=f64)
    at = PATHS["constant"]().at(one)
    variance = float(at.alpha**2 * 0.09 + at.sigma**2)
    assert variance == pytest.approx(0.993868468, abs=1e-9)
    assert (variance - 1 - math.log(variance)) / 2 == pytest.approx(9.4375e-6, rel=1e-4)


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize(("kind", "other"), list(itertools.permutations(PREDICTIONS, 2)))
def test_predictions_are_converted_into_each_other(name, kind, other):
    """Also the means, which need not obey alpha x_0 + sigma eps = x with one x_0 and eps."""
    path = PATHS[name]()
    generator = torch.Generator().manual_seed(0)
    x0, eps = torch.randn(2, 17, 3, dtype=f64, generator=generator)
    x = path.noised(x0, TIMES, eps)
    parts = Denoised(x0, eps)
    found = denoised(path, kind, TIMES, x, predicted(path, kind, TIMES, parts))
    assert torch.allclose(found.x0, x0, atol=1e-6) and torch.allclose(found.eps, eps, atol=1e-6)
    there = predicted(path, other, TIMES, found)
    exact = predicted(path, other, TIMES, parts)
    assert torch.allclose(there, exact, rtol=1e-6, atol=1e-6)


def test_the_velocity_is_the_derivative_of_the_path():
    x0, eps = torch.randn(2, 1, 4, dtype=f64, generator=torch.Generator().manual_seed(0))
    for make in PATHS.values():
        path = make()
        t = torch.tensor(0.4, dtype=f64)
        velocity = predicted(path, "velocity", t, Denoised(x0, eps))
        h = 1e-6
        slope = (path.noised(x0, t + h, eps) - path.noised(x0, t - h, eps)) / (2 * h)
        assert torch.allclose(velocity, slope, rtol=1e-6, atol=1e-7)


def test_one_time_for_each_image_reaches_all_its_pixels():
    path = PATHS["cosine"]()
    images = torch.randn(5, 1, 8, 8)
    noise = torch.randn(5, 1, 8, 8)
    t = torch.linspace(0.1, 0.9, 5)
    together = path.noised(images, t, noise)
    for k in range(5):
        assert torch.allclose(together[k], path.noised(images[k], float(t[k]), noise[k]))


def test_an_unknown_prediction_is_refused_with_the_list():
    with pytest.raises(ValueError, match="prediction must be one of eps, x0, v, score, velocity"):
        denoised(PATHS["cosine"](), "noise", 0.5, torch.zeros(2, 2), torch.zeros(2, 2))
