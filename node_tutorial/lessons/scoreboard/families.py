"""Lesson 19: the eight families, each by the same few functions.

    make(board, size)             an untrained model, of one of two sizes
    loss(model, board, x)         a scalar, of data x of the board
    draw(model, board, n, steps)  n samples like the data
    log_prob(model, board, x)     log p(x) in nats (B,), of what the model sees; None: there is none

A board is a set of data with what a model has to know of it: a density in the plane, whose data are
points (B, 2), or the digits, images of dark dots (B, 1, 8, 8). Models of real numbers see dots as
`data.pixels.spread` makes them, flat; the autoregressive model sees whole numbers.

On the digits the first of both sizes is a net for vectors, and the second a net for images, where
the family has one: convolutions for VAE, GAN, diffusion and flow matching, attention for the
autoregressive model. Flows with an inverse get a second width.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...data.densities import Density, two_moons
from ...data.pixels import LEVELS, SIDE, counted, spread
from ...models import (
    CNF,
    GAN,
    VAE,
    Autoregressive,
    Diffusion,
    FlowMatching,
    MaskedMLP,
    PlanarFlow,
    RealNVP,
    ResidualMLP,
    TimedMLP,
    Transformer,
    UNet,
    normal_log_prob,
)
from ...models.samplers import ddim, to_data, uniform
from ...models.vae import gaussian_log_prob, reparameterize
from .nets import Encoder, Up, critic, down, smooth

CELLS = 128  # a side of the plane, for the autoregressive model
DRAWS = 200  # of z, in the bound on a VAE's likelihood
TRAINING: dict[str, Any] = {"rtol": 1e-3, "atol": 1e-3}  # of a CNF's solver
PIXELS = SIDE * SIDE


class Board(NamedTuple):
    """Data that models are compared on: a density in the plane, or the digits (density None)."""

    name: str
    density: Density | None

    @property
    def size(self) -> int:
        return PIXELS if self.density is None else 2

    def seen(self, x: Tensor) -> Tensor:
        """What a model of real numbers sees, (B, size): points, or dots made continuous."""
        return x if self.density is not None else spread(x).flatten(1)

    def shown(self, y: Tensor) -> Tensor:
        """Data that (B, size) stands for."""
        return y if self.density is not None else counted(y).reshape(-1, 1, SIDE, SIDE)


DENSITIES: dict[str, Callable[[], Density]] = {"moons": two_moons}
DIGITS = "digits"


def board(name: str) -> Board:
    """By its name: "moons" or "digits"."""
    return Board(name, DENSITIES[name]() if name in DENSITIES else None)


class Family(NamedTuple):
    """What the scoreboard asks of a family (see the module), and the rates that are tried.

    Attributes:
        rates: learning rates of Adam, in the plane and on the digits: as many for each family.
        betas: of Adam.
        steps: how many evaluations of a net a sample takes, where one can choose; else ().
        whole: on the digits, log_prob is of whole numbers.
    """

    make: Callable[[Board, int], nn.Module]
    loss: Callable[[Any, Board, Tensor], Tensor]
    draw: Callable[[Any, Board, int, int | None], Tensor]
    log_prob: Callable[[Any, Board, Tensor], Tensor] | None
    rates: tuple[tuple[float, ...], tuple[float, ...]]
    betas: tuple[float, float] = (0.9, 0.999)
    steps: tuple[int, ...] = ()
    whole: bool = False


# -- VAE -------------------------------------------------------------------------------------------


def _vae(board: Board, size: int) -> VAE:
    if board.density is not None:
        width = (64, 128)[size]
        model = VAE(2, 2, width, likelihood="gaussian", noise=0.5)
        return _with(model, Encoder(smooth(2, width, width), width, 2), smooth(2, width, width, 2))
    model = VAE(PIXELS, 16, 8, likelihood="gaussian", noise=0.7)
    if size == 0:
        encoder = Encoder(smooth(PIXELS, 256, 256), 256, 16)
        return _with(model, encoder, smooth(16, 256, 256, PIXELS))
    return _with(model, Encoder(down(32, 128), 128, 16), Up(16, 32))


def _with(model: VAE, encoder: nn.Module, decoder: nn.Module) -> VAE:
    """The VAE with other nets in the place of its own, which have one layer."""
    model.add_module("encoder", encoder)
    model.add_module("decoder", decoder)
    return model


def means(model: VAE, board: Board, n: int, steps: int | None = None) -> Tensor:
    """The decoder's means: what is mostly shown, but no draws from the density p(x)."""
    return board.shown(model.sample(n))


def _drawn_by_vae(model: VAE, board: Board, n: int, steps: int | None = None) -> Tensor:
    assert model.log_noise is not None
    x = model.sample(n)
    return board.shown(x + model.log_noise.exp() * torch.randn_like(x))


