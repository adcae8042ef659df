"""Lesson 19: how every family is trained, and what is tried for each.

One recipe for all: float32 on one thread, Adam, gradients of norm `CLIP` at most, a rate that falls
to 0 along a cosine, a moving average of the parameters with the same decay, the same batches of the
same data. One budget, in seconds of a quiet core; what is counted is work at its price there
(`PRICES`), so that a busy machine takes longer, and finds the same. One tuning effort: two sizes,
three rates.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...training import Minibatches, Price, Work, cosine, fit
from .families import Board, Family

BATCH = {True: 256, False: 128}  # in the plane, on the digits
CLIP = 10.0
AVERAGE = 0.99  # of fit
HELD_BACK = 337  # training images by which trials on the digits are judged: a quarter


# Milliseconds on a quiet core, by the kind of board, the family and the size: trimmed means of all
# families by turns in one process, in units in which the flows of lesson 15 cost what they cost
# there (of the CNF in the plane these are lesson 15's own).
PRICES: dict[str, dict[str, tuple[Price, Price]]] = {
    "plane": {
        "VAE": (Price(1.55), Price(2.1)),
        "GAN": (Price(1.5), Price(1.9)),
        "autoregressive": (Price(2.2), Price(3.6)),
        "RealNVP": (Price(3.5), Price(4.3)),
        "planar": (Price(3.5), Price(5.9)),
        "CNF": (Price(2.4, 0.36), Price(3.6, 0.53)),
        "diffusion": (Price(1.5), Price(1.7)),
        "flow matching": (Price(1.25), Price(1.7)),
    },
    "digits": {
        "VAE": (Price(3.1), Price(9.2)),
        "GAN": (Price(3.5), Price(12.3)),
        "autoregressive": (Price(11.7), Price(58.0)),
        "RealNVP": (Price(5.1), Price(6.9)),
        "planar": (Price(4.0), Price(6.6)),
        "CNF": (Price(2.0, 0.51), Price(3.0, 0.77)),
        "diffusion": (Price(4.9), Price(18.4)),
        "flow matching": (Price(4.9), Price(18.2)),
    },
}


class Trained(NamedTuple):
    """A trained model, its updates, the mean NFE of one."""

    model: Any
    updates: int
    nfe: float


def trained(
    family: Family,
    board: Board,
    size: int,
    rate: float,
    seed: int,
    seconds: float,
    price: Price,
    images: Tensor | None = None,
) -> Trained:
    """One training, for so many seconds at their price.

    images: to train with, on the digits.
    """
    torch.manual_seed(seed)
    model = family.make(board, size)
    work = Work(1000 * seconds, price)
    batch = BATCH[board.density is not None]
    data = None if images is None else Minibatches(images, size=batch, seed=seed)
    step = 0

    def loss(model: nn.Module, share: float) -> Tensor:
        nonlocal step
        if data is not None:
            x = data(step)[0]
        else:
            assert board.density is not None
            x = board.density.sample(batch)
        step += 1
        return family.loss(model, board, x)

    history = fit(
        model,
        loss,
        work.most,
        optimizer=torch.optim.Adam(model.parameters(), rate, betas=family.betas),
        schedule=lambda _: cosine()(work.share),
        clip=CLIP,
        average=AVERAGE,
        on_step=work.count,
        progress=False,
    )
    nfe = history.columns.get("nfe", [0.0])
    return Trained(model.eval(), len(history), sum(nfe) / len(nfe))
