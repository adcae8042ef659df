"""Lesson 19: a model that somebody enters: a mixture of round Gaussians, fitted to data."""

import math

import torch
from torch import Tensor, nn


class Mixture(nn.Module):
    """p(x) = sum_k w_k N(x; m_k, s_k^2 I), with K learned weights, means and widths.

    Shapes: x (B, 2).
    """

    def __init__(self, parts: int = 32) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(parts))
        self.means = nn.Parameter(2 * torch.randn(parts, 2))
        self.log_widths = nn.Parameter(torch.full((parts,), -0.5))

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) (B,)."""
        squares = (x[:, None] - self.means).square().sum(-1) / (2 * self.log_widths).exp()
        parts = self.logits.log_softmax(0) - squares / 2 - 2 * self.log_widths
        return parts.logsumexp(1) - math.log(2 * math.pi)

    def loss(self, x: Tensor) -> Tensor:
        """The mean of -log p."""
        return -self.log_prob(x).mean()

    def sample(self, n: int) -> Tensor:
        """n draws (n, 2)."""
        which = torch.multinomial(self.logits.softmax(0), n, replacement=True)
        noise = torch.randn(n, 2).to(self.means)
        return self.means[which] + self.log_widths[which].exp()[:, None] * noise
