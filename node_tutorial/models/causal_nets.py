"""Causal nets: what they say of entry i of a sequence depends on the entries before i only.

Three ways to see to that, each a module with the same calls:

    MaskedMLP      weights that would look ahead are zero   (MADE, Germain et al. 2015,
                                                            arXiv 1502.03509, equations 8 to 13)
    Transformer    attention to earlier places only         (Vaswani et al. 2017, arXiv 1706.03762,
                                                            section 3; norms first: Radford et al.
                                                            2019)
    Recurrent      a state that is carried from left to right   (a GRU, Cho et al. 2014,
                                                            arXiv 1406.1078)

Tokens are integers from 0 to levels - 1. A start token, one for each class if there are classes,
stands before the first entry, and the net reads the sequence one place late: at place i it has seen
entries 0 to i - 1.

    net(x, label)                     logits (B, T, levels) of tokens x (B, T), all at once
    net.begin(batch, label)           logits (B, levels) of the first entry, and a memory
    net.go_on(memory, token)          logits of the next entry, after token (B,), and a memory

Both ways give the same logits. Counted in places of the sequence that pass through the net, a draw
of T entries costs T with a memory of what was computed, and T (T + 1) / 2 without.
"""

import itertools
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from .sizes import check_sizes


class CausalNet(nn.Module):
    """What the three have in common.

    Args:
        size: T, the length of the sequences.
        levels: number of values that a token can have.
        width: entries of a token's embedding.
        classes: number of labels, 0 for none.

    Attributes:
        cost: places of the sequence that the net was given since it was made, for one sequence.

    Raises:
        ValueError: for sizes that are no positive integers; at a call, for tokens of another shape
            or outside of 0 to levels - 1, or a label without classes.
    """

    def __init__(self, size: int, levels: int, width: int, classes: int = 0) -> None:
        super().__init__()
        check_sizes(size=size, levels=levels, width=width)
        check_sizes(0, classes=classes)
        self.size = size
        self.levels = levels
        self.classes = classes
        self.embedding = nn.Embedding(levels, width)
        self.first = nn.Embedding(max(classes, 1), width)  # the start token, of each class
        self.cost = 0

    def _start(self, batch: int, label: Tensor | None) -> Tensor:
        """The start token's embedding (B, 1, width)."""
        if (label is None) != (self.classes == 0):
            what = "needs a label for each sequence" if self.classes else "has no labels"
            raise ValueError(
                f"this net has classes={self.classes} and {what}, got label={label!r}; make it "
                "with the number of classes, and give label (B,) integers"
            )
        if label is None:
            label = torch.zeros(batch, dtype=torch.int64, device=self.first.weight.device)
        if label.shape != (batch,) or not 0 <= int(label.min()) <= int(label.max()) < max(
            self.classes, 1
        ):
            raise ValueError(
                f"label must be ({batch},) integers from 0 to {self.classes - 1}, got shape "
                f"{tuple(label.shape)}"
            )
        return self.first(label)[:, None]

    def _shifted(self, x: Tensor, label: Tensor | None) -> Tensor:
        """Embeddings (B, T, width) of the start token and of all entries of x but the last."""
        if x.dim() != 2 or x.shape[1] != self.size or x.is_floating_point():
            raise ValueError(
                f"x must be integers (B, {self.size}), got {x.dtype} of shape {tuple(x.shape)}"
            )
        if len(x) and not 0 <= int(x.min()) <= int(x.max()) < self.levels:
            raise ValueError(
                f"tokens must be from 0 to {self.levels - 1}, got {int(x.min())} to {int(x.max())}"
            )
        self.cost += self.size
        return torch.cat([self._start(len(x), label), self.embedding(x[:, :-1])], dim=1)

    def begin(self, batch: int, label: Tensor | None = None) -> tuple[Tensor, Any]:
        """Logits (B, levels) of the first entry, and the memory for `go_on`."""
        raise NotImplementedError

    def go_on(self, memory: Any, token: Tensor) -> tuple[Tensor, Any]:
        """Logits (B, levels) of the entry after token (B,), and the memory with it."""
        raise NotImplementedError


