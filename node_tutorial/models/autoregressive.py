"""Autoregressive models: one entry after the other, each given those before.

    p(x) = p(x_1) p(x_2 | x_1) p(x_3 | x_1, x_2) ...

The chain rule of probability, without an assumption, in any order of the entries. A causal net
(causal_nets.py) gives the logits of every factor at once, so log p(x) is exact and cheap; a draw
takes one entry after the other.

Sources: Bengio, Bengio 2000, "Modeling high-dimensional discrete data with multi-layer neural
networks"; van den Oord, Kalchbrenner, Kavukcuoglu 2016, "Pixel recurrent neural networks", arXiv
1601.06759 (pixels as levels, bits per dimension).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .causal_nets import CausalNet
from .sizes import is_count


class Drawn(NamedTuple):
    """Draws x (n, T), and of each entry the log-probability in nats that it had, (n, T)."""

    x: Tensor
    log_prob: Tensor


class Autoregressive(nn.Module):
    """The distribution of sequences x (B, T) of integers from 0 to levels - 1.

    Args:
        net: a `CausalNet`.
        order: in which order the entries are taken, a permutation of 0 to T - 1; None: as they
            stand. Entries of x stay at their places, only the factors change.

    Raises:
        TypeError: if net is no `CausalNet`. ValueError: for an order that is no permutation.

        >>> from node_tutorial.models import MaskedMLP
        >>> model = Autoregressive(MaskedMLP(4, 2))
        >>> model.log_prob(torch.zeros(5, 4, dtype=torch.int64)).shape, model.sample(3).x.shape
        (torch.Size([5]), torch.Size([3, 4]))
    """

    order: Tensor
    place: Tensor

    def __init__(self, net: CausalNet, order: Tensor | None = None) -> None:
        super().__init__()
        if not isinstance(net, CausalNet):
            raise TypeError(
                f"net must be a CausalNet, such as MaskedMLP(64, 17), got {type(net).__name__}"
            )
        order = torch.arange(net.size) if order is None else torch.as_tensor(order)
        if order.tolist() != order.long().tolist() or sorted(order.tolist()) != list(
            range(net.size)
        ):
            raise ValueError(
                f"order must be a permutation of 0 to {net.size - 1}, each once, got "
                f"{order.tolist()}"
            )
        self.net = net
        self.register_buffer("order", order.long())
        self.register_buffer("place", order.argsort())

    def log_factors(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """log p(x_i | those before in the order), in nats, (B, T) -> (B, T), at the places of x."""
        if x.dim() != 2 or x.shape[1] != self.net.size:
            raise ValueError(f"x must be (B, {self.net.size}), got shape {tuple(x.shape)}")
        taken = x[:, self.order]
        logs = self.net(taken, label).log_softmax(-1)
        return logs.gather(-1, taken[..., None])[..., 0][:, self.place]

    def log_prob(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """log p(x) in nats, (B, T) -> (B,), exact."""
        return self.log_factors(x, label).sum(-1)

    def bits(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Bits for an entry, -log2 p(x) / T, (B, T) -> (B,); log2(levels) if nothing is known."""
        return -self.log_prob(x, label) / (self.net.size * math.log(2))

    def loss(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """The mean of -log p(x) / T, in nats for an entry."""
        return -self.log_factors(x, label).mean()

    @torch.no_grad()
    def sample(
        self,
        n: int,
        label: Tensor | None = None,
        *,
        known: Tensor | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        cached: bool = True,
        generator: torch.Generator | None = None,
    ) -> Drawn:
        """n draws.

        Args:
            n: how many.
            label: (n,) classes, if the net has some.
            known: (P,) or (n, P): the first P entries in the order are these, not drawn.
            temperature: the logits are divided by it. Below 1 likely values get likelier; towards 0
                the likeliest is taken. The draws then are not from p.
            top_k: only the k likeliest values of an entry can be drawn.
            cached: use what the net keeps of the entries before; else the whole sequence is
                computed at each entry (the same draws, at more cost).
            generator: of the draws; None: torch's global one.

        Returns:
            Drawn; the log-probabilities are the net's, without temperature and top_k.

        Raises:
            ValueError: for n, temperature, top_k or known that cannot be.
        """
        self._check(n, known, temperature, top_k)
        given = known.expand(n, -1) if known is not None else None
        taken = self.order.new_zeros(n, self.net.size)
        logs = torch.zeros(n, self.net.size, device=taken.device, dtype=self._dtype)
        memory = None
        for i in range(self.net.size):
            if not cached:
                logits = self.net(taken, label)[:, i]
            elif i == 0:
                logits, memory = self.net.begin(n, label)
            else:
                logits, memory = self.net.go_on(memory, taken[:, i - 1])
            if given is not None and i < given.shape[1]:
                token = given[:, i]
            else:
                token = _draw(logits, temperature, top_k, generator)
            taken[:, i] = token
            logs[:, i] = logits.log_softmax(-1).gather(-1, token[:, None])[:, 0]
        return Drawn(taken[:, self.place], logs[:, self.place])

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def _check(self, n: int, known: Tensor | None, temperature: float, top_k: int | None) -> None:
        if not is_count(n, 1):
            raise ValueError(f"n must be an integer of 1 or more, got {n!r}")
        if not 0 < temperature < math.inf:
            raise ValueError(
                f"temperature must be positive, got {temperature}; for the likeliest values take "
                "top_k=1"
            )
        if top_k is not None and not (is_count(top_k, 1) and top_k <= self.net.levels):
            raise ValueError(f"top_k must be from 1 to {self.net.levels}, got {top_k!r}")
        if known is not None and (
            known.dim() not in (1, 2)
            or known.shape[-1] > self.net.size
            or (known.dim() == 2 and known.shape[0] != n)
        ):
            raise ValueError(
                f"known must be (P,) or ({n}, P) with P up to {self.net.size}, got shape "
                f"{tuple(known.shape)}"
            )


def narrowed(logits: Tensor, temperature: float, top_k: int | None) -> Tensor:
    """Probabilities (..., levels) that a value is drawn from, of logits (..., levels): these are
    divided by the temperature, and all but the top_k largest get the probability 0.
    """
    logits = logits / temperature
    if top_k is not None:
        least = logits.topk(top_k).values[..., -1:]
        logits = logits.masked_fill(logits < least, -math.inf)
    return logits.softmax(-1)


def _draw(
    logits: Tensor, temperature: float, top_k: int | None, generator: torch.Generator | None
) -> Tensor:
    """A value for each row of logits (n, levels), (n,)."""
    probabilities = narrowed(logits, temperature, top_k)
    return torch.multinomial(probabilities, 1, generator=generator)[:, 0]
