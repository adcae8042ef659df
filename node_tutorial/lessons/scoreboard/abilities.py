"""Lesson 19: what each family can do at all, found by trying it with an untrained model."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...data.densities import grid
from ...models import VAE, Autoregressive, Diffusion, FlowMatching
from ...models.flows import Flow
from .families import CURVE, FAMILIES, Board, board, drawn, evaluations

CLOSE = 1e-3  # what counts as the same point after a way there and back


class Abilities(NamedTuple):
    """mass: of its density, over a rectangle, 1 if it is one; None: it has no density.

    exact: the density is that of its samples, and no bound. back: how far a point is from itself
    after it was encoded and decoded; None: no code. small: its code can have fewer numbers than
    the data. once: one evaluation of a net makes a sample. fills: entries that are given stay, and
    the others are drawn from its own p(others | given).
    """

    mass: float | None
    exact: bool
    back: float | None
    small: bool
    once: bool
    fills: bool

    @property
    def ticks(self) -> dict[str, bool]:
        """What is said of it in the table."""
        return {
            "samples in one evaluation": self.once,
            "log p(x)": self.mass is not None,
            "... exact": self.exact,
            "x -> code -> x": self.back is not None and self.back < CLOSE,
            "code smaller than x": self.small,
            "given entries kept": self.fills,
        }


@torch.no_grad()
def tried() -> dict[str, Abilities]:
    """Of each family, with untrained models in the plane."""
    where = board("moons")
    return {name: _of(name, where) for name in FAMILIES}


def _of(name: str, where: Board) -> Abilities:
    family = FAMILIES[name]
    torch.manual_seed(0)
    model = family.make(where, 0).double().eval()
    mass = None
    if family.log_prob is not None:
        x, area = grid(_around(name, model, where), 200 if name == "planar" else 100)
        parts = [family.log_prob(model, where, part).exp() for part in x.split(5000)]
        mass = float(torch.cat(parts).sum() * area)
    drawn(family, model, where, 8, 0, CURVE[0] if family.steps else None)
    once = evaluations(model) == 1
    return Abilities(
        mass=mass,
        exact=mass is not None and not isinstance(model, VAE),
        back=_way_back(model, torch.randn(50, 2, dtype=torch.float64)),
        small=_code(64, family) < 64,
        once=once,
        fills=_keeps(model),
    )


def _around(name: str, model: nn.Module, where: Board) -> tuple[float, float, float, float]:
    """A rectangle with nearly all of the model's density: that of its samples, and a margin."""
    assert where.density is not None
    if name == "autoregressive":  # its cells, and no more
        return where.density.bounds
    x = drawn(FAMILIES[name], model, where, 4000, 1)
    low = x.min(0).values - 2
    high = x.max(0).values + 2
    return float(low[0]), float(high[0]), float(low[1]), float(high[1])


def _way_back(model: nn.Module, x: Tensor) -> float | None:
    """The largest distance of x (B, 2) from itself after encoding and decoding."""
    if isinstance(model, VAE):
        again = model(x)
    elif isinstance(model, Flow):
        again = model.inverse(model(x).y).y
    elif isinstance(model, Diffusion):
        again = model.decode(model.encode(x, rtol=1e-6, atol=1e-6), rtol=1e-6, atol=1e-6)
    elif isinstance(model, FlowMatching):
        back = torch.tensor([1.0, 0.0], dtype=x.dtype)
        z = model.move(x, back, rtol=1e-6, atol=1e-6).x[-1]
        again = model.move(z, rtol=1e-6, atol=1e-6).x
    else:
        return None
    return float((again - x).norm(dim=1).max())


def _code(size: int, family: Any) -> int:
    """Numbers of the code from which an image is made, `size` where it has as many as the image."""
    model = family.make(board("digits"), 0)
    return int(getattr(model, "latent", size))


def _keeps(model: nn.Module) -> bool:
    """Whether a first entry that is given stays, by a method of the model for that; its second is
    then drawn from the model's own conditional distribution.
    """
    if not isinstance(model, Autoregressive):
        return False
    known = torch.full((20, 1), 7)
    return bool((model.sample(20, known=known).x[:, 0] == 7).all())
