"""Lesson 23: the nets, how they are trained, and how their bands are made.

A net reads the WINDOW periods before an origin, NaN where nothing was observed, and says what comes
in the next period. All are trained alike, on all windows of the past, for what they are judged by:
the forecast. Each chooses one of two settings (the latent ODE, three), one of two RATES and when to
stop in the rehearsal, in which the last quarter of the past plays the future; then it is trained on
the whole past, from three seeds. Its band at each horizon is as wide as its errors in the past that
it was fitted to; a band of statsmodels has the variance that the fitted model says.

    GRU           it reads the gaps, then its own predictions
    ODE-RNN       its state moves between the observations
    oscillators   lesson 11: a latent of damped oscillators, a linear decoder, an exact encoder
    latent ODE    lesson 12: a recurrent net infers a latent, which a learned field moves on; at the
                  beginning of the window, or (for a series that noise drives) at its end
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...data.forecast_scores import ahead
from ...models import ODERNN, ContinuousVAE, GRUWithGaps, LatentODE, Oscillator
from ...models.latent_ode import ForwardEncoder
from ...models.vae import Posterior, gaussian_kl, gaussian_log_prob, reparameterize
from ...training import History, Minibatches, fit
from .tasks import Forecast, Task, rehearsal

WINDOW = 2  # periods
HIDDEN = 25
LATENT = 4
MOST_STEPS = 240
EVERY = 20  # steps, from one look at the rehearsal to the next
BATCH = 64
RATES = (0.002, 0.01)
CLIP = 5.0
DRAWS = 50  # of paths, for a latent model's own band


class Windows(NamedTuple):
    """What nets read: x and mask (B, W + H, 1) at times (W + H,), in periods."""

    t: Tensor
    x: Tensor
    mask: Tensor
    window: int


def windows(task: Task, origins: Tensor) -> Windows:
    """The entries around origins (O,): W before, H from it on, float32; beyond the data: masked."""
    window = WINDOW * task.period
    length = window + task.horizon
    x = torch.cat([task.seen.x, task.seen.x.new_full((task.horizon,), torch.nan)])
    x = x[origins[:, None] - window + torch.arange(length)].float()[..., None]
    mask = ~x.isnan()
    t = torch.arange(length, dtype=torch.float32) / task.period
    return Windows(t, torch.where(mask, x, 0.0), mask, window)


def past_origins(task: Task) -> Tensor:
    """All whose window and horizon lie in the past."""
    return torch.arange(WINDOW * task.period, task.seen.past - task.horizon + 1)


class LastValue(nn.Module):
    """A damped last value, a_h x_last (B, H): what a net may correct, instead of saying all itself.

    The a_h are learned; they begin as exp(-h / period).
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        steps = torch.arange(1, task.horizon + 1, dtype=torch.float32)
        self.weights = nn.Parameter(torch.exp(-steps / task.period))

    def forward(self, data: Windows) -> Tensor:
        """From the last value that was observed in each window; 0 where there was none."""
        place = torch.arange(1, data.window + 1)
        latest = (data.mask[:, : data.window, 0] * place).argmax(1)
        return data.x[torch.arange(len(latest)), latest] * self.weights


class Recurrent(nn.Module):
    """A `GRUWithGaps` or `ODERNN` that reads a window, then its own predictions; with `last`, they
    correct a `LastValue`.
    """

    def __init__(self, net: GRUWithGaps, last: LastValue | None = None) -> None:
        super().__init__()
        self.net = net
        self.last = last

    def loss(self, data: Windows) -> Tensor:
        """The mean square error of the forecast."""
        wrong = self.means(data) - data.x[:, data.window :, 0]
        mask = data.mask[:, data.window :, 0]
        return torch.where(mask, wrong, 0.0).square().sum() / mask.sum().clamp(min=1)

    def means(self, data: Windows) -> Tensor:
        """Forecasts (B, H)."""
        t, x, mask, w = data
        own = self.net.forecast(t[:w].expand(len(x), -1), x[:, :w], mask[:, :w], t[w:])[..., 0]
        return own if self.last is None else own + self.last(data)


