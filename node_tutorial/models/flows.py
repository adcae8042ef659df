"""Normalizing flows: a density by an invertible map between the data x and noise z from N(0, I).

    log p(x) = log N(z; 0, I) + log |det dz/dx|,     z = flow(x)

A flow can be used in two ways. Fitted to data, by maximum likelihood, it has to find z for given x.
Fitted to a target density by KL(q || p), it draws z and has to find x. All flows of this package
answer the same calls,

    z, log_det = flow(x)             from the data to the noise, log |det dz/dx|
    x, log_det = flow.inverse(z)     from the noise to the data, log |det dx/dz|
    flow.log_prob(x), flow.sample(n), flow.sample_with_log_prob(n)

but not all both ways at the same price: `RealNVP` has a formula for either, `PlanarFlow` for one,
and for the other a root is looked for; a `CNF` (cnf.py) solves its ODE forward or backward.

Sources: Rezende, Mohamed 2015, "Variational inference with normalizing flows", arXiv 1505.05770;
Dinh, Sohl-Dickstein, Bengio 2017, "Density estimation using Real NVP", arXiv 1605.08803.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .fields import MLP
from .sizes import check_points, check_sizes


class Flowed(NamedTuple):
    """What a flow makes of points (..., D): points y (..., D), log |det| (...) of its Jacobian."""

    y: Tensor
    log_det: Tensor


class Sampled(NamedTuple):
    """Points x (n, D) drawn from a model, and its log-density there (n,)."""

    x: Tensor
    log_prob: Tensor


def normal_log_prob(z: Tensor) -> Tensor:
    """log N(z; 0, I), (..., D) -> (...).

    >>> float(normal_log_prob(torch.zeros(2)).exp())  # 1 / (2 pi)
    0.159154...
    """
    return -z.square().sum(-1) / 2 - z.shape[-1] * math.log(2 * math.pi) / 2


class Flow(nn.Module):
    """What `PlanarFlow` and `RealNVP` have in common; they bring forward(x) and inverse(z)."""

    size: int

    def forward(self, x: Tensor) -> Flowed:
        raise NotImplementedError

    def inverse(self, z: Tensor) -> Flowed:
        raise NotImplementedError

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats, (..., D) -> (...)."""
        z, log_det = self(x)
        return normal_log_prob(z) + log_det

    def sample(self, n: int) -> Tensor:
        """n draws, (n, D)."""
        return self.inverse(self.noise(n)).y

    def sample_with_log_prob(self, n: int) -> Sampled:
        """n draws x (n, D) and log p(x) (n,), for fits by KL(q || p): one pass for both."""
        z = self.noise(n)
        x, log_det = self.inverse(z)
        return Sampled(x, normal_log_prob(z) - log_det)

    def noise(self, n: int) -> Tensor:
        """n draws from N(0, I), (n, D), on the device and in the dtype of the parameters."""
        return torch.randn(n, self.size).to(next(self.parameters(), torch.zeros(())))


