"""A VAE for time series: the latent is a state that moves by an ODE, known or learned.

    z(t0) ~ N(0, I),     dz/dt = func(t, z),     x_i ~ N(decoder(z(t_i)), noise^2)

The latent at t0 says all about a series: its later values are the solution of the ODE, at any time,
between the observations and beyond them. What is inferred is z(t0), by an encoder that reads the
observations (t_i, x_i); the bound on log p(x_1, .., x_n) is that of a VAE, with a sum over what was
observed:

    ELBO = E_q sum_i log N(x_i; decoder(z(t_i)), noise^2)  -  KL(q(z(t0) | t, x) || N(0, I))

Where the physics is known, func is a formula with a few constants, such as `Oscillator`, and
training finds the constants. Where it is not, func is a net: `VectorField(MLP(L, 32, L))`, and the
model is a latent ODE.

Sources: Chen, Rubanova, Bettencourt, Duvenaud 2018, arXiv 1806.07366, section 5; Yildiz, Heinonen,
Lahdesmaki 2019, "ODE2VAE", arXiv 1905.10994 (second-order latents); the encoder as a mean over a
set: Zaheer et al. 2017, "Deep sets", arXiv 1703.06114.
"""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from .clocks import check_series, states_at
from .fields import MLP
from .neural_ode import NeuralODE
from .sizes import check_draws
from .vae import (
    ELBO,
    GaussianHead,
    Posterior,
    check_batch,
    gaussian_kl,
    gaussian_log_prob,
    like,
    noise_parameter,
    reparameterize,
)

FAR = 30.0  # so many times as long as the observations last t0 may lie before them, silently


class Oscillator(nn.Module):
    """The state (q, v) of a harmonic oscillator, damped and driven if asked for:

        dq/dt = v,     dv/dt = -omega^2 q - 2 damping v + force cos(drive t)

    Args:
        omega: angular frequency of the free oscillation, in radians per unit of time; learned.
        damping: amplitudes decay as exp(-damping t), if damping < omega; learned, unless None: no
            damping.
        force: amplitude of the driving acceleration; learned, unless None: not driven.
        drive: angular frequency of the driving; learned, if there is a force.

    Shapes: t 0-d or (B, 1), (q, v) (..., 2) -> (..., 2).

    Source: Landau, Lifshitz, Mechanics, sections 21, 25, 26.

        >>> Oscillator(2.0)(torch.tensor(0.0), torch.tensor([1.0, 0.5])).tolist()
        [0.5, -4.0]
    """

    def __init__(
        self,
        omega: float = 1.0,
        damping: float | None = None,
        force: float | None = None,
        drive: float = 1.0,
    ) -> None:
        super().__init__()

        def constant(value: float | None) -> nn.Parameter | None:
            return None if value is None else nn.Parameter(torch.tensor(float(value)))

        self.omega = nn.Parameter(torch.tensor(float(omega)))
        self.damping = constant(damping)
        self.force = constant(force)
        self.drive = constant(drive if force is not None else None)

    def forward(self, t: Tensor, state: Tensor) -> Tensor:
        q, v = state[..., :1], state[..., 1:]
        acceleration = -self.omega.square() * q
        if self.damping is not None:
            acceleration = acceleration - 2 * self.damping * v
        if self.force is not None and self.drive is not None:
            acceleration = acceleration + self.force * torch.cos(self.drive * t)
        return torch.cat([v, acceleration.expand_as(v)], dim=-1)


class SetEncoder(nn.Module):
    """q(z | t, x) from the observations as a set: a net of each (t_i - t0, x_i, mask_i), the mean,
    another net.

    Args:
        features: D, the entries of x.
        latent: L, those of z.
        hidden: width of the nets.

    Shapes: t (T,) or (B, T), x and mask (B, T, D) -> mean and std (B, L).
    """

    def __init__(self, features: int, latent: int, hidden: int = 64) -> None:
        super().__init__()
        self.features = features
        self.each = MLP(2 * features + 1, hidden, hidden, hidden)
        self.all = nn.Sequential(
            MLP(hidden + 1, hidden, hidden), nn.Tanh(), GaussianHead(hidden, latent)
        )

    def forward(self, t: Tensor, x: Tensor, mask: Tensor | None, t0: float) -> Posterior:
        t, mask = check_series(t, x, mask, self.features)
        time = (t - t0)[..., None].to(x.dtype)
        each = self.each(torch.cat([time, torch.where(mask, x, 0.0), mask.to(x.dtype)], dim=-1))
        observed = mask.any(-1, keepdim=True)
        number = observed.sum(1)
        mean = torch.where(observed, each, 0.0).sum(1) / number.clamp(min=1)
        # It sees how many there are: the more, the surer.
        return self.all(torch.cat([mean, number.to(x.dtype).log1p()], dim=-1))


