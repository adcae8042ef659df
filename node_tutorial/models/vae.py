"""Autoencoders, plain and variational: a few numbers z that stand for the data x.

A plain autoencoder makes decode(encode(x)) like x, and leaves open which z mean anything. A
variational one is a generator first. It draws z from p(z) = N(0, I), then x from p(x | z), which
the decoder gives. It should make the data likely, but log p(x), an integral over all z, is out of
reach. So the encoder guesses which z made x, by a Gaussian q(z | x) = N(mean(x), std(x)^2), and by
Jensen's inequality

    log p(x) = log E_q [p(x | z) p(z) / q(z | x)]
            >= E_q log p(x | z)  -  KL(q(z | x) || p(z))  =  ELBO(x)

The first term, `reconstruction`, asks that z says what x was; the second, `kl`, that the guesses
look like draws from p(z), so that a draw from p(z) decodes to something like the data. What is lost
is KL(q(z | x) || p(z | x)): the bound is equal to log p(x) where the guess is right.

The mean over q depends on the encoder. Written as z = mean + std e with e from N(0, I), it is a
mean over e, which does not: gradients go through z, and d/dmean E[z^2] = 2 mean, d/dstd E[z^2] = 2
std come out right from samples.

    x ~ Bernoulli(sigmoid(decode(z)))     for entries in [0, 1], such as pixels
    x ~ N(decode(z), noise^2)             for real numbers

Sources: Kingma, Welling 2013, "Auto-encoding variational Bayes", arXiv 1312.6114 (appendix B: the
KL); Rezende, Mohamed, Wierstra 2014, arXiv 1401.4082; beta: Higgins et al. 2017, "beta-VAE", ICLR.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from .fields import MLP
from .sizes import check_draws


def gaussian_kl(mean: Tensor, std: Tensor) -> Tensor:
    """KL(N(mean, std^2) || N(0, 1)) = (mean^2 + std^2 - 1) / 2 - log std, in nats, entry by entry.

    Source: Kingma, Welling 2013, arXiv 1312.6114, appendix B.

        >>> float(gaussian_kl(torch.tensor(1.0), torch.tensor(0.5)))  # doctest: +ELLIPSIS
        0.81814...
    """
    return (mean.square() + std.square() - 1) / 2 - std.log()


def reparameterize(mean: Tensor, std: Tensor) -> Tensor:
    """A draw from N(mean, std^2) as mean + std e, e from N(0, 1), so that gradients reach mean and
    std; (...) -> (...).

    Source: Kingma, Welling 2013, arXiv 1312.6114, section 2.4.
    """
    return mean + std * torch.randn_like(mean)


def gaussian_log_prob(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """log N(x; mean, std^2), entry by entry; (...) -> (...).

    >>> zero, one = torch.tensor([0.0, 1.0])
    >>> float(gaussian_log_prob(zero, zero, one).exp())  # 1 / sqrt(2 pi)
    0.398942...
    """
    return -((x - mean) / std).square() / 2 - std.log() - math.log(2 * math.pi) / 2


class Posterior(NamedTuple):
    """q(z | x): a Gaussian with independent entries, mean and std (B, L)."""

    mean: Tensor
    std: Tensor


class ELBO(NamedTuple):
    """The terms of the bound, (B,) each, in nats: E_q log p(x | z) and KL(q(z | x) || p(z))."""

    reconstruction: Tensor
    kl: Tensor

    @property
    def total(self) -> Tensor:
        """The bound on log p(x), (B,)."""
        return self.reconstruction - self.kl


class GaussianHead(nn.Module):
    """Mean and std (..., L) of a Gaussian, linear in features h (..., H), std through softplus."""

    def __init__(self, features: int, latent: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 2 * latent)

    def forward(self, h: Tensor) -> Posterior:
        mean, std = self.linear(h).chunk(2, dim=-1)
        # std is never 0, where its logarithm is not finite.
        return Posterior(mean, nn.functional.softplus(std) + 1e-4)


class Autoencoder(nn.Module):
    """x -> z -> x, both ways one hidden layer; trained by the squared error.

    Args:
        size: D, the number of entries of x.
        latent: L, those of z.
        hidden: width of the hidden layers.

    Shapes: x (..., D) -> (..., D).

        >>> model, x = Autoencoder(64, 2), torch.zeros(5, 64)
        >>> model.encode(x).shape, model(x).shape, model.loss(x).shape
        (torch.Size([5, 2]), torch.Size([5, 64]), torch.Size([]))
    """

    def __init__(self, size: int, latent: int, hidden: int = 128) -> None:
        super().__init__()
        self.encoder, self.decoder = MLP(size, hidden, latent), MLP(latent, hidden, size)

    def encode(self, x: Tensor) -> Tensor:
        """z (..., L)."""
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        """x (..., D)."""
        return self.decoder(z)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    def loss(self, x: Tensor) -> Tensor:
        """The mean squared error, 0-d."""
        check_batch(x)
        return (self(x) - x).square().mean()


class VAE(nn.Module):
    """The generator z -> x and its inverse guess q(z | x), trained together by the ELBO (module).

    Args:
        size: D, the number of entries of x.
        latent: L, those of z.
        hidden: width of the hidden layers.
        likelihood: p(x | z): "bernoulli" or "gaussian".
        noise: where learning of the Gaussian's standard deviation begins;
            `model.log_noise.requires_grad_(False)` keeps it. A Bernoulli has none.
        beta: weight of the KL in `loss`; 1 for the bound.

    Shapes: x (B, D), z (B, L).

    Raises:
        ValueError: for another likelihood, or noise that is not positive; when called, for an empty
            batch, and with a Bernoulli for x outside of [0, 1]: there the loss has no floor.

        >>> model = VAE(64, 2)
        >>> model.elbo(torch.zeros(5, 64)).kl.shape, model.sample(3).shape
        (torch.Size([5]), torch.Size([3, 64]))
    """

    def __init__(
        self,
        size: int,
        latent: int,
        hidden: int = 128,
        *,
        likelihood: str = "bernoulli",
        noise: float = 0.1,
        beta: float = 1.0,
    ) -> None:
        super().__init__()
        if likelihood not in ("bernoulli", "gaussian"):
            raise ValueError(f"likelihood must be 'bernoulli' or 'gaussian', got {likelihood!r}")
        self.latent = latent
        self.likelihood = likelihood
        self.beta = beta
        self.encoder = nn.Sequential(
            MLP(size, hidden, hidden), nn.Tanh(), GaussianHead(hidden, latent)
        )
        self.decoder = MLP(latent, hidden, size)
        self.log_noise = noise_parameter(noise) if likelihood == "gaussian" else None

    def encode(self, x: Tensor) -> Posterior:
        """q(z | x): mean and std (B, L)."""
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        """The mean of p(x | z), (..., D): for a Bernoulli, probabilities."""
        out = self.decoder(z)
        return torch.sigmoid(out) if self.likelihood == "bernoulli" else out

    def log_prob(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z), (...), summed over the entries of x (..., D)."""
        out = self.decoder(z)
        if self.log_noise is None:  # from logits: log(sigmoid) would be -inf for a sure decoder
            _check_shares(x)
            entries = -binary_cross_entropy_with_logits(out, x.expand_as(out), reduction="none")
        else:
            entries = gaussian_log_prob(x, out, self.log_noise.exp())
        return entries.sum(-1)

    def elbo(self, x: Tensor, draws: int = 1) -> ELBO:
        """The terms of the bound, (B,) each; reconstruction is a mean over as many draws of z."""
        check_draws(draws)
        mean, std = self.encode(x)
        z = reparameterize(mean.expand(draws, *mean.shape), std)
        return ELBO(self.log_prob(x, z).mean(0), gaussian_kl(mean, std).sum(-1))

    def loss(self, x: Tensor) -> Tensor:
        """beta KL - reconstruction, its mean over the batch, 0-d."""
        check_batch(x)
        reconstruction, kl = self.elbo(x)
        return (self.beta * kl - reconstruction).mean()

    def forward(self, x: Tensor) -> Tensor:
        """x as decoded from the mean of q(z | x), (B, D)."""
        return self.decode(self.encode(x).mean)

    def sample(self, n: int) -> Tensor:
        """The means of p(x | z) for n draws of z from N(0, I), (n, D)."""
        return self.decode(torch.randn(n, self.latent, **like(self)))


def _check_shares(x: Tensor) -> None:
    """Raise a ValueError unless all entries of x are in [0, 1]."""
    x = x.detach()
    if not ((x >= 0) & (x <= 1)).all():
        raise ValueError(
            "x must be in [0, 1], since it is modeled as Bernoulli, got entries from "
            f"{float(x.min()):g} to {float(x.max()):g}; scale the data, such as "
            "digits(normalize=False), or use likelihood='gaussian'"
        )


def check_batch(x: Tensor) -> None:
    """Raise a ValueError for a batch of no rows: a mean over it is NaN."""
    if len(x) == 0:
        raise ValueError(f"x must hold at least one row, got shape {tuple(x.shape)}")


def noise_parameter(noise: float) -> nn.Parameter:
    """log(noise), to be learned.

    Raises:
        ValueError: unless noise is positive.
    """
    if not noise > 0:
        raise ValueError(
            f"noise must be positive, the standard deviation of p(x | z), such as 0.1, got {noise}"
        )
    return nn.Parameter(torch.tensor(math.log(noise)))


def like(model: nn.Module) -> dict:
    """dtype and device of a model's parameters, for new tensors."""
    parameter = next(model.parameters())
    return {"dtype": parameter.dtype, "device": parameter.device}
