"""Lesson 12: the posterior of each series by itself, refined from what the encoder guesses.

The encoder is one net that guesses q for every series (amortized inference). The best Gaussian of a
single series is closer to its posterior; what the encoder loses against it is the amortization gap
(Cremer, Li, Duvenaud 2018, "Inference suboptimality in variational autoencoders", arXiv
1801.03558). It is closed by a few hundred steps of Adam on mean and standard deviation, with the
model frozen (Kim et al. 2018, "Semi-amortized variational autoencoders", arXiv 1802.02550).
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from ...models import LatentODE
from ...models.vae import Posterior
from .nets import minus_bound
from .spirals import Data

STEPS = 150
RATE = 0.05


def refinement(
    model: LatentODE, batch: tuple[Tensor, Tensor, Tensor, Tensor], grid: Tensor, steps: int = STEPS
) -> Iterator[Posterior]:
    """q of each series, mean and standard deviation (B, L): the encoder's, and after each of
    `steps` of Adam on its bound.

    batch: t, x, mask, and the places in `grid` (S,) of the times t, as in `nets.loss`. The noise is
    the same each time; the generator of torch stays as it is.
    """
    with torch.no_grad():
        q = model.encode(*batch[:3])
    mean = q.mean.clone().requires_grad_(True)
    log_std = q.std.log().requires_grad_(True)
    optimizer = torch.optim.Adam([mean, log_std], lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    yield q
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        noise = torch.random.get_rng_state()
    for _ in range(steps):
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):
            torch.random.set_rng_state(noise)
            loss = minus_bound(model, Posterior(mean, log_std.exp()), batch, grid).sum()
            mean.grad, log_std.grad = torch.autograd.grad(loss, [mean, log_std])
            noise = torch.random.get_rng_state()
        optimizer.step()
        schedule.step()
        yield Posterior(mean.detach().clone(), log_std.detach().exp())


def refine(
    model: LatentODE, batch: tuple[Tensor, Tensor, Tensor, Tensor], grid: Tensor, steps: int = STEPS
) -> Posterior:
    """The last of `refinement`."""
    *_, q = refinement(model, batch, grid, steps)
    return q


def fitted_to_truth(model: LatentODE, data: Data) -> Posterior:
    """q from all points of the observed time without noise: what is wrong beyond it then is the
    fault of field and decoder.
    """
    grid = data.spirals.t
    clean = data.spirals.clean[:, : len(grid)]
    places = torch.arange(len(grid)).expand(len(clean), -1)
    batch = (grid.expand(len(clean), -1), clean, torch.ones_like(clean, dtype=torch.bool), places)
    return refine(model, batch, grid)