class Latent(nn.Module):
    """A `ContinuousVAE` that infers a latent from a window, and decodes from its t0 on; with
    `last`, what it decodes corrects a `LastValue`.
    """

    def __init__(self, model: ContinuousVAE, last: LastValue | None = None) -> None:
        super().__init__()
        self.model = model
        self.last = last

    def q(self, data: Windows) -> Posterior:
        t, x, mask, w = data
        return self.model.encode(t[:w], x[:, :w], mask[:, :w])

    def loss(self, data: Windows) -> Tensor:
        """KL(q || N(0, I)) less the log-likelihood of all from t0 on, for a draw from q."""
        q = self.q(data)
        x = data.x
        if self.last is not None:
            later = (x[:, data.window :, 0] - self.last(data))[..., None]
            x = torch.cat([x[:, : data.window], later], 1)
        decoded = data.t >= self.model.t0
        if self.last is not None or self.model.t0 > 0:
            decoded = torch.arange(len(data.t)) >= data.window
        z = self.model.latents(reparameterize(*q), data.t[decoded])
        likelihood = self.model.log_prob(x[:, decoded], data.mask[:, decoded], z)
        return (gaussian_kl(*q).sum(1) - likelihood).mean()

    def means(self, data: Windows) -> Tensor:
        """Forecasts (B, H), from the mean of q."""
        own = self.model.decode(self.q(data).mean, data.t[data.window :])[..., 0]
        return own if self.last is None else own + self.last(data)

    def own_band(self, data: Windows) -> Tensor:
        """The std (B, H) that the model itself claims: that of its paths, and the noise."""
        paths = self.model.paths_from(self.q(data), data.t[data.window :], DRAWS)[..., 0]
        return (paths.var(0) + self.model.log_noise.exp().square()).sqrt()


class Oscillators(nn.Module):
    """Damped oscillators side by side, a linear decoder, and noise: lesson 11's model for a series,
    with its encoder by formula.

    z(0) ~ N(0, I) at the beginning of the window, x_i = a(t_i) z(0) + bias + noise, where a(t) is
    the decoder after exp(t A), A being the oscillators' field. So z(0) given a window is a linear
    regression, and the forecast is a Gaussian without any approximation.

    Args:
        periods: in units of time, to begin with; they are learned, as is the damping.
    """

    def __init__(self, *periods: float) -> None:
        super().__init__()
        self.each = nn.ModuleList(Oscillator(2 * math.pi / period, 0.1) for period in periods)
        self.decoder = nn.Linear(2 * len(periods), 1)
        self.log_noise = nn.Parameter(torch.tensor(math.log(0.5)))

    def rows(self, t: Tensor) -> Tensor:
        """a(t), (T, 2 K)."""
        field = torch.block_diag(*[one(t[0], torch.eye(2)).T for one in self.each])
        return (self.decoder.weight @ torch.matrix_exp(t[:, None, None] * field))[:, 0]

    def predict(self, data: Windows) -> tuple[Tensor, Tensor]:
        """Mean and std (B, H) of the forecast.

        Source: Bishop, "Pattern recognition and machine learning", (2.116), (2.117).
        """
        t, x, mask, w = data
        a = self.rows(t)
        noise = self.log_noise.exp()
        seen = torch.where(mask[:, :w], a[:w], 0.0) / noise
        value = torch.where(mask[:, :w], x[:, :w] - self.decoder.bias, 0.0) / noise
        covariance = torch.linalg.inv(torch.eye(a.shape[1]) + seen.mT @ seen)
        z = (covariance @ seen.mT @ value)[..., 0]
        variance = torch.einsum("hi,bij,hj->bh", a[w:], covariance, a[w:])
        return z @ a[w:].T + self.decoder.bias, (variance + noise.square()).sqrt()

    def loss(self, data: Windows) -> Tensor:
        """Less the log-likelihood of what came, per value."""
        mask = data.mask[:, data.window :, 0]
        entries = gaussian_log_prob(data.x[:, data.window :, 0], *self.predict(data))
        return -torch.where(mask, entries, 0.0).sum() / mask.sum().clamp(min=1)

    def means(self, data: Windows) -> Tensor:
        """Forecasts (B, H)."""
        return self.predict(data)[0]

    def own_band(self, data: Windows) -> Tensor:
        """The std (B, H) that the model itself claims."""
        return self.predict(data)[1]


