"""The latent ODE: a continuous-time VAE with a recurrent recognition net, and rates of events.

    recognition:  q(z(t0) | t, x) = N(mean, std^2), from the state of a recurrent net that has read
                  the series backwards
    generation:   z(t0) ~ N(0, I),  dz/dt = func(z),  x_i ~ N(decoder(z(t_i)), noise^2)

Where the times of the observations tell something, say a patient who is measured more often when
ill, they are modeled too, as a Poisson process whose rate lambda depends on the latent state. In
the time dt an event happens with the chance lambda dt; none from t0 to the end, with exp(-integral
of lambda); so events at t_1, .., t_n have

    log p(t_1, .., t_n) = sum_i log lambda(z(t_i)) - integral from t0 to the end of lambda(z(t)) dt

The integral is one more entry of the ODE's state: the solver finds both, and keeps the error of
both.

Sources: Chen, Rubanova, Bettencourt, Duvenaud 2018, arXiv 1806.07366, section 5 and 5.1; Rubanova,
Chen, Duvenaud 2019, arXiv 1907.03907, sections 3.2 and 3.3.
"""

from typing import Any

import torch
from torch import Tensor, nn

from .clocks import check_series, states_at
from .continuous_vae import ContinuousVAE
from .fields import MLP, VectorField
from .ode_rnn import GRUWithGaps
from .vae import GaussianHead, Posterior


class RecurrentEncoder(nn.Module):
    """q(z(t0) | t, x) from a recurrent net that reads the series backwards, down to t0.

    Args:
        net: `GRUWithGaps` or `ODERNN`; what it predicts with, `net.output`, is taken off.
        latent: L, the entries of z.

    Shapes: t (T,) or (B, T), x and mask (B, T, D) -> mean and std (B, L).
    """

    def __init__(self, net: GRUWithGaps, latent: int) -> None:
        super().__init__()
        self.net = net
        self.head = GaussianHead(net.width, latent)
        net.output = nn.Identity()  # it predicts nothing here: these parameters would never learn

    def forward(self, t: Tensor, x: Tensor, mask: Tensor | None, t0: float) -> Posterior:
        return self.head(self.net.summary(t, x, mask, t0))


class ForwardEncoder(nn.Module):
    """As `RecurrentEncoder`, but the net reads the series from its first time to its last."""

    def __init__(self, net: GRUWithGaps, latent: int) -> None:
        super().__init__()
        self.net = net
        self.head = GaussianHead(net.hidden, latent)
        net.output = nn.Identity()

    def forward(self, t: Tensor, x: Tensor, mask: Tensor | None, t0: float) -> Posterior:
        return self.head(self.net(t, x, mask).state[:, -1])


class WithIntensity(nn.Module):
    """The field of (z, Lambda), where dLambda/dt = lambda(z): the rate of events, and its integral.

    Args:
        func: the field of z (..., L).
        log_intensity: maps z (..., L) to log lambda (..., 1), so that lambda is positive.

    Shapes: (z, Lambda) as one tensor (..., L + 1).
    """

    def __init__(self, func: nn.Module, log_intensity: nn.Module) -> None:
        super().__init__()
        self.func = func
        self.log_intensity = log_intensity

    def forward(self, t: Tensor, state: Tensor) -> Tensor:
        z = state[..., :-1]
        return torch.cat([self.func(t, z), self.log_intensity(z).exp()], dim=-1)


def poisson_log_prob(log_intensity: Tensor, integral: Tensor, events: Tensor) -> Tensor:
    """sum_i log lambda(t_i) - integral of lambda, (B,): log-density of a Poisson process's events.

    Args:
        log_intensity: (B, T), log lambda at the times.
        integral: (B,), of lambda over all the time in which events would have been seen.
        events: (B, T), True where there was one.

    Source: Daley, Vere-Jones, An introduction to the theory of point processes, I, section 2.1;
    Chen et al. 2018, arXiv 1806.07366, section 5.

        >>> rate = torch.full((1, 3), 2.0)  # three events in a time of 5, at the rate 2
        >>> events = torch.ones(1, 3).bool()
        >>> float(poisson_log_prob(rate.log(), torch.tensor([10.0]), events))  # 3 log 2 - 10
        -7.92...
    """
    return torch.where(events, log_intensity, 0.0).sum(1) - integral


class LatentODE(ContinuousVAE):
    """A `ContinuousVAE` with a learned field and a recurrent recognition net; see the module.

    Args:
        features: D, the entries of x.
        latent: L, those of z.
        recognition: the net that reads the series backwards, `GRUWithGaps(D, H)` (with
            cell=nn.RNNCell: a plain recurrent net) or `ODERNN(D, H)`; None for `GRUWithGaps(D,
            25)`.
        func: the latent's field, a module; None for `VectorField(MLP(L, 20, L))`.
        log_intensity: module z (..., L) -> (..., 1), such as `MLP(L, 20, 1)`: the times at which
            anything is observed are events, and their log-density is part of the reconstruction.
            Events are looked for from t0 to the last time of each series; a time at which nothing
            is observed may stand at the end, to say that it was later.
        **rest: decoder, noise, beta, t0 and the solver's settings, as for `ContinuousVAE`.

    Shapes: as `ContinuousVAE`.

        >>> model = LatentODE(2, 4)
        >>> t = torch.rand(8, 20).sort().values
        >>> x = torch.stack([t.cos(), t.sin()], dim=-1)
        >>> model.loss(t, x).shape, model.paths(t, x, None, torch.linspace(0, 2, 50), draws=5).shape
        (torch.Size([]), torch.Size([5, 8, 50, 2]))
    """

    def __init__(
        self,
        features: int,
        latent: int,
        recognition: GRUWithGaps | None = None,
        func: nn.Module | None = None,
        *,
        log_intensity: nn.Module | None = None,
        **rest: Any,
    ) -> None:
        encoder = RecurrentEncoder(
            recognition if recognition is not None else GRUWithGaps(features, 25), latent
        )
        func = func if func is not None else VectorField(MLP(latent, 20, latent))
        super().__init__(features, latent, func, encoder=encoder, **rest)
        self.log_intensity = log_intensity

    def events(self, z0: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """z (B, T, L) and log lambda (B, T) at the times t, and the integral of lambda (B, T) from
        t0 to each of them.

        Raises:
            ValueError: for a model without log_intensity.
        """
        if self.log_intensity is None:
            raise ValueError(
                "this model has no intensities; use LatentODE(.., log_intensity=MLP(latent, 20, 1))"
            )
        both = self.ode.with_field(WithIntensity(self.ode.func, self.log_intensity))
        start = torch.cat([z0, torch.zeros_like(z0[:, :1])], dim=-1)
        state = states_at(both, start, t, self.t0)
        z = state[..., :-1]
        return z, self.log_intensity(z)[..., 0], state[..., -1]

    def log_likelihood(
        self, z0: Tensor, t: Tensor, x: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """log p(x | z(t0)), (B,); with intensities, log p of the times of observation is added."""
        if self.log_intensity is None:
            return super().log_likelihood(z0, t, x, mask)
        z, log_rate, integral = self.events(z0, t)
        observed = check_series(t, x, mask)[1].any(-1)
        return self.log_prob(x, mask, z) + poisson_log_prob(log_rate, integral[:, -1], observed)
