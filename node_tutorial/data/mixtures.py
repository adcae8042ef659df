"""Mixtures of Gaussians in any dimension: what noise makes of them is known, so are their scores.

    p(x) = sum_k w_k N(x; m_k, C_k),   C_k = Q_k diag(v_k) Q_k^T

If x is shrunk and noise is added, alpha x + sigma eps, the mixture stays one: means alpha m_k,
covariances alpha^2 C_k + sigma^2 I with the same axes Q_k. With all v_k = 0 it is a set of points,
as a training set is, whose noised density is one again that is known exactly.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .drawing import drawn_on_cpu


@dataclass(frozen=True)
class GaussianMixture:
    """A mixture of K Gaussians in D dimensions.

    Attributes:
        weights: (K,), positive, of sum one.
        means: (K, D).
        variances: (K, D), along the axes, zero or more.
        axes: (K, D, D), orthogonal, their columns are the axes; None: those of the coordinates.
    """

    weights: Tensor
    means: Tensor
    variances: Tensor
    axes: Tensor | None = None

    @property
    def size(self) -> int:
        """D."""
        return self.means.shape[1]

    def noised(self, alpha: float | Tensor, sigma: float | Tensor) -> "GaussianMixture":
        """The density of alpha x + sigma eps, for x from this one and numbers alpha, sigma."""
        variances = alpha**2 * self.variances + sigma**2
        return GaussianMixture(self.weights, alpha * self.means, variances, self.axes)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats, (..., D) -> (...)."""
        return self._log_each(x).logsumexp(-1)

    def responsibilities(self, x: Tensor) -> Tensor:
        """The probability that x (..., D) came from the k-th Gaussian, (..., K)."""
        return self._log_each(x).softmax(-1)

    def score(self, x: Tensor) -> Tensor:
        """grad log p(x), (..., D): the mean of -C_k^-1 (x - m_k) by the responsibilities."""
        pulls = self._turned_back(-self._along(x) / self.variances.to(x))
        return (self.responsibilities(x).unsqueeze(-1) * pulls).sum(-2)

    def denoised(
        self, x: Tensor, alpha: float | Tensor, sigma: float | Tensor
    ) -> tuple[Tensor, Tensor]:
        """What alpha x_0 + sigma eps = x (..., D) is made of: the means of x_0 and eps, given x.

            E[x_0 | x] = sum_k r_k (m_k + alpha C_k V_k^-1 (x - alpha m_k))
            E[eps | x] = sum_k r_k sigma V_k^-1 (x - alpha m_k),   V_k = alpha^2 C_k + sigma^2 I

        with the responsibilities r_k of the noised mixture. Neither divides by alpha or sigma, so
        both hold at either end of a path.

        Args:
            alpha, sigma: numbers; or a pair for each point, (..., 1).
        """
        alpha = torch.as_tensor(alpha).to(x)
        sigma = torch.as_tensor(sigma).to(x)
        if alpha.dim():
            alpha, sigma = alpha.unsqueeze(-1), sigma.unsqueeze(-1)  # beside (..., K, D)
        own = self.variances.to(x)
        variances = alpha**2 * own + sigma**2
        away = self._turned(x.unsqueeze(-2) - alpha * self.means.to(x))
        logs = self._log_of(away, variances)
        share = logs.softmax(-1).unsqueeze(-1)
        pulls = away / variances
        x0 = self._turned_back(alpha * own * pulls) + self.means.to(x)
        eps = self._turned_back(sigma * pulls)
        return (share * x0).sum(-2), (share * eps).sum(-2)

    def cdf(self, x: Tensor) -> Tensor:
        """The probability of less than x, for D = 1: (..., 1) -> (...)."""
        if self.size != 1:
            raise ValueError(f"cdf is for mixtures on a line, D = 1, got D = {self.size}")
        z = (x - self.means[:, 0].to(x)) / self.variances[:, 0].to(x).sqrt()
        return (self.weights.to(x) * torch.special.ndtr(z)).sum(-1)

    @drawn_on_cpu
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n independent draws (n, D), in torch's default dtype."""
        which = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        z = torch.randn(n, self.size, generator=generator, dtype=torch.float64)
        z = z * self.variances[which].sqrt()
        if self.axes is not None:
            z = torch.einsum("nde,ne->nd", self.axes[which], z)
        return (self.means[which] + z).to(torch.get_default_dtype())

    def _along(self, x: Tensor) -> Tensor:
        """x - m_k along the axes of each Gaussian, (..., K, D)."""
        if x.shape[-1:] != (self.size,):
            raise ValueError(
                f"points must have {self.size} entries, (..., {self.size}), got shape "
                f"{tuple(x.shape)}"
            )
        return self._turned(x.unsqueeze(-2) - self.means.to(x))

    def _turned(self, away: Tensor) -> Tensor:
        """(..., K, D) from the coordinates' axes to those of each Gaussian."""
        if self.axes is None:
            return away
        return torch.einsum("kde,...kd->...ke", self.axes.to(away), away)

    def _turned_back(self, along: Tensor) -> Tensor:
        """(..., K, D) from the axes of each Gaussian to the coordinates'."""
        if self.axes is None:
            return along
        return torch.einsum("kde,...ke->...kd", self.axes.to(along), along)

    def _log_each(self, x: Tensor) -> Tensor:
        """log of w_k N(x; m_k, C_k), (..., K)."""
        return self._log_of(self._along(x), self.variances.to(x))

    def _log_of(self, along: Tensor, variances: Tensor) -> Tensor:
        """The same, for x - m_k along the axes, (..., K, D), and variances beside them."""
        squares = (along.square() / variances).sum(-1)
        log_volume = (2 * math.pi * variances).log().sum(-1)
        return self.weights.to(along).log() - (squares + log_volume) / 2


