"""Densities of paths: Girsanov's divergence and likelihoods, against formulas."""

import math

import pytest
import torch
from torch.distributions import Normal

from node_tutorial.data.stochastic import ou_kl
from node_tutorial.models.path_measures import path_kl, transition_log_prob
from node_tutorial.solvers.brownian import BrownianPath
from node_tutorial.solvers.sdeint import sdeint

f64 = torch.float64
T = torch.linspace(0, 1, 201, dtype=f64)


def constant(value):
    return lambda t, x: torch.full_like(x, value)


def pull(theta):
    return lambda t, x: -theta * x


def paths(drift, sigma, n=4000, x0=1.0, dimensions=1):
    start = torch.full((n, dimensions), x0, dtype=f64)
    noise = BrownianPath(0, 1, (n, dimensions), seed=1)
    return sdeint(drift, constant(sigma), start, T, noise)


def test_drifts_that_differ_by_a_constant():
    x = paths(constant(1.0), 0.5, n=7)
    assert torch.allclose(
        path_kl(constant(1.0), constant(0.0), constant(0.5), x, T), torch.full((7,), 2.0, dtype=f64)
    )
    both = paths(constant(1.0), 0.5, n=7, dimensions=3)
    assert path_kl(constant(1.0), constant(0.0), constant(0.5), both, T).allclose(
        torch.full((7,), 6.0, dtype=f64)
    )


@pytest.mark.parametrize("theta, other", [(2.0, 1.0), (1.0, 2.0)])
def test_two_ornstein_uhlenbeck_laws(theta, other):
    kl = path_kl(pull(theta), pull(other), constant(0.5), paths(pull(theta), 0.5), T)
    assert kl.shape == (4000,)
    assert float(kl.mean()) == pytest.approx(ou_kl(1, theta, other, 0.5, 1), rel=0.03)
    assert ou_kl(1, 2, 1, 0.5, 1) == pytest.approx(0.585164544)


def test_the_divergence_is_the_mean_ratio_of_likelihoods():
    x = paths(pull(2.0), 0.5)
    first, second = (transition_log_prob(pull(k), constant(0.5), x, T) for k in (2.0, 1.0))
    kl = path_kl(pull(2.0), pull(1.0), constant(0.5), x, T)
    off = (first - second - kl).mean()
    assert abs(float(off)) < 4 * float((first - second - kl).std()) / math.sqrt(4000)
    assert float((first - second).std()) > 0.5  # so the means agree, not the paths


def test_a_likelihood_is_a_product_of_normal_densities():
    t = torch.tensor([0.0, 0.5, 2.0], dtype=f64)
    x = torch.tensor([[[1.0]], [[0.8]], [[0.1]]], dtype=f64)
    by_hand = Normal(0.5, 0.6 * math.sqrt(0.5)).log_prob(x[1]) + Normal(
        0.8 - 0.8 * 1.5, 0.6 * math.sqrt(1.5)
    ).log_prob(x[2])
    got = transition_log_prob(pull(1.0), constant(0.6), x, t)
    assert got.shape == (1,) and torch.allclose(got, by_hand[:, 0])


def test_the_most_likely_noise_is_that_of_the_squared_steps():
    x = paths(pull(1.0), 0.5, n=50)
    off = x.diff(dim=0) + x[:-1] * T.diff()[:, None, None]
    best = (off.square() / T.diff()[:, None, None]).mean().sqrt()
    log_prob = [
        transition_log_prob(pull(1.0), constant(float(best) * k), x, T).sum()
        for k in (0.97, 1, 1.03)
    ]
    assert log_prob[1] > max(log_prob[0], log_prob[2])


def test_gradients_reach_the_parameters():
    x = paths(pull(1.0), 0.5, n=3)[::50]
    t = T[::50]

    def both(theta, sigma):
        drift, diffusion = (lambda t, x: -theta * x), (lambda t, x: sigma * (1 + x**2))
        return transition_log_prob(drift, diffusion, x, t), path_kl(
            drift, pull(0.3), diffusion, x, t
        )

    inputs = [torch.tensor(value, dtype=f64, requires_grad=True) for value in (1.3, 0.5)]
    assert torch.autograd.gradcheck(both, inputs)


def test_what_does_not_fit_is_refused_by_name():
    x = torch.zeros(3, 2, 1)
    with pytest.raises(ValueError, match=r"x must be \(T, B, ..., D\) and t \(T,\)"):
        path_kl(pull(1.0), pull(2.0), constant(0.5), x, T)
    with pytest.raises(ValueError, match="diffusion must be finite and not 0"):
        path_kl(pull(1.0), pull(2.0), constant(0.0), x, torch.arange(3.0))


@pytest.mark.parametrize(
    "t, sigma, message",
    [
        ([0.0, 2.0, 1.0], 0.5, "t must increase"),
        ([2.0, 1.0, 0.0], 0.5, "t must increase"),
        ([0.0, 1.0, 1.0], 0.5, "t must increase"),
        ([0.0, 1.0, 2.0], 0.0, "diffusion must be finite and not 0"),
        ([0.0, 1.0, 2.0], math.nan, "diffusion must be finite and not 0"),
    ],
)
def test_both_measures_refuse_what_has_no_density(t, sigma, message):
    x, t = torch.zeros(3, 2, 1), torch.tensor(t)
    with pytest.raises(ValueError, match=message):
        path_kl(pull(1.0), pull(2.0), constant(sigma), x, t)
    with pytest.raises(ValueError, match=message):
        transition_log_prob(pull(1.0), constant(sigma), x, t)


def test_a_batch_without_its_dimension_is_not_added_up():
    with pytest.raises(ValueError, match=r"x must be \(T, B, \.\.\., D\)"):
        transition_log_prob(pull(1.0), constant(0.5), torch.zeros(3, 2), torch.arange(3.0))