class ContinuousVAE(nn.Module):
    """A VAE whose latent moves by dz/dt = func(t, z); see the module's docstring.

    Args:
        features: D, the entries of x.
        latent: L, those of z.
        func: the latent's field, a module, for instance `Oscillator()` (L = 2) or
        `VectorField(MLP(L, 32, L))`.
        encoder: module (t, x, mask, t0) -> mean and std (B, L); None for `SetEncoder(D, L)`.
        decoder: module (..., L) -> (..., D); None for `MLP(L, 32, D)`.
        noise: where learning of the observations' standard deviation begins;
            `model.log_noise.requires_grad_(False)` keeps it.
        beta: weight of the KL in `loss`.
        t0: the time of the latent that is inferred, not after any observation.
        **solver: method, rtol, atol, gradient, options, as for `NeuralODE`.

    Shapes: x (B, T, D); mask like x, True where x is observed, None for everywhere; t (T,), the
    same for all series, or (B, T), whose rows are solved each with its own clock (adaptive explicit
    methods, gradient "direct"). Where the mask is False, x counts for nothing, and may be NaN.

    Raises:
        TypeError, ValueError: for a func that is no module, noise that is not positive, shapes that
            do not fit, times that do not increase or are before t0, NaN where the mask is True, an
            empty batch, or draws that are no positive integer.

        >>> model = ContinuousVAE(1, 2, Oscillator(1.7))
        >>> t, x = torch.linspace(0, 5, 20), torch.randn(8, 20, 1)
        >>> model.elbo(t, x).kl.shape, model.sample(3, torch.linspace(0, 9, 50)).shape
        (torch.Size([8]), torch.Size([3, 50, 1]))
    """

    def __init__(
        self,
        features: int,
        latent: int,
        func: nn.Module,
        *,
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
        noise: float = 0.1,
        beta: float = 1.0,
        t0: float = 0.0,
        **solver: Any,
    ) -> None:
        super().__init__()
        self.ode = NeuralODE(func, **solver)
        self.encoder = encoder if encoder is not None else SetEncoder(features, latent)
        self.decoder = decoder if decoder is not None else MLP(latent, 32, features)
        self.log_noise = noise_parameter(noise)
        self.features = features
        self.latent = latent
        self.beta = beta
        self.t0 = t0

    def encode(self, t: Tensor, x: Tensor, mask: Tensor | None = None) -> Posterior:
        """q(z(t0) | t, x): mean and std (B, L)."""
        posterior = self.encoder(t, x, mask, self.t0)
        self._warn_if_far(t)
        return posterior

    def _warn_if_far(self, t: Tensor) -> None:
        """Warn if the way from t0 to the observations is much longer than they last."""
        if t.numel() == 0:
            return
        first = float(t.min())
        lasting = float(t.max()) - first
        if first - self.t0 > FAR * lasting > 0:
            warnings.warn(
                f"the first observation, at {first:.6g}, is {(first - self.t0) / lasting:.0f} "
                f"times as far from t0 = {self.t0:g} as the observations last; give t0 near to it, "
                "or subtract it from all times",
                stacklevel=4,
            )

    def latents(self, z0: Tensor, t: Tensor) -> Tensor:
        """z (B, T, L) at the times t (T,) or (B, T), from z(t0) = z0 (B, L)."""
        return states_at(self.ode, z0, t, self.t0)

    def decode(self, z0: Tensor, t: Tensor) -> Tensor:
        """The means of x (B, T, D) at the times t, any that are not before t0."""
        return self.decoder(self.latents(z0, t))

    def log_prob(self, x: Tensor, mask: Tensor | None, z: Tensor) -> Tensor:
        """log p(x | z), (B,), summed over what is observed of x (B, T, D), for z (B, T, L)."""
        if mask is None:
            mask = torch.ones_like(x, dtype=torch.bool)
        entries = gaussian_log_prob(
            torch.where(mask, x, 0.0), self.decoder(z), self.log_noise.exp()
        )
        return torch.where(mask, entries, 0.0).sum((1, 2))

    def elbo(self, t: Tensor, x: Tensor, mask: Tensor | None = None, draws: int = 1) -> ELBO:
        """The terms of the bound, (B,) each; the reconstruction is a mean over draws of z(t0)."""
        check_draws(draws)
        mean, std = self.encode(t, x, mask)
        terms = [self.log_likelihood(reparameterize(mean, std), t, x, mask) for _ in range(draws)]
        return ELBO(torch.stack(terms).mean(0), gaussian_kl(mean, std).sum(-1))

    def log_likelihood(
        self, z0: Tensor, t: Tensor, x: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """log p(x | z(t0)), (B,), for the series x at times t and z0 (B, L)."""
        return self.log_prob(x, mask, self.latents(z0, t))

    def loss(self, t: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """beta KL - reconstruction, per series, its mean over the batch, 0-d."""
        check_batch(x)
        reconstruction, kl = self.elbo(t, x, mask)
        return (self.beta * kl - reconstruction).mean()

    def forward(
        self, t: Tensor, x: Tensor, mask: Tensor | None = None, times: Tensor | None = None
    ) -> Tensor:
        """The series (B, S, D) at `times` (S,) or (B, S), None for t, as decoded from q's mean."""
        return self.decode(self.encode(t, x, mask).mean, t if times is None else times)

    def sample(self, n: int, t: Tensor) -> Tensor:
        """The means (n, T, D) of new series at times t (T,), for n draws of z(t0) from N(0, I)."""
        return self.decode(torch.randn(n, self.latent, **like(self)), t)

    def paths(
        self, t: Tensor, x: Tensor, mask: Tensor | None, times: Tensor, draws: int = 100
    ) -> Tensor:
        """Decoded paths (draws, B, S, D) at `times` (S,) or (B, S), from draws of z(t0) from
        q(z(t0) | t, x).

        Their spread is what the model does not know of the path; observations scatter about it with
        the noise. A band that holds nine of ten: `paths.quantile(torch.tensor([0.05, 0.95]),
        dim=0)`.
        """
        check_draws(draws)
        return self.paths_from(self.encode(t, x, mask), times, draws)

    def paths_from(self, q: Posterior, times: Tensor, draws: int = 100) -> Tensor:
        """As `paths`, for a q that is known: mean and standard deviation of z(t0), (B, L) each."""
        mean, std = q
        z0 = reparameterize(mean.expand(draws, *mean.shape), std)
        if times.dim() == 2:
            times = times.repeat(draws, 1)
        z = self.latents(z0.flatten(0, 1), times)
        # In parts: all at once may take a gigabyte.
        paths = torch.cat([self.decoder(part) for part in z.split(2000)])
        return paths.unflatten(0, (draws, len(mean)))
