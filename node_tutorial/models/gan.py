"""Generative adversarial networks: no likelihood, a critic that learns instead.

A generator turns noise z into x = G(z). A discriminator gives a logit D(x), high for data. Each has
a loss, and neither is a measure of how good the samples are: both are about the other player.

                      discriminator                          generator
    minimax           softplus(-D(x)) + softplus(D(G(z)))    -softplus(D(G(z)))
    non-saturating    the same                               softplus(-D(G(z)))
    least squares     ((D(x) - 1)^2 + D(G(z))^2) / 2         (D(G(z)) - 1)^2 / 2
    wasserstein       D(G(z)) - D(x)                         -D(G(z))
    hinge             relu(1 - D(x)) + relu(1 + D(G(z)))     -D(G(z))

With the density p of the data and q of the samples the best logit of the first two is log p - log
q, and the discriminator's loss there log 4 - 2 JS(p, q) (Goodfellow et al. 2014, theorem 1).

Sources: Goodfellow et al. 2014, arXiv 1406.2661; least squares: Mao et al. 2017, arXiv 1611.04076;
Wasserstein: Arjovsky, Chintala, Bottou 2017, arXiv 1701.07875; its gradient penalty: Gulrajani et
al. 2017, arXiv 1704.00028; R1: Mescheder et al. 2018, arXiv 1801.04406; hinge: Lim, Ye 2017, arXiv
1705.02894.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from .sizes import check_sizes


class Losses(NamedTuple):
    """The two losses: of logits of data and of samples, and of those of samples, to scalars."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]


def _cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    return softplus(-real).mean() + softplus(fake).mean()


LOSSES = {
    "minimax": Losses(_cross_entropy, lambda fake: -softplus(fake).mean()),
    "non-saturating": Losses(_cross_entropy, lambda fake: softplus(-fake).mean()),
    "least squares": Losses(
        lambda real, fake: ((real - 1).square().mean() + fake.square().mean()) / 2,
        lambda fake: (fake - 1).square().mean() / 2,
    ),
    "wasserstein": Losses(lambda real, fake: fake.mean() - real.mean(), lambda fake: -fake.mean()),
    "hinge": Losses(
        lambda real, fake: relu(1 - real).mean() + relu(1 + fake).mean(),
        lambda fake: -fake.mean(),
    ),
}
PENALTIES = (None, "R1", "gradient")