class MaskedMLP(CausalNet):
    """A net of fully connected layers in which no path leads from an entry to an earlier one.

    Each hidden unit has a degree m from 1 to T; it may see the first m places of the shifted
    sequence (the start token is at place 1), and is seen by units of at least that degree, and by
    the logits of entries m and later.

    Args:
        size, levels, classes: as for `CausalNet`.
        hidden: widths of the hidden layers.
        width: of a token's embedding.

        >>> net = MaskedMLP(6, 4)
        >>> net(torch.zeros(5, 6, dtype=torch.int64)).shape
        torch.Size([5, 6, 4])
    """

    def __init__(
        self,
        size: int,
        levels: int,
        hidden: tuple[int, ...] = (128, 128),
        *,
        width: int = 8,
        classes: int = 0,
    ) -> None:
        super().__init__(size, levels, width, classes)
        degrees = [torch.arange(1, size + 1).repeat_interleave(width)]
        degrees += [torch.arange(n) % size + 1 for n in hidden]
        degrees += [torch.arange(1, size + 1).repeat_interleave(levels)]
        self.layers = nn.ModuleList()
        for before, after in itertools.pairwise(degrees):
            self.layers.append(_MaskedLinear(after[:, None] >= before))

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        h = self._shifted(x, label).flatten(1)
        for layer in self.layers[:-1]:
            h = torch.relu(layer(h))
        return self.layers[-1](h).unflatten(1, (self.size, self.levels))

    def begin(self, batch: int, label: Tensor | None = None) -> tuple[Tensor, Any]:
        device = self.first.weight.device
        return self._read(torch.zeros(batch, self.size, dtype=torch.int64, device=device), 0, label)

    def go_on(self, memory: Any, token: Tensor) -> tuple[Tensor, Any]:
        # All layers are computed anew: what the entries to come are does not matter to the logits.
        x, place, label = memory
        x = x.clone()
        x[:, place] = token
        return self._read(x, place + 1, label)

    def _read(self, x: Tensor, place: int, label: Tensor | None) -> tuple[Tensor, Any]:
        return self(x, label)[:, place], (x, place, label)


