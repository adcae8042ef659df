"""VAE: the KL, the trick, and the bound against a model whose likelihood is known."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, MultivariateNormal, Normal, kl_divergence

from node_tutorial.data import digits
from node_tutorial.models import VAE, Autoencoder, gaussian_kl, reparameterize
from node_tutorial.models.vae import Posterior

f64 = {"dtype": torch.float64}


def test_the_kl_of_the_exercise_and_of_the_prior():
    assert float(gaussian_kl(torch.tensor(1.0, **f64), torch.tensor(0.5, **f64))) == pytest.approx(
        0.818147, abs=5e-7
    )
    assert float(gaussian_kl(torch.tensor(0.0), torch.tensor(1.0))) == 0


@pytest.mark.parametrize("mean, std", [(1.0, 0.5), (-2.0, 1.5), (0.0, 0.1)])
def test_the_kl_is_what_samples_say(mean, std):
    torch.manual_seed(0)
    q, p = Normal(torch.tensor(mean, **f64), torch.tensor(std, **f64)), Normal(0.0, 1.0)
    z = q.sample((200_000,))
    ratio = q.log_prob(z) - p.log_prob(z)
    closed = gaussian_kl(q.loc, q.scale)
    assert abs(closed - ratio.mean()) < 4 * ratio.std() / math.sqrt(len(z))
    assert torch.allclose(
        closed, kl_divergence(q, Normal(torch.tensor(0.0, **f64), torch.tensor(1.0, **f64)))
    )


def test_gradients_pass_through_the_samples():
    torch.manual_seed(0)
    mean, std = (
        torch.tensor(0.7, **f64, requires_grad=True),
        torch.tensor(0.4, **f64, requires_grad=True),
    )
    z = reparameterize(mean.expand(400_000), std)
    by_mean, by_std = torch.autograd.grad(z.square().mean(), (mean, std))
    assert float(by_mean) == pytest.approx(1.4, abs=0.01) and float(by_std) == pytest.approx(
        0.8, abs=0.01
    )
    z = z.detach()
    assert float(z.mean()) == pytest.approx(0.7, abs=0.005) and float(z.std()) == pytest.approx(
        0.4, abs=0.005
    )


class LinearEncoder(nn.Module):
    """q(z | x) = N(gain (x - bias) + shift, (stretch std)^2), exact for shift 0 and stretch 1."""

    def __init__(self, weight, bias, noise, shift=0.0, stretch=1.0):
        super().__init__()
        variance = 1 / (
            1 + weight.square().sum(0) / noise**2
        )  # diagonal, as the columns are orthogonal
        self.gain = variance[:, None] * weight.T / noise**2
        self.bias = bias
        self.std = variance.sqrt()
        self.shift = shift
        self.stretch = stretch

    def forward(self, x):
        mean = (x - self.bias) @ self.gain.T
        return Posterior(mean + self.shift, (self.stretch * self.std).expand_as(mean))


def linear_gaussian(shift=0.0, stretch=1.0, noise=0.5):
    """A VAE x = W z + b + noise, whose posterior and likelihood are known, and log p."""
    torch.manual_seed(0)
    weight = torch.linalg.qr(torch.randn(5, 2, **f64)).Q * torch.tensor([1.5, 0.8], **f64)
    model = VAE(5, 2, likelihood="gaussian", noise=noise).double()
    model.decoder = nn.Linear(2, 5).double()
    with torch.no_grad():
        model.decoder.weight.copy_(weight)
        bias = model.decoder.bias.clone()
    model.encoder = LinearEncoder(weight, bias, noise, shift, stretch)
    return model, MultivariateNormal(bias, weight @ weight.T + noise**2 * torch.eye(5, **f64))


@pytest.mark.parametrize("shift, stretch", [(0.0, 1.0), (0.3, 1.0), (0.0, 2.0), (-0.5, 0.4)])
def test_the_bound_falls_short_of_the_likelihood_by_the_kl_to_the_posterior(shift, stretch):
    model, exact = linear_gaussian(shift, stretch)
    x = exact.sample((3,))
    with torch.no_grad():
        bound = model.elbo(x, draws=100_000).total
    q = model.encode(x)
    posterior = LinearEncoder(model.decoder.weight, model.decoder.bias, 0.5)(x)
    gap = kl_divergence(Normal(*q), Normal(*posterior)).sum(-1)
    assert torch.allclose(exact.log_prob(x) - bound, gap.detach(), atol=0.03)
    if (shift, stretch) == (0.0, 1.0):
        assert gap.abs().max() < 1e-12  # the bound is tight
    else:
        assert gap.min() > 0.1


def test_a_bernoulli_decoder_works_from_logits():
    torch.manual_seed(0)
    model = VAE(6, 2, 8).double()
    x = torch.rand(4, 6, **f64).round()
    z = torch.randn(4, 2, **f64)
    expected = Bernoulli(probs=model.decode(z)).log_prob(x).sum(-1)
    assert torch.allclose(model.log_prob(x, z), expected, atol=1e-10)
    with torch.no_grad():
        model.decoder[-1].bias.fill_(
            200.0
        )  # sure, and wrong: log(1 - sigmoid(200)) would be log(0)
    assert model.log_prob(torch.zeros(1, 6, **f64), z[:1]).item() == pytest.approx(-1200, rel=0.01)


def test_the_loss_weighs_the_terms_with_beta():
    model, _ = linear_gaussian()
    x = torch.randn(4, 5, **f64)
    for beta in (0.0, 1.0, 4.0):
        model.beta = beta
        torch.manual_seed(1)
        loss = model.loss(x)
        torch.manual_seed(1)
        terms = model.elbo(x)
        assert torch.allclose(loss, (beta * terms.kl - terms.reconstruction).mean())


def test_samples_of_a_linear_model_have_its_covariance():
    model, exact = linear_gaussian()
    x = model.sample(100_000).detach()
    assert torch.allclose(x.mean(0), exact.mean, atol=0.03)
    assert torch.allclose(
        x.T.cov(), exact.covariance_matrix - 0.25 * torch.eye(5, **f64), atol=0.05
    )


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_training_raises_the_bound_and_uses_the_latent(likelihood):
    torch.manual_seed(0)
    angle = 6.28 * torch.rand(200, 1)
    x = torch.sigmoid(4 * torch.cat([angle.cos(), angle.sin(), -angle.cos(), -angle.sin()], 1))
    model = VAE(4, 2, 32, likelihood=likelihood)
    before = model.elbo(x, 20).total.mean().item()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(150):
        optimizer.zero_grad()
        model.loss(x).backward()
        optimizer.step()
    after = model.elbo(x, 20)
    assert after.total.mean().item() > before + 0.3 and after.kl.mean().item() > 0.2
    assert (model(x) - x).square().mean() < 0.7 * x.var(0).mean()


def test_an_autoencoder_with_enough_room_learns_to_copy():
    torch.manual_seed(0)
    x = torch.randn(50, 1) @ torch.randn(1, 4)
    model = Autoencoder(4, 1, 16)
    first = model.loss(x).item()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(200):
        optimizer.zero_grad()
        model.loss(x).backward()
        optimizer.step()
    assert model.loss(x).item() < 0.1 * first


@pytest.mark.parametrize(
    "keywords, message",
    [
        ({"likelihood": "poisson"}, "likelihood must be 'bernoulli' or 'gaussian', got 'poisson'"),
        ({"likelihood": "gaussian", "noise": 0.0}, "noise must be positive.*got 0.0"),
    ],
)
def test_what_cannot_be_right_is_refused(keywords, message):
    with pytest.raises(ValueError, match=message):
        VAE(4, 2, **keywords)


def test_a_bernoulli_refuses_pixels_outside_of_0_and_1():
    model = VAE(64, 2)
    x = digits().images.flatten(1)[:20]  # normalized: mean 0, standard deviation 1
    for pixels in (
        x,
        255 * x.clamp(0, 1),
        x.clamp(0, 1).index_fill(0, torch.tensor([3]), math.nan),
    ):
        with pytest.raises(ValueError, match=r"x must be in \[0, 1\].*digits\(normalize=False\)"):
            model.loss(pixels)
    with pytest.raises(ValueError, match="likelihood='gaussian'"):
        model.log_prob(x, torch.zeros(20, 2))
    assert model.loss(digits(normalize=False).images.flatten(1)[:20]).isfinite()
    assert VAE(64, 2, likelihood="gaussian").loss(x).isfinite()


def test_a_mean_over_nothing_is_refused():
    for draws in (0, -1, 2.0, True):
        with pytest.raises(ValueError, match="draws must be an integer of 1 or more"):
            VAE(64, 2).elbo(torch.zeros(5, 64), draws=draws)
    for model in (VAE(64, 2), Autoencoder(64, 2)):
        with pytest.raises(ValueError, match=r"at least one row, got shape \(0, 64\)"):
            model.loss(torch.zeros(0, 64))
