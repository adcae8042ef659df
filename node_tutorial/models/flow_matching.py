"""Flow matching: the field of a continuous flow, by regression, without a solve in training.

    x_t = (1 - t) x0 + t x1,   x0 from the source (noise), x1 from the data, t from 0 to 1
    loss = E |field(t, x_t) - (x1 - x0)|^2

The target x1 - x0 is the velocity of one pair. Many pairs pass through one place, and the least
squares settle on their mean,

    u(t, x) = E[x1 - x0 | x_t = x],

the marginal velocity. Its flow carries the source to the data through the same densities as the
straight lines (Lipman et al. 2023), though its own paths are not straight. What is left of the loss
is a floor, the mean variance of the target:

    E |x1 - x0|^2 = E |u|^2 + floor        (Pythagoras)

Times here are those of Lipman: source at 0, data at 1. Diffusion's (gaussian_paths.py) run the
other way, data at 0: u(t, x) = -velocity(1 - t, x). Any `GaussianPath` may stand for the straight
one; then these are stochastic interpolants, x_t = alpha x1 + sigma x0.

Sources: Lipman, Chen, Ben-Hamu, Nickel, Le 2023, "Flow matching for generative modeling", arXiv
2210.02747; Liu, Gong, Liu 2023, "Flow straight and fast" (rectified flow), arXiv 2209.03003;
Albergo, Vanden-Eijnden 2023, "Building normalizing flows with stochastic interpolants", arXiv
2209.15571; Albergo, Boffi, Vanden-Eijnden 2023, "Stochastic interpolants", arXiv 2303.08797.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from ..solvers.odeint import odeint
from ..solvers.statistics import Stats
from .cnf import CNF
from .couplings import coupling as named_coupling
from .gaussian_paths import Denoised, GaussianPath, denoised, straight
from .sizes import check_sizes

TOLERANCE = 1e-5
Field = Callable[[Tensor, Tensor], Tensor]


class Mixture(Protocol):
    """A mixture of K Gaussians in D dimensions, such as `data.GaussianMixture`."""

    @property
    def weights(self) -> Tensor: ...  # (K,)
    @property
    def means(self) -> Tensor: ...  # (K, D)
    @property
    def variances(self) -> Tensor: ...  # (K, D), along the axes
    @property
    def axes(self) -> Tensor | None: ...  # (K, D, D), in columns; None: of the coordinates


class Pairs(NamedTuple):
    """Sources x0 and data x1 that belong together, each (B, ...)."""

    x0: Tensor
    x1: Tensor


class Between(NamedTuple):
    """A point on the way of each pair, and the velocity there, each like x0."""

    x: Tensor
    velocity: Tensor


class Moved(NamedTuple):
    """Points x: at the end (B, ...), or (T, B, ...) at all times asked for. And what they cost:
    calls of the net for each.
    """

    x: Tensor
    nfe: int


class Way(NamedTuple):
    """Of the paths of a flow from x0 to x1 (B, ...), each number (B,).

    energy: the integral of |u|^2 over the time.
    cost: |x1 - x0|^2, the energy that a straight path at constant speed would have.
    detour: energy - cost, which is the integral of |u - (x1 - x0)|^2: 0 only for a straight path at
        constant speed, on which one Euler step is exact. Liu, Gong, Liu 2023 call it straightness.
    """

    x1: Tensor
    energy: Tensor
    cost: Tensor

    @property
    def detour(self) -> Tensor:
        return self.energy - self.cost


def between(x0: Tensor, x1: Tensor, t: float | Tensor, path: GaussianPath | None = None) -> Between:
    """x_t of each pair, and its velocity dx_t/dt, the target of the regression.

    On the straight path (None) that is x1 - x0 at every time.

    Args:
        x0, x1: pairs (B, ...).
        t: 0-d, or one for each pair, (B,) or (B, 1, ..., 1); from 0 to 1.

    Raises:
        ValueError: for pairs of two shapes, or times outside of [0, 1].
    """
    if x0.shape != x1.shape:
        raise ValueError(
            f"x0 and x1 must have one shape (B, ...), got {tuple(x0.shape)} and {tuple(x1.shape)}"
        )
    at = (path or straight()).at(1 - _beside(t, x0))
    x = at.alpha * x1 + at.sigma * x0
    return Between(x, -(at.alpha_slope * x1 + at.sigma_slope * x0))


class MarginalVelocity(nn.Module):
    """u(t, x) = E[dx_t/dt | x_t = x], exact, for mixtures of Gaussians that are coupled at random.

    For every pair of a Gaussian of the source and one of the target, x_t and its velocity are
    jointly Gaussian. With alpha = t, sigma = 1 - t, or those of another path,

        mean of x_t        M = sigma m0 + alpha m1
        covariance of x_t  C = sigma^2 C0 + alpha^2 C1
        given x_t = x      sigma' m0 + alpha' m1 + (sigma sigma' C0 + alpha alpha' C1) C^-1 (x - M)

    and u is the mean of these, weighted by the probability of the pair, given x. A Gaussian of
    variance 0 is a point of a training set: then 0 <= t < 1.

    Args:
        target: a `Mixture`, the density of x1.
        source: that of x0; None: N(0, I).
        path: the straight one if None.

    Shapes: t 0-d, or one for each point, (B,) or (B, 1); x (B, D) -> (B, D).

    Raises:
        ValueError: for mixtures of other dimensions; at a call, for times outside of [0, 1], points
            that have not D entries, or a time at which the density is a set of points.

        >>> from node_tutorial.data.mixtures import gaussian_mixture
        >>> u = MarginalVelocity(gaussian_mixture([1.0], torch.tensor([3.0]), 0.5))
        >>> u(0.6, torch.tensor([[2.0]])).item()
        2.8000...
    """

    def __init__(
        self, target: Mixture, source: Mixture | None = None, path: GaussianPath | None = None
    ) -> None:
        super().__init__()
        self.size = target.means.shape[1]
        one = torch.ones(1, dtype=torch.float64)
        zero = torch.zeros(1, self.size, dtype=torch.float64)
        weights, means, covariances = one, zero, torch.eye(self.size).double()[None]
        if source is not None:
            weights, means, covariances = _moments(source)
        if means.shape[1] != self.size:
            raise ValueError(
                f"source and target must have as many dimensions, got {means.shape[1]} and "
                f"{self.size}"
            )
        others = _moments(target)
        self.path = path or straight()
        # All pairs (K, ...), the source's Gaussian first.
        self.log_weights = (weights[:, None] * others[0]).log().reshape(-1)
        self.means = _pairs(means, others[1])
        self.covariances = _pairs(covariances, others[2])

    def forward(self, t: float | Tensor, x: Tensor) -> Tensor:
        share, velocities, _ = self._of_pairs(t, x)
        return (share.unsqueeze(-1) * velocities).sum(-2)

    def variance(self, t: float | Tensor, x: Tensor) -> Tensor:
        """E[|dx_t/dt - u|^2 | x_t = x], (B,): how little x says about the velocity of its pair."""
        share, velocities, within = self._of_pairs(t, x)
        mean = (share.unsqueeze(-1) * velocities).sum(-2, keepdim=True)
        return (share * ((velocities - mean).square().sum(-1) + within)).sum(-1)

    def _of_pairs(self, t: float | Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of each pair: its probability (B, K), velocity (B, K, D), variance of that (B, K)."""
        if x.shape[-1:] != (self.size,):
            raise ValueError(
                f"points must have {self.size} entries, (..., {self.size}), got shape "
                f"{tuple(x.shape)}"
            )
        t = _checked(t, x).to(x)
        t = t.reshape(-1, 1, 1) if t.dim() else t  # beside (B, K, D)
        at = self.path.at(1 - t)
        alpha, sigma = at.alpha, at.sigma
        alpha_slope, sigma_slope = -at.alpha_slope, -at.sigma_slope
        m0, m1 = (m.to(x) for m in self.means)
        C0, C1 = (C.to(x) for C in self.covariances)

        def both(a: Tensor, b: Tensor) -> Tensor:
            return a.unsqueeze(-1) * C0 + b.unsqueeze(-1) * C1

        covariance = both(sigma**2, alpha**2)
        factor, bad = torch.linalg.cholesky_ex(covariance)
        if bad.any():
            raise ValueError(
                f"at t = {t.flatten()[0].item():g} the density is a set of points, where no "
                "velocity is defined beside them; end a little before, such as at t = 0.999"
            )
        away = x.unsqueeze(-2) - (sigma * m0 + alpha * m1)
        scaled = torch.linalg.solve_triangular(factor, away.unsqueeze(-1), upper=False)
        log_det = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        log_p = self.log_weights.to(x) - scaled.squeeze(-1).square().sum(-1) / 2 - log_det
        mixed = both(sigma * sigma_slope, alpha * alpha_slope)
        gain = torch.cholesky_solve(mixed, factor).mT  # mixed C^-1, as both are symmetric
        velocities = sigma_slope * m0 + alpha_slope * m1 + (gain @ away.unsqueeze(-1)).squeeze(-1)
        within = (both(sigma_slope**2, alpha_slope**2) - gain @ mixed).diagonal(dim1=-2, dim2=-1)
        return log_p.softmax(-1), velocities, within.sum(-1)