class _MaskedLinear(nn.Linear):
    """A linear layer whose weights (outputs, inputs) are zero where the mask is False."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.to(self.weight.dtype))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight * self.mask, self.bias)


class Transformer(CausalNet):
    """A decoder Transformer: blocks of causal self-attention and a net for each place.

        h <- h + attention(norm(h)),   h <- h + net(norm(h))

    Places are told apart by a learned vector for each. `go_on` keeps keys and values of the places
    before, so that each place passes through the net once (the key-value cache).

    Args:
        size, levels, classes: as for `CausalNet`.
        width: of every place's vector.
        depth: number of blocks.
        heads: of the attention; they divide width.

    Raises:
        ValueError: besides, for heads that do not divide width.

        >>> net = Transformer(6, 4, width=16, depth=1)
        >>> net(torch.zeros(5, 6, dtype=torch.int64)).shape
        torch.Size([5, 6, 4])
    """

    def __init__(
        self,
        size: int,
        levels: int,
        *,
        width: int = 64,
        depth: int = 2,
        heads: int = 4,
        classes: int = 0,
    ) -> None:
        super().__init__(size, levels, width, classes)
        check_sizes(depth=depth, heads=heads)
        if width % heads:
            raise ValueError(f"heads must divide width, got heads={heads} and width={width}")
        self.place = nn.Parameter(0.02 * torch.randn(size, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.read = nn.Linear(width, levels)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        h = self._shifted(x, label) + self.place
        for block in self.blocks:
            h, _ = block(h)
        return self.read(self.norm(h))

    def begin(self, batch: int, label: Tensor | None = None) -> tuple[Tensor, Any]:
        empty = [None] * len(self.blocks)
        return self._read(self._start(batch, label), 0, empty)

    def go_on(self, memory: Any, token: Tensor) -> tuple[Tensor, Any]:
        place, cache = memory
        return self._read(self.embedding(token)[:, None], place + 1, cache)

    def _read(self, h: Tensor, place: int, cache: list[Any]) -> tuple[Tensor, Any]:
        self.cost += 1
        h = h + self.place[place]
        kept = []
        for block, past in zip(self.blocks, cache):
            h, past = block(h, past)
            kept.append(past)
        return self.read(self.norm(h))[:, 0], (place, kept)


class Past(NamedTuple):
    """Keys and values (B, heads, places, width / heads) of the places that attention has seen."""

    keys: Tensor
    values: Tensor


class Block(nn.Module):
    """A block of the Transformer. Shapes: (B, T, width) -> (B, T, width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.project = nn.Linear(width, 3 * width)
        self.join = nn.Linear(width, width)
        self.net = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, h: Tensor, past: Past | None = None) -> tuple[Tensor, Past]:
        """All places at once; or, with the past of the places before, one place more."""
        parts = self.project(self.norms[0](h)).chunk(3, dim=-1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        if past is not None:
            key = torch.cat([past.keys, key], dim=2)
            value = torch.cat([past.values, value], dim=2)
        # One query is the newest place and may see all: a causal mask would show it the first only.
        causal = query.shape[2] > 1
        mixed = scaled_dot_product_attention(query, key, value, is_causal=causal)
        h = h + self.join(mixed.transpose(1, 2).flatten(2))
        return h + self.net(self.norms[1](h)), Past(key, value)


class Recurrent(CausalNet):
    """A GRU, read out at every place.

    Args:
        size, levels, classes: as for `CausalNet`.
        width: of the state, and of a token's embedding.

        >>> net = Recurrent(6, 4, width=16)
        >>> net(torch.zeros(5, 6, dtype=torch.int64)).shape
        torch.Size([5, 6, 4])
    """

    def __init__(self, size: int, levels: int, *, width: int = 128, classes: int = 0) -> None:
        super().__init__(size, levels, width, classes)
        self.gru = nn.GRU(width, width, batch_first=True)
        self.read = nn.Linear(width, levels)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        return self.read(self.gru(self._shifted(x, label))[0])

    def begin(self, batch: int, label: Tensor | None = None) -> tuple[Tensor, Any]:
        return self._read(self._start(batch, label), None)

    def go_on(self, memory: Any, token: Tensor) -> tuple[Tensor, Any]:
        return self._read(self.embedding(token)[:, None], memory)

    def _read(self, h: Tensor, state: Tensor | None) -> tuple[Tensor, Any]:
        self.cost += 1
        h, state = self.gru(h, state)
        return self.read(h)[:, 0], state


def influence(net: CausalNet, x: Tensor, label: Tensor | None = None) -> Tensor:
    """How much the logits of entry i change with token j: the leak test, (T, T).

    Entry (i, j) is the norm, over the batch, of the gradient of a random mean of the logits of i to
    the embedding of token j. Of a causal net it is exactly 0 for j >= i.

    Shapes: x (B, T) tokens.
    """
    caught: list[Tensor] = []

    def catch(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        caught.append(output.detach().requires_grad_())
        return caught[-1]

    handle = net.embedding.register_forward_hook(catch)
    try:
        with torch.enable_grad():
            logits = net(x, label)
            weights = torch.randn_like(logits)
            sums = (logits * weights).sum((0, 2))
            rows = [torch.autograd.grad(one, caught[0], retain_graph=True)[0] for one in sums]
    finally:
        handle.remove()
    norms = torch.stack(rows).square().sum((1, 3)).sqrt()  # (T, T - 1): the last is never read
    return torch.cat([norms, norms.new_zeros(net.size, 1)], dim=1)