def _bound(model: VAE, board: Board, x: Tensor) -> Tensor:
    """log of the mean, over DRAWS draws of z, of p(x, z) / q(z | x): on average below log p(x), and
    above the ELBO (Burda, Grosse, Salakhutdinov 2016, arXiv 1509.00519).
    """
    parts = []
    for part in board.seen(x).split(250):
        mean, std = model.encode(part)
        z = reparameterize(mean.expand(DRAWS, *mean.shape), std)
        log_q = gaussian_log_prob(z, mean, std).sum(-1)
        log_w = model.log_prob(part, z) + normal_log_prob(z) - log_q
        parts.append(log_w.logsumexp(0) - math.log(DRAWS))
    return torch.cat(parts)


# -- GAN -------------------------------------------------------------------------------------------


def _gan(board: Board, size: int) -> GAN:
    if board.density is not None:
        width = (64, 128)[size]
        nets = (smooth(2, width, width, 2), critic(2, width))
        return GAN(*nets, 2, **GAN_LOSS[0])
    if size == 0:
        return GAN(smooth(16, 256, 256, PIXELS), critic(PIXELS, 256), 16, **GAN_LOSS[1])
    return GAN(Up(16, 32), down(32, 1), 16, **GAN_LOSS[1])


# In the plane, on the digits. Tried besides, more than any other family: each on the other board,
# three or five steps of the critic, no penalty, other weights, momentum 0.5.
GAN_LOSS: tuple[dict[str, Any], dict[str, Any]] = (
    {"loss": "non-saturating", "penalty": "R1", "weight": 0.1},
    {"loss": "wasserstein", "penalty": "gradient", "weight": 1.0, "discriminator_steps": 3},
)


# -- autoregressive --------------------------------------------------------------------------------


def _autoregressive(board: Board, size: int) -> Autoregressive:
    if board.density is not None:
        width = (128, 256)[size]
        return Autoregressive(MaskedMLP(2, CELLS, (width, width), width=16))
    if size == 0:
        return Autoregressive(MaskedMLP(PIXELS, LEVELS, (512, 512)))
    return Autoregressive(Transformer(PIXELS, LEVELS, width=48, depth=2))


def tokens(board: Board, x: Tensor) -> Tensor:
    """Whole numbers (B, T): dots, or the cell of CELLS x CELLS in which a point is."""
    if board.density is None:
        return x.flatten(1).long()
    corner, sides = _rectangle(board)
    return ((x - corner.to(x)) / sides.to(x) * CELLS).floor().clamp(0, CELLS - 1).long()


def _rectangle(board: Board) -> tuple[Tensor, Tensor]:
    assert board.density is not None
    left, right, bottom, top = board.density.bounds
    return torch.tensor([left, bottom]), torch.tensor([right - left, top - bottom])


def _drawn_by_autoregressive(
    model: Autoregressive, board: Board, n: int, steps: int | None = None
) -> Tensor:
    drawn = model.sample(n).x
    _note(model, drawn.shape[1])
    if board.density is None:
        return drawn.reshape(-1, 1, SIDE, SIDE).float()
    corner, sides = _rectangle(board)
    return corner + sides * (drawn + torch.rand(n, 2)) / CELLS


def _log_prob_of_cells(model: Autoregressive, board: Board, x: Tensor) -> Tensor:
    """Of points: a density that is constant in a cell. Of dots: their probability."""
    logs = model.log_prob(tokens(board, x))
    _note(model, 1)
    if board.density is None:
        return logs
    corner, sides = _rectangle(board)
    logs = logs - (sides / CELLS).log().sum()
    inside = ((x >= corner) & (x < corner + sides)).all(-1)
    return torch.where(inside, logs, -math.inf)


# -- flows with a likelihood -----------------------------------------------------------------------


def _realnvp(board: Board, size: int) -> RealNVP:
    width = ((32, 64), (64, 128))[board.density is None][size]
    return RealNVP(board.size, 8, (width, width))


def _planar(board: Board, size: int) -> PlanarFlow:
    return PlanarFlow(board.size, (32, 64)[size])


def _cnf(board: Board, size: int) -> CNF:
    width = ((32, 64), (64, 128))[board.density is None][size]
    return CNF(TimedMLP(board.size, width, width, board.size), board.size, **TRAINING)


def _nll(model: Any, board: Board, x: Tensor) -> Tensor:
    return -model.log_prob(board.seen(x)).mean() / board.size


def _drawn_by_flow(model: Any, board: Board, n: int, steps: int | None = None) -> Tensor:
    return board.shown(model.sample(n))


def _drawn_by_cnf(model: CNF, board: Board, n: int, steps: int | None = None) -> Tensor:
    solver = TIGHT if steps is None else midpoint(steps)
    flow = CNF(model.func, board.size, **solver)
    x = flow.sample(n)
    _note(model, flow.stats.nfe)
    return board.shown(x)


def _note(model: Any, nfe: int) -> None:
    """Keep how often the net was evaluated for each sample or likelihood, see `evaluations`."""
    model.noted = nfe


def evaluations(model: Any) -> int:
    """Of the net, in the last draw or likelihood; 1 where a model does not say."""
    return getattr(model, "noted", 1)


def midpoint(evaluations: int) -> dict[str, Any]:
    """So many evaluations, two in a step."""
    return {"method": "midpoint", "options": {"step_size": 2 / evaluations}}