@drawn_on_cpu
def gaussian_mixture(
    weights: list[float] | Tensor, means: list[float] | Tensor, stds: float | list[float] | Tensor
) -> GaussianMixture:
    """Round Gaussians: weights (K,), scaled to sum one; means (K, D) or (K,); stds (K,) or one.

    Raises:
        ValueError: for weights that are not positive, stds below 0, or sizes that do not match.

        >>> gaussian_mixture([0.3, 0.7], [-1.0, 1.5], [0.2, 0.4]).size
        1
    """
    means = torch.as_tensor(means, dtype=torch.float64)
    means = means[:, None] if means.dim() == 1 else means
    weights = torch.as_tensor(weights, dtype=torch.float64)
    stds = torch.as_tensor(stds, dtype=torch.float64).expand(len(means))
    if weights.shape != means.shape[:1] or not (weights > 0).all():
        raise ValueError(
            f"weights must be {len(means)} positive numbers, one for each mean, got {weights}"
        )
    if not (stds >= 0).all():
        raise ValueError(f"stds must be 0 or more, got {stds}")
    variances = stds.square()[:, None].expand_as(means)
    return GaussianMixture(weights / weights.sum(), means, variances)


@drawn_on_cpu
def gaussian(mean: Tensor, covariance: Tensor) -> GaussianMixture:
    """One Gaussian, mean (D,) and covariance (D, D), symmetric and not negative.

    Raises:
        ValueError: for a covariance that is none.
    """
    covariance = torch.as_tensor(covariance).double()
    mean = torch.as_tensor(mean).double()
    variances, axes = torch.linalg.eigh(covariance)
    if not torch.allclose(covariance, covariance.mT) or variances.min() < -1e-12:
        raise ValueError(f"covariance must be symmetric and not negative, got {covariance}")
    one = torch.ones(1, dtype=torch.float64)
    return GaussianMixture(one, mean[None], variances.clamp(min=0)[None], axes[None])
