"""Parallel in time: parareal. A cheap solver goes ahead, an accurate one mends all parts at once.

The interval is cut into slabs. With U_n the state at the start of slab n, F the fine and G the
coarse solver over one slab, an iteration is

    U_(n+1) <- G(U_n) + F(V_n) - G(V_n)        V: the states of the iteration before

All F(V_n) can be computed at the same time: V is known. Here they are the rows of one batch. What
remains one after the other is G. After k iterations the first k slabs are exactly those of F.

Source: Lions, Maday, Turinici 2001, "Resolution d'EDP par un schema en temps parareel".
"""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["parareal", "parareal_speedup"]

Propagator = Callable[[Tensor, Tensor, Tensor], Tensor]


def parareal(
    coarse: Propagator, fine: Propagator, y0: Tensor, t: Tensor, iterations: int
) -> Tensor:
    """States (iterations + 1, N + 1, ...) at t (N + 1,), after 0, 1, ... iterations.

    Args:
        coarse, fine: propagator(y, start, end) -> states at `end` (B,) from y (B, ...) at `start`
            (B,), each row for itself. The coarse one gets one row at a time.
        y0: (...), the state at t[0].
        t: the ends of the N slabs.

    Raises:
        ValueError: for fewer than two times, or a number of iterations that is negative.

        >>> step = lambda y, start, end: y * (1 - (end - start))
        >>> exact = lambda y, start, end: y * torch.exp(start - end)
        >>> parareal(step, exact, torch.tensor(1.0), torch.linspace(0, 1, 5), 2).shape
        torch.Size([3, 5])
    """
    if t.dim() != 1 or len(t) < 2:
        raise ValueError(f"t must be (N + 1,), the ends of N slabs, got shape {tuple(t.shape)}")
    if iterations < 0:
        raise ValueError(f"iterations must be 0 or more, got {iterations}")
    slabs = len(t) - 1
    start, end = t[:-1], t[1:]

    def coarse_of(y: Tensor, n: int) -> Tensor:
        return coarse(y[None], start[n : n + 1], end[n : n + 1])[0]

    states = [y0]
    ahead = []
    for n in range(slabs):
        ahead.append(coarse_of(states[n], n))
        states.append(ahead[n])
    history = [torch.stack(states)]
    for k in range(min(iterations, slabs)):
        # The first k slabs are done: nothing that would change them has changed.
        mended = fine(torch.stack(states[k:-1]), start[k:], end[k:])
        for n in range(k, slabs):
            again = coarse_of(states[n], n) if n > k else ahead[n]
            states[n + 1] = again + mended[n - k] - ahead[n]
            ahead[n] = again
        history.append(torch.stack(states))
    history += history[-1:] * (iterations - slabs)
    return torch.stack(history)


def parareal_speedup(slabs: int, iterations: int, ratio: float) -> float:
    """How many times faster than the fine solver alone, with as many workers as slabs.

    ratio: the time of the coarse solver, in those of the fine one. Every iteration takes one fine
    slab and a coarse way through all slabs, and there is one such way before the first:
    1 / (iterations / slabs + (iterations + 1) ratio), at most slabs / iterations. (What it takes
    to send states is left out.)

        >>> round(parareal_speedup(10, 3, 0.01), 2)
        2.94

    Raises ValueError for fewer than one slab, or for something negative.
    """
    if slabs < 1 or iterations < 0 or ratio < 0:
        raise ValueError(
            "slabs must be 1 or more, iterations and ratio 0 or more, got "
            f"{slabs}, {iterations} and {ratio}"
        )
    return 1 / (iterations / slabs + (iterations + 1) * ratio)