def _log_prob_of_flow(model: Any, board: Board, x: Tensor) -> Tensor:
    return model.log_prob(board.seen(x))


TIGHT: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}


def _log_prob_of_cnf(model: CNF, board: Board, x: Tensor) -> Tensor:
    flow = CNF(model.func, board.size, **TIGHT)
    log_prob = flow.log_prob(board.seen(x))
    _note(model, flow.stats.nfe)
    return log_prob


# -- diffusion and flow matching -------------------------------------------------------------------


def _denoiser(board: Board, size: int) -> nn.Module:
    if board.density is not None:
        width = (64, 128)[size]
        return TimedMLP(2, width, width, width, 2, activation=nn.SiLU)
    return ResidualMLP(PIXELS, 192, 3) if size == 0 else UNet()


def _shape(board: Board) -> tuple[int, ...]:
    return (2,) if board.density is not None else (1, SIDE, SIDE)


def _diffusion(board: Board, size: int) -> Diffusion:
    return Diffusion(_denoiser(board, size), shape=_shape(board), prediction="v")


def _flow_matching(board: Board, size: int) -> FlowMatching:
    return FlowMatching(_denoiser(board, size), _shape(board))


def _regression(model: Any, board: Board, x: Tensor) -> Tensor:
    return model.loss(board.seen(x).reshape(-1, *_shape(board)))


def _drawn_by_diffusion(model: Diffusion, board: Board, n: int, steps: int | None = None) -> Tensor:
    """By DDIM, one evaluation a step. (With few steps methods of order two are worse here.)"""
    times = to_data(uniform(model.path, (steps or STEPS) - 1))
    found = model.sample(n, times, sampler=ddim)
    _note(model, found.nfe)
    return board.shown(found.x.reshape(n, -1))


def _drawn_by_matching(
    model: FlowMatching, board: Board, n: int, steps: int | None = None
) -> Tensor:
    found = model.sample(n, steps=(steps or STEPS) // 2, method="midpoint")
    _note(model, found.nfe)
    return board.shown(found.x.reshape(n, -1))


def _log_prob_of_net(model: Any, board: Board, x: Tensor) -> Tensor:
    trace = "exact" if board.density is not None else "rademacher"
    points = board.seen(x).reshape(-1, *_shape(board))
    if isinstance(model, Diffusion):
        log_prob = model.log_prob(points, trace=trace, **TIGHT)
        _note(model, model.stats.nfe)
        return log_prob
    flow = model.flow(trace=trace, **TIGHT)
    log_prob = flow.log_prob(points.flatten(1))
    _note(model, flow.stats.nfe)
    return log_prob


STEPS = 64  # evaluations for a sample, where one can choose
CURVE = (2, 4, 8, 16, 32, 64)

FAMILIES = {
    "VAE": Family(
        _vae,
        lambda model, board, x: model.loss(board.seen(x)) / board.size,
        _drawn_by_vae,
        _bound,
        ((1e-3, 3e-3, 1e-2), (5e-4, 1.5e-3, 5e-3)),
    ),
    "GAN": Family(
        _gan,
        lambda model, board, x: model.loss(board.seen(x))[0],
        lambda model, board, n, steps: board.shown(model.sample(n)),
        None,
        ((6e-4, 2e-3, 6e-3), (6e-4, 2e-3, 6e-3)),
        betas=(0.0, 0.9),
    ),
    "autoregressive": Family(
        _autoregressive,
        lambda model, board, x: model.loss(tokens(board, x)),
        _drawn_by_autoregressive,
        _log_prob_of_cells,
        ((1e-3, 3e-3, 1e-2), (1e-3, 3e-3, 1e-2)),
        whole=True,
    ),
    "RealNVP": Family(
        _realnvp,
        _nll,
        _drawn_by_flow,
        _log_prob_of_flow,
        ((3e-3, 1e-2, 3e-2), (1e-3, 3e-3, 1e-2)),
    ),
    "planar": Family(
        _planar,
        _nll,
        _drawn_by_flow,
        _log_prob_of_flow,
        ((3e-2, 1e-1, 3e-1), (1e-2, 3e-2, 1e-1)),
    ),
    "CNF": Family(
        _cnf,
        _nll,
        _drawn_by_cnf,
        _log_prob_of_cnf,
        ((1e-2, 3e-2, 1e-1), (3e-3, 1e-2, 3e-2)),
        steps=CURVE,
    ),
    "diffusion": Family(
        _diffusion,
        _regression,
        _drawn_by_diffusion,
        _log_prob_of_net,
        ((2e-3, 6e-3, 2e-2), (5e-4, 1.5e-3, 5e-3)),
        steps=CURVE,
    ),
    "flow matching": Family(
        _flow_matching,
        _regression,
        _drawn_by_matching,
        _log_prob_of_net,
        ((2e-3, 6e-3, 2e-2), (5e-4, 1.5e-3, 5e-3)),
        steps=CURVE,
    ),
}


@torch.no_grad()
def drawn(
    family: Family, model: Any, board: Board, n: int, seed: int, steps: int | None = None
) -> Tensor:
    """n samples; torch's generators are as before, after it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return family.draw(model, board, n, steps).detach()