class GAN(nn.Module):
    """A generator and a discriminator, trained by `fit` with one optimizer for both.

    An update with `fit` is one of one player, the other kept: first `discriminator_steps` of the
    discriminator, then one of the generator. The place in this round is part of the state, so that
    a training resumes exactly.

    Args:
        generator: z (B, latent) -> x (B, ...).
        discriminator: x (B, ...) -> logits (B,) or (B, 1).
        latent: number of entries of the noise, from N(0, I).
        loss: one of LOSSES.
        penalty: on the discriminator's slope, None; "R1": weight / 2 |grad D|^2 at the data;
            "gradient": weight (|grad D| - 1)^2 on lines from data to samples.
        weight: of the penalty.
        discriminator_steps: for each step of the generator.

    Raises:
        ValueError: for an unknown loss or penalty, or sizes that are no positive integers.

        >>> from node_tutorial.models import MLP
        >>> gan = GAN(MLP(2, 32, 2), MLP(2, 32, 1), latent=2)
        >>> gan.sample(5).shape
        torch.Size([5, 2])
    """

    updates: Tensor

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        latent: int,
        *,
        loss: str = "non-saturating",
        penalty: str | None = None,
        weight: float = 1.0,
        discriminator_steps: int = 1,
    ) -> None:
        super().__init__()
        check_sizes(latent=latent, discriminator_steps=discriminator_steps)
        if loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {loss!r}")
        if penalty not in PENALTIES:
            raise ValueError(f"penalty must be one of {PENALTIES}, got {penalty!r}")
        self.generator = generator
        self.discriminator = discriminator
        self.latent = latent
        self.losses = loss
        self.penalty = penalty
        self.weight = weight
        self.discriminator_steps = discriminator_steps
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """z (n, latent) from N(0, I)."""
        p = next(self.parameters())
        return torch.randn(n, self.latent, generator=generator, dtype=p.dtype).to(p.device)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n samples, (n, ...): one evaluation of the generator."""
        return self.generator(self.noise(n, generator))

    def logits(self, x: Tensor) -> Tensor:
        """The discriminator's logits (B,); with cross-entropy an estimate of log p - log q."""
        return self.discriminator(x).reshape(len(x))

    def loss(self, x: Tensor) -> tuple[Tensor, dict[str, float]]:
        """The loss of the player whose turn it is, for data x (B, ...), and what to record.

        Returns:
            The loss, and both players' losses, and the share of data and samples that the
            discriminator tells apart.
        """
        losses = LOSSES[self.losses]
        turn = int(self.updates) % (self.discriminator_steps + 1)
        self.updates += 1
        if turn < self.discriminator_steps:
            with torch.no_grad():
                samples = self.sample(len(x))
            real = self.logits(x)
            fake = self.logits(samples)
            value = losses.discriminator(real, fake) + self._penalized(x, samples)
            return value, self._told(real, fake)
        with _fixed(self.discriminator):
            fake = self.logits(self.sample(len(x)))
            with torch.no_grad():
                real = self.logits(x)
        return losses.generator(fake), self._told(real, fake)

    def _told(self, real: Tensor, fake: Tensor) -> dict[str, float]:
        losses = LOSSES[self.losses]
        real = real.detach()
        fake = fake.detach()
        middle = {
            "least squares": 0.5,
            "wasserstein": float(real.mean() + fake.mean()) / 2,  # logits have no zero of their own
        }.get(self.losses, 0.0)
        right = (real > middle).double().mean() + (fake < middle).double().mean()
        return {
            "discriminator": float(losses.discriminator(real, fake)),
            "generator": float(losses.generator(fake)),
            "accuracy": float(right / 2),
        }

    def _penalized(self, x: Tensor, samples: Tensor) -> Tensor:
        if self.penalty is None:
            return x.new_zeros(())
        at = x
        if self.penalty == "gradient":
            share = torch.rand(len(x), *[1] * (x.dim() - 1), dtype=x.dtype).to(x.device)
            at = x + share * (samples - x)
        at = at.detach().requires_grad_()
        (slope,) = torch.autograd.grad(self.logits(at).sum(), at, create_graph=True)
        norm_square = slope.flatten(1).square().sum(1)
        if self.penalty == "R1":
            return self.weight / 2 * norm_square.mean()
        # No gradient where the norm is 0: there its square root has none.
        return self.weight * ((norm_square + 1e-12).sqrt() - 1).square().mean()


@contextmanager
def _fixed(module: nn.Module) -> Iterator[None]:
    """A module through which gradients pass, but to whose parameters none come."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    try:
        for p in parameters:
            p.requires_grad_(False)
        yield
    finally:
        for p in parameters:
            p.requires_grad_()


class Modes(NamedTuple):
    """found: how many modes have samples; near: the share of samples near a mode."""

    found: int
    near: float


def modes(x: Tensor, centers: Tensor, std: float, least: float = 0.2) -> Modes:
    """Which modes of a mixture samples x (n, D) reach.

    Args:
        centers: (K, D), of the modes.
        std: of each; a sample within three of it is near.
        least: a mode is found if it has this part of its equal share n / K.
    """
    far = torch.cdist(x, centers.to(x))
    nearest = far.min(1)
    near = nearest.values < 3 * std
    counts = torch.bincount(nearest.indices[near], minlength=len(centers))
    found = int((counts >= least * len(x) / len(centers)).sum())
    return Modes(found, float(near.double().mean()))