@torch.no_grad()
def loss_floor(
    velocity: MarginalVelocity,
    source: Callable[[int, torch.Generator | None], Tensor],
    target: Callable[[int, torch.Generator | None], Tensor],
    draws: int = 20_000,
    generator: torch.Generator | None = None,
) -> float:
    """The least value of the loss, which no net gets below: the mean of `velocity.variance`.

    From N(0, I) to N(m, s^2 I) it is D pi s / 2, and not 0. Estimated from draws, with times that
    are spread evenly.

    Args:
        source, target: (n, generator) -> (n, D), draws from the two densities.
    """
    x0 = source(draws, generator).double()
    x1 = target(draws, generator).double()
    shift = torch.rand(draws, generator=generator, dtype=torch.float64)
    t = ((torch.arange(draws) + shift) / draws).clamp(1e-6, 1 - 1e-6)
    x = between(x0, x1, t, velocity.path).x
    return float(velocity.variance(t, x).mean())


class FlowMatching(nn.Module):
    """A field that is fitted to velocities of pairs (see the module), and its flow.

    Args:
        field: a module, (t, x) -> like x, or (t, x, label) where there are classes. t is 0-d, or
            (B, 1, ..., 1).
        shape: of one sample: D, or an image's such as (1, 8, 8).
        coupling: how noise and data are paired in training, one of COUPLINGS.
        path: the straight one if None.
        classes: how many labels there are, 0 for none. A label equal to `classes` is "no class".
        drop: the share of labels that training replaces by "no class", which guidance needs.

    Raises:
        TypeError: if field is no module. ValueError: for an unknown coupling, sizes below 1,
            classes below 0, or a share outside of [0, 1].

        >>> from node_tutorial.models import TimedMLP
        >>> model = FlowMatching(TimedMLP(2, 32, 2))
        >>> model.loss(torch.randn(64, 2)).shape, model.sample(5, steps=4).nfe
        (torch.Size([]), 4)
        >>> model.log_prob(torch.zeros(5, 2)).shape
        torch.Size([5])
    """

    def __init__(
        self,
        field: nn.Module,
        shape: int | tuple[int, ...] = 2,
        *,
        coupling: str = "independent",
        path: GaussianPath | None = None,
        classes: int = 0,
        drop: float = 0.1,
    ) -> None:
        super().__init__()
        if not isinstance(field, nn.Module):
            raise TypeError(
                f"field must be an nn.Module with forward(t, x), got {type(field).__name__}"
            )
        self.shape: tuple[int, ...] = (shape,) if isinstance(shape, int) else tuple(shape)
        check_sizes(**{f"shape[{i}]": n for i, n in enumerate(self.shape)})
        check_sizes(0, classes=classes)
        if not 0 <= drop <= 1:
            raise ValueError(f"drop must be a share of labels, from 0 to 1, got {drop}")
        self.field = field
        self.pair = named_coupling(coupling)
        self.coupling = coupling
        self.path = path or straight()
        self.classes = classes
        self.drop = drop

    def loss(
        self,
        x1: Tensor,
        x0: Tensor | None = None,
        label: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The mean over data x1 (B, ...) of |field - velocity|^2, at one random time each.

        Args:
            x0: the source of each x1, a pair that is given (reflow); None: noise, coupled.
            label: (B,) of int64, where there are classes.
            generator: of the CPU, for noise, times and dropped labels; None: torch's.
        """
        _check_samples(x1, self.shape)
        if x0 is None:
            x0 = _normal(x1.shape, x1, generator)
            x0 = x0[self.pair(x0, x1)]
        t = torch.rand(len(x1), generator=generator).to(x1)
        x, velocity = between(x0, x1, t, self.path)
        if label is not None and self.drop:
            forget = torch.rand(len(x1), generator=generator) < self.drop
            label = label.masked_fill(forget.to(label.device), self.classes)
        error = self.velocity(_beside(t, x1), x, label) - velocity
        return error.flatten(1).square().sum(1).mean()

    def velocity(
        self, t: Tensor, x: Tensor, label: Tensor | None = None, guidance: float = 1.0
    ) -> Tensor:
        """The field at x (B, ...), like x.

        guidance: w in u_none + w (u_label - u_none): 0 is no class, 1 the class, more leads away
            from what all classes share, at two calls of the net (Ho, Salimans 2022,
            "Classifier-free diffusion guidance", arXiv 2207.12598, whose w is one less; as in
            `Diffusion`).
        """
        if label is None:
            if guidance != 1:
                raise ValueError(
                    f"guidance = {guidance:g} needs a label for each sample; give label=, or leave "
                    "guidance at 1"
                )
            return self.field(t, x)
        if not self.classes:
            raise ValueError(
                "a label was given to a model without classes; make it with classes=10 for labels "
                "from 0 to 9, and with a net that takes them"
            )
        toward = self.field(t, x, label)
        if guidance == 1:
            return toward
        none = self.field(t, x, torch.full_like(label, self.classes))
        return none + guidance * (toward - none)

    def denoise(self, t: Tensor, x: Tensor, label: Tensor | None = None) -> Denoised:
        """Data and noise in x (B, ...) at *diffusion's* time t, for its samplers.

        For a flow of independent pairs, any of them. With other pairs (coupling="optimal", reflow)
        DDIM still is Euler's method along the flow, but -eps / sigma is no score, as x0 given x1 is
        not Gaussian: samplers that add noise end elsewhere.
        """
        t = _beside(t, x)
        return denoised(self.path, "velocity", t, x, -self.velocity(1 - t, x, label))

    @torch.no_grad()
    def move(
        self,
        x0: Tensor,
        times: Tensor | None = None,
        *,
        label: Tensor | None = None,
        guidance: float = 1.0,
        steps: int | None = None,
        method: str | None = None,
        rtol: float = TOLERANCE,
        atol: float = TOLERANCE,
        options: dict | None = None,
    ) -> Moved:
        """Points x0 (B, ...) carried along the field, from t = 0 to 1, or through `times` (T,).

        Args:
            times: increasing or decreasing, within [0, 1]; x0 belongs to the first.
            steps: so many equal steps of a fixed-step method, "euler" unless another is given;
                None: an adaptive method, "dopri5".
            method, rtol, atol, options: as for `odeint`.

        Raises:
            ValueError: for times outside of [0, 1], or samples of another shape. SolveError.
        """
        _check_samples(x0, self.shape)
        ends = torch.tensor([0.0, 1.0]) if times is None else times
        _checked(ends)
        if steps is not None:
            check_sizes(steps=steps)
            span = abs(float(ends[-1] - ends[0]))
            options = {**(options or {}), "step_size": span / steps}
            method = method or "euler"
        stats = Stats()
        x = odeint(
            lambda t, x: self.velocity(t, x, label, guidance),
            x0,
            ends.to(x0),
            method=method,
            rtol=rtol,
            atol=atol,
            options=options,
            stats=stats,
        )
        calls = 1 if guidance == 1 else 2
        return Moved(x[-1] if times is None else x, calls * stats.nfe)

    def sample(
        self,
        n: int,
        *,
        label: Tensor | None = None,
        generator: torch.Generator | None = None,
        **solver: Any,
    ) -> Moved:
        """n draws (n, ...) from noise, with the arguments of `move` (steps, guidance, method, ...).

        label: (n,), one for each; generator: of the CPU.
        """
        x0 = _normal((n, *self.shape), next(self.parameters(), torch.zeros(())), generator)
        return self.move(x0, label=label, **solver)

    def log_prob(
        self, x1: Tensor, label: Tensor | None = None, *, trace: str = "exact", **solver: Any
    ) -> Tensor:
        """log p(x1) in nats, (B, ...) -> (B,), by a `CNF` of the same field; the source is N(0, I).

        trace, solver: as for `CNF`.
        """
        _check_samples(x1, self.shape)
        return self.flow(label, trace=trace, **solver).log_prob(x1.flatten(1))

    def flow(self, label: Tensor | None = None, **settings: Any) -> CNF:
        """The field as a `CNF` of flat points (B, D), for B given labels or none."""
        func = self.field if len(self.shape) == 1 and label is None else _Flat(self, label)
        return CNF(func, math.prod(self.shape), **settings)

    def pairs(
        self,
        n: int,
        *,
        label: Tensor | None = None,
        generator: torch.Generator | None = None,
        **solver: Any,
    ) -> Pairs:
        """n draws of noise, and where this flow carries each: what reflow trains on next.

        The pairs have to be *solved* for; noise and data that were drawn apart are not a coupling
        that the flow made.
        """
        x0 = _normal((n, *self.shape), next(self.parameters(), torch.zeros(())), generator)
        return Pairs(x0, self.move(x0, label=label, **solver).x)

    def extra_repr(self) -> str:
        return f"shape={self.shape}, coupling={self.coupling!r}, path={self.path.name!r}"


@torch.no_grad()
def way(field: Field, x0: Tensor, **solver: Any) -> Way:
    """Where a field (t, x) -> like x carries x0 (B, ...), the energy of its paths, the cost of its
    pairs of ends, and the detour.

    solver: as for `odeint`, at 1e-6 if it says nothing else.
    """
    flat = x0.flatten(1)

    def with_energy(t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        u = field(t, state[0].reshape(x0.shape)).flatten(1)
        return u, u.square().sum(1)

    times = torch.tensor([0.0, 1.0]).to(x0)
    start = (flat, flat.new_zeros(len(flat)))
    settings = {"rtol": 1e-6, "atol": 1e-6, **solver}
    x1, energy = (part[-1] for part in odeint(with_energy, start, times, **settings))
    return Way(x1.reshape(x0.shape), energy, (x1 - flat).square().sum(1))


class _Flat(nn.Module):
    """The field of a model on flat points (B, D), all of given labels."""

    def __init__(self, model: FlowMatching, label: Tensor | None) -> None:
        super().__init__()
        self.model = model
        self.label = label

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        x = y.reshape(-1, *self.model.shape)
        return self.model.velocity(t, x, self.label).reshape(y.shape)


def _moments(mixture: Mixture) -> tuple[Tensor, Tensor, Tensor]:
    """Weights (K,), means (K, D), covariances (K, D, D)."""
    covariances = torch.diag_embed(mixture.variances)
    if mixture.axes is not None:
        covariances = mixture.axes @ covariances @ mixture.axes.mT
    return mixture.weights, mixture.means, covariances


def _pairs(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Every a (J, ...) beside every b (K, ...): (J K, ...) each."""
    return a.repeat_interleave(len(b), 0), b.repeat(len(a), *[1] * (b.dim() - 1))


def _normal(shape: Any, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draws from N(0, 1), made on the CPU, in the dtype and on the device of another tensor."""
    return torch.randn(shape, generator=generator, device="cpu").to(like)


def _checked(t: float | Tensor, like: Tensor | None = None) -> Tensor:
    """t as a tensor, in the dtype of another, if it is within [0, 1]."""
    t = torch.as_tensor(t, dtype=None if like is None else like.dtype)
    if not ((t >= 0) & (t <= 1)).all():
        raise ValueError(
            f"times must be from 0 (source) to 1 (data), got {t.min().item():g} to "
            f"{t.max().item():g}"
        )
    return t


def _beside(t: float | Tensor, x: Tensor) -> Tensor:
    """t in x's dtype; one time for each sample, (B,), as (B, 1, ..., 1)."""
    t = _checked(t, x).to(x)
    return t.reshape(-1, *[1] * (x.dim() - 1)) if t.dim() == 1 else t


def _check_samples(x: Tensor, shape: tuple[int, ...]) -> None:
    if x.dim() != len(shape) + 1 or x.shape[1:] != shape:
        raise ValueError(
            f"samples must be (B, {', '.join(map(str, shape))}), got shape {tuple(x.shape)}"
        )