Net = Recurrent | Latent | Oscillators


def _latent_ode(task: Task, at_origin: bool = True, corrects: bool = False) -> Net:
    model = LatentODE(1, LATENT, noise=0.5, **_solver(task))
    if at_origin:
        model.encoder = ForwardEncoder(GRUWithGaps(1, HIDDEN), LATENT)
        model.t0 = float(WINDOW - 1 / task.period)
    return Latent(model, LastValue(task) if corrects else None)


def _solver(task: Task) -> dict[str, Any]:
    return {"method": "midpoint", "options": {"step_size": 1 / task.period}}


def _ode_rnn() -> GRUWithGaps:
    return ODERNN(1, HIDDEN, method="midpoint")


def _periods(task: Task) -> tuple[float, ...]:
    """At which the oscillators begin, in units of a period: a sunspot cycle of 11 years and what
    is about it; for El Nino, whose season is subtracted, a few years.
    """
    return (4.0, 2.0, 1.0) if task.seasonal else (1.0, 0.5, 5.0)


NETS: dict[str, dict[str, Callable[[Task], Net]]] = {
    "GRU": {
        "says all": lambda task: Recurrent(GRUWithGaps(1, HIDDEN)),
        "corrects the last value": lambda task: Recurrent(GRUWithGaps(1, HIDDEN), LastValue(task)),
    },
    "ODE-RNN": {
        "says all": lambda task: Recurrent(_ode_rnn()),
        "corrects the last value": lambda task: Recurrent(_ode_rnn(), LastValue(task)),
    },
    "oscillators": {
        "one": lambda task: Oscillators(*_periods(task)[:1]),
        "three": lambda task: Oscillators(*_periods(task)),
    },
    "latent ODE": {
        "z at the window's beginning": lambda task: _latent_ode(task, at_origin=False),
        "z at the origin": _latent_ode,
        "z at the origin, corrects the last value": lambda task: _latent_ode(task, corrects=True),
    },
}


def train(
    make: Callable[[Task], Net],
    task: Task,
    rate: float,
    steps: int,
    seed: int,
    on_step: Callable[[Any, History], None] | None = None,
) -> Net:
    """A net of the past of a task, after so many updates by Adam."""
    torch.manual_seed(seed)
    net = make(task)
    t, x, mask, window = windows(task, past_origins(task))
    fit(
        net,
        lambda net, batch: net.loss(Windows(t, batch[0], batch[1], window)),
        steps,
        lr=rate,
        batches=Minibatches(x, mask, size=min(BATCH, len(x)), seed=seed),
        clip=CLIP,
        on_step=on_step,
        progress=False,
    )
    return net


class Choice(NamedTuple):
    """What the rehearsal says: a setting, the learning rate, the number of steps; and the RMSE
    there, the mean over the horizons.
    """

    setting: str
    rate: float
    steps: int
    rmse: float


def rehearse(name: str, task: Task) -> Choice:
    """Train all settings of a net with all rates, and look every so many steps how good they are:
    by the mean of the RMSE over the horizons.
    """
    trial = rehearsal(task)
    data = windows(trial, trial.origins)
    tried: list[Choice] = []
    for setting, make in NETS[name].items():
        for rate in RATES:

            def look(
                net: Net, history: History, setting: str = setting, rate: float = rate
            ) -> None:
                if len(history) % EVERY == 0:
                    with torch.no_grad():
                        error = net.means(data) - trial.truth
                    rmse = error.square().nanmean(0).sqrt().mean()
                    tried.append(Choice(setting, rate, len(history), float(rmse)))

            train(make, trial, rate, MOST_STEPS, 0, look)
    return min(tried, key=lambda choice: choice.rmse)


@torch.no_grad()
def forecast(net: Net, task: Task) -> Forecast:
    """What a trained net says at the origins of a task; its std at each horizon is the root mean
    square of its errors at the origins of the past, which it was trained on.
    """
    past = past_origins(task)
    wrong = net.means(windows(task, past)) - ahead(task.seen.x, past, task.horizon)
    mean = net.means(windows(task, task.origins)).double()
    return Forecast(mean, wrong.square().nanmean(0).sqrt().expand_as(mean))
