"""An encoder-decoder Transformer: from one sequence to another, by attention to the first.

The encoder reads the source, each place looking at all others. The decoder is the causal net of
causal_nets.py with one part more: after it has looked back at its own entries, every place looks
at the source (cross attention), and the weights of that look say where it looked:

    weights = softmax(Q K^T / sqrt(width)),   Q from the decoder, K from the encoder

GPT has no encoder; BERT has no decoder, and is not autoregressive. This is the original of both.

Source: Vaswani et al. 2017, arXiv 1706.03762, section 3, with norms first and places learned.
"""

import torch
from torch import Tensor, nn

from .sizes import check_sizes


class EncoderDecoder(nn.Module):
    """log p(target | source), of sequences of the same length and the same tokens.

    Args:
        size: T, the length of both.
        levels: number of values that a token can have.
        width: of every place's vector.

    Raises:
        ValueError: for sizes that are no positive integers; at a call, for other shapes.

        >>> net = EncoderDecoder(6, 10)
        >>> net(torch.zeros(5, 6, dtype=torch.int64), torch.zeros(5, 6, dtype=torch.int64)).shape
        torch.Size([5, 6, 10])
    """

    later: Tensor

    def __init__(self, size: int, levels: int, width: int = 32) -> None:
        super().__init__()
        check_sizes(size=size, levels=levels, width=width)
        self.size = size
        self.embedding = nn.Embedding(levels + 1, width)  # the last is the start token
        self.places = nn.ParameterList(0.3 * torch.randn(size, width) for _ in range(2))
        self.encoder = nn.ModuleList([_Attention(width), _Net(width)])
        self.back = _Attention(width)
        self.cross = _Attention(width)
        self.net = _Net(width)
        self.read = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, levels))
        self.register_buffer("later", torch.ones(size, size, dtype=torch.bool).triu(1))

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Logits (B, T, levels) of each entry of the target (B, T), given those before it."""
        return self._read(source, target)[0]

    @torch.no_grad()
    def attention(self, source: Tensor, target: Tensor) -> Tensor:
        """Where entry i of the target looks in the source: weights (B, T, T), rows of sum one."""
        return self._read(source, target)[1]

    @torch.no_grad()
    def translate(self, source: Tensor) -> Tensor:
        """The likeliest entry, one after the other, (B, T) -> (B, T)."""
        target = torch.zeros_like(source)
        for i in range(self.size):
            target[:, i] = self(source, target)[:, i].argmax(-1)
        return target

    def _read(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        for name, x in (("source", source), ("target", target)):
            if x.dim() != 2 or x.shape[1] != self.size:
                raise ValueError(f"{name} must be (B, {self.size}), got {tuple(x.shape)}")
        memory = self.embedding(source) + self.places[0]
        memory = self.encoder[1](self.encoder[0](memory, memory)[0])
        start = torch.full_like(target[:, :1], self.embedding.num_embeddings - 1)
        h = self.embedding(torch.cat([start, target[:, :-1]], 1)) + self.places[1]
        h, _ = self.back(h, h, self.later)
        h, weights = self.cross(h, memory)
        return self.read(self.net(h)), weights


class _Attention(nn.Module):
    """h + attention(norm(h), memory), and its weights; `hidden` (T, T): True where none looks."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 1, batch_first=True)

    def forward(
        self, h: Tensor, memory: Tensor, hidden: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        memory = self.norm(memory)
        mixed, weights = self.attention(self.norm(h), memory, memory, attn_mask=hidden)
        return h + mixed, weights


class _Net(nn.Module):
    """h + net(norm(h)), at each place by itself."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, h: Tensor) -> Tensor:
        return h + self.net(h)