class PlanarFlow(Flow):
    """K planar layers: each moves points along one direction u, by an amount that w.x decides.

        g(x) = x + u tanh(w.x + b),      log |det dg/dx| = log(1 + w.u (1 - tanh(w.x + b)^2))

    A layer is invertible if w.u >= -1. So u is not learned itself, but v, from which u is made such
    that this holds:

        u = v + (m(w.v) - w.v) w / |w|^2,      m(s) = -1 + log(1 + e^s)

    In floating point -1 + log(1 + e^s) is rounded to -1 for s below -16, and the layer flat. So the
    slope along w is computed without the -1, as h^2 + log(1 + e^s) (1 - h^2) with h = tanh(w.x +
    b), which stays positive.

    The inverse has no formula. For given y = g(x), the number a = w.x is the root of a + w.u tanh(a
    + b) = w.y, which grows with a; it lies within |w.u| of w.y, is found by bisection there to the
    last digit, and x = y - u tanh(a + b). A step of Newton's method at the end carries gradients.

    Args:
        size: D.
        layers: K.
        closed: which way the formula above goes. "log_prob": from the data to the noise, so that
            log_prob is quick and sample needs bisections; "sample": the other way round, as in the
            paper.

    Shapes: (..., D) -> y (..., D), log_det (...).

    Raises:
        ValueError: for another `closed`, or sizes that are no positive integers; when called, for
            points that have not D entries.

    Source: Rezende, Mohamed 2015, arXiv 1505.05770, equations 10-13 and appendix A.1.

        >>> flow = PlanarFlow(2, layers=8)
        >>> flow.log_prob(torch.zeros(5, 2)).shape, flow.sample(3).shape
        (torch.Size([5]), torch.Size([3, 2]))
    """

    def __init__(self, size: int = 2, layers: int = 32, *, closed: str = "log_prob") -> None:
        super().__init__()
        check_sizes(size=size, layers=layers)
        if closed not in ("log_prob", "sample"):
            raise ValueError(
                f"closed must be 'log_prob' or 'sample', the way that has a formula, got {closed!r}"
            )
        self.size = size
        self.closed = closed
        self.w = nn.Parameter(torch.randn(layers, size) / math.sqrt(size))
        self.v = nn.Parameter(0.1 * torch.randn(layers, size))
        self.b = nn.Parameter(torch.randn(layers))

    def forward(self, x: Tensor) -> Flowed:
        """From the data x to the noise z, and log |det dz/dx|."""
        return self._formula(x) if self.closed == "log_prob" else self._roots(x)

    def inverse(self, z: Tensor) -> Flowed:
        """From the noise z to the data x, and log |det dx/dz|."""
        return self._roots(z) if self.closed == "log_prob" else self._formula(z)

    def directions(self) -> Tensor:
        """u (K, D), with w.u >= -1 for every layer but for rounding."""
        wv = (self.w * self.v).sum(1, keepdim=True)
        m = nn.functional.softplus(wv) - 1
        squares = self.w.square().sum(1, keepdim=True)
        return self.v + (m - wv) * self.w / squares.clamp(min=torch.finfo(squares.dtype).tiny)

    def _least_slopes(self) -> Tensor:
        """1 + w.u (K,), positive: what a layer multiplies lengths along w by where h = 0."""
        least = nn.functional.softplus((self.w * self.v).sum(1))
        # For w = 0 nothing along w is moved, whatever v is.
        least = torch.where(self.w.square().sum(1) > 0, least, 1.0)
        return least.clamp(min=torch.finfo(least.dtype).tiny)

    def _formula(self, x: Tensor) -> Flowed:
        check_points(x, self.size)
        u = self.directions()
        least = self._least_slopes()
        log_det = x.new_zeros(x.shape[:-1])
        for k, (w, u_k, b) in enumerate(zip(self.w, u, self.b)):
            h = torch.tanh(x @ w + b)
            x = x + h.unsqueeze(-1) * u_k
            log_det = log_det + _slope(least[k], h).log()
        return Flowed(x, log_det)

    def _roots(self, y: Tensor) -> Flowed:
        check_points(y, self.size)
        u = self.directions()
        least = self._least_slopes()
        wu = least - 1
        log_det = y.new_zeros(y.shape[:-1])
        for k in reversed(range(len(self.w))):
            wy = y @ self.w[k]
            a = bisect(wy.detach(), wu[k].detach(), self.b[k].detach())
            h = torch.tanh(a + self.b[k])
            slope = _slope(least[k], h).detach()
            # A step of Newton's method has the root's derivative, by the implicit function theorem.
            a = a - (a + wu[k] * h - wy) / slope
            h = torch.tanh(a + self.b[k])
            y = y - h.unsqueeze(-1) * u[k]
            log_det = log_det - _slope(least[k], h).log()
        return Flowed(y, log_det)

    def extra_repr(self) -> str:
        return f"{self.size}, layers={len(self.w)}, closed={self.closed!r}"


