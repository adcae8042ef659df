"""Lesson 19: small nets that the families are made of, besides those of the package."""

import torch
from torch import Tensor, nn

from ...models import MLP
from ...models.vae import GaussianHead, Posterior


class Up(nn.Module):
    """From a code to an image of 8 x 8 pixels, by convolutions: 2 x 2, 4 x 4, 8 x 8.

    Shapes: (B, codes) -> (B, 64).
    """

    def __init__(self, codes: int, channels: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(codes, 4 * channels),
            nn.Unflatten(1, (channels, 2, 2)),
            nn.SiLU(),
            nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, 1, 3, padding=1),
            nn.Flatten(),
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z.reshape(-1, z.shape[-1])).reshape(*z.shape[:-1], 64)


def down(channels: int, outputs: int) -> nn.Sequential:
    """From an image (B, 64) to (B, outputs), by convolutions: 8 x 8, 4 x 4, 2 x 2."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, channels, 3, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(channels, channels, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(channels, channels, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(4 * channels, outputs),
    )


def smooth(*widths: int) -> MLP:
    """An MLP with SiLU."""
    return MLP(*widths, activation=nn.SiLU)


def critic(size: int, width: int) -> MLP:
    """A discriminator of points (B, size), one logit each."""
    return MLP(size, width, width, 1, activation=lambda: nn.LeakyReLU(0.2))


class Encoder(nn.Module):
    """q(z | x) from the features of a net; (B, D) -> mean and std (B, latent)."""

    def __init__(self, net: nn.Module, features: int, latent: int) -> None:
        super().__init__()
        self.net = net
        self.head = GaussianHead(features, latent)

    def forward(self, x: Tensor) -> Posterior:
        return self.head(torch.nn.functional.silu(self.net(x)))