def _slope(least: Tensor, h: Tensor) -> Tensor:
    """1 + w.u (1 - h^2), from least = 1 + w.u: a sum of two terms that are not negative."""
    return h * h + least * (1 - h * h)


def bisect(wy: Tensor, wu: Tensor, b: Tensor) -> Tensor:
    """The root a of a + wu tanh(a + b) = wy, for wu >= -1 (the left side grows with a), like wy."""
    low = wy - wu.abs()
    high = wy + wu.abs()
    for _ in range(-round(math.log2(torch.finfo(wy.dtype).eps))):
        middle = (low + high) / 2
        above = middle + wu * torch.tanh(middle + b) > wy
        low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    return (low + high) / 2


class RealNVP(Flow):
    """K affine couplings: each keeps half of the entries, by which it scales and shifts the others.

        y_kept = x_kept,    y_rest = x_rest * exp(s) + r,    (s, r) = net(x_kept),
        log |det dy/dx| = sum of s

    Undone by the same net: x_rest = (y_rest - r) exp(-s). Couplings keep the even and the odd
    entries by turns. s is bounded, |s| < bound, by bound * tanh(. / bound): no coupling may blow
    up. At the start s and r are small, and the flow is close to the identity.

    Args:
        size: D, at least two.
        layers: K, at least two, so that every entry is moved.
        hidden: widths of the hidden layers of each coupling's net.
        bound: of |s|.

    Shapes: (..., D) -> y (..., D), log_det (...).

    Raises:
        ValueError: for sizes that are no integers as above, or a bound that is not positive and
            finite; when called, for points that have not D entries.

    Source: Dinh, Sohl-Dickstein, Bengio 2017, arXiv 1605.08803, equations 4-9 (there tanh times a
    learned number).

        >>> flow = RealNVP(2)
        >>> flow.log_prob(torch.zeros(5, 2)).shape, flow.sample(3).shape
        (torch.Size([5]), torch.Size([3, 2]))
    """

    kept: Tensor

    def __init__(
        self,
        size: int = 2,
        layers: int = 8,
        hidden: tuple[int, ...] = (64, 64),
        *,
        bound: float = 2.0,
    ) -> None:
        super().__init__()
        check_sizes(2, size=size, layers=layers)
        if not 0 < bound < math.inf:
            raise ValueError(
                "bound must be positive and finite, the largest |log scale| of a coupling, such as "
                f"2.0, got {bound}"
            )
        self.size = size
        self.bound = bound
        self.nets = nn.ModuleList(MLP(size, *hidden, 2 * size) for _ in range(layers))
        for net in self.nets:
            with torch.no_grad():
                for p in net[-1].parameters():  # type: ignore[index]
                    p.mul_(0.01)
        parity = (torch.arange(size) + torch.arange(layers)[:, None]) % 2
        self.register_buffer("kept", parity.to(torch.get_default_dtype()), persistent=False)

    def forward(self, x: Tensor) -> Flowed:
        """From the data x to the noise z, and log |det dz/dx|."""
        check_points(x, self.size)
        log_det = x.new_zeros(x.shape[:-1])
        for net, kept in zip(self.nets, self.kept):
            s, r = self._coupling(net, kept, x)
            x = x * s.exp() + r
            log_det = log_det + s.sum(-1)
        return Flowed(x, log_det)

    def inverse(self, z: Tensor) -> Flowed:
        """From the noise z to the data x, and log |det dx/dz|."""
        check_points(z, self.size)
        log_det = z.new_zeros(z.shape[:-1])
        for net, kept in zip(reversed(self.nets), self.kept.flip(0)):
            s, r = self._coupling(net, kept, z)
            z = (z - r) * (-s).exp()
            log_det = log_det - s.sum(-1)
        return Flowed(z, log_det)

    def _coupling(self, net: nn.Module, kept: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """s and r (..., D), zero where x is kept."""
        s, r = net(x * kept).chunk(2, dim=-1)
        return (1 - kept) * self.bound * torch.tanh(s / self.bound), (1 - kept) * r
