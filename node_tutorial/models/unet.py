"""A small U-Net: an image in, an image of the same size out, seen at several sizes."""

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, scaled_dot_product_attention, silu

from .conditions import Conditions
from .fields import conv3x3, group_norm
from .sizes import check_sizes, is_count

CODE = 64  # entries of the vector that tells all blocks time and class


class UNet(nn.Module):
    """Down, bottom, up: a residual block at each size, the same sizes joined by skips.

        8 x 8   in -> block 16 ---------------------- skip -----------------> block 16 -> out
                          | mean of 2 x 2                       nearest |
        4 x 4             block 32 ---------- skip ----------> block 32
                              | mean of 2 x 2       nearest |
        2 x 2                 block 32 -> attention

    Each block sees the vector of `Conditions`, time and perhaps class, as a bias for each channel.

    Args:
        channels: C, of the images, 1 if gray.
        widths: channels at each size, from the whole image to the bottom; each size is half of
            that before it.
        classes: how many labels there are, 0 for none; see `Conditions`.

    Shapes: t 0-d, or (B, 1, 1, 1) with one time for each sample; x (B, C, height, width), where
    height and width can be halved len(widths) - 1 times; label (B,) of int64, from 0 to classes -
    1, or classes for "no class", as is None -> like x.

    Raises:
        ValueError: for sizes below 1; at a call, for images that cannot be halved so often, or have
            other channels, and for labels that `Conditions` refuses.

    Sources: Ronneberger, Fischer, Brox 2015, arXiv 1505.04597; Ho, Jain, Abbeel 2020, arXiv
    2006.11239, appendix B, where it is told the time and has 35.7 million parameters; here they
    are 97 thousand.

        >>> net = UNet()
        >>> net(torch.tensor(0.5), torch.zeros(5, 1, 8, 8)).shape
        torch.Size([5, 1, 8, 8])
    """

    def __init__(
        self, channels: int = 1, widths: tuple[int, ...] = (16, 32, 32), *, classes: int = 0
    ) -> None:
        super().__init__()
        check_sizes(channels=channels)
        if not widths or not all(is_count(width, 1) for width in widths):
            raise ValueError(
                f"widths must be one or more positive integers, such as (16, 32, 32), got {widths}"
            )
        self.channels = channels
        self.conditions = Conditions(CODE, classes)
        self.first = conv3x3(channels, widths[0])
        before = (widths[0], *widths[:-1])
        self.down = nn.ModuleList(_Block(a, b) for a, b in zip(before, widths))
        self.attention = _Attention(widths[-1])
        self.up = nn.ModuleList(
            _Block(below + width, width)
            for below, width in zip(reversed(widths[1:]), reversed(widths[:-1]))
        )
        self.last = nn.Sequential(group_norm(widths[0]), nn.SiLU(), conv3x3(widths[0], channels))

    def forward(self, t: Tensor, x: Tensor, label: Tensor | None = None) -> Tensor:
        self._check(x)
        code = silu(self.conditions(t, label, batch=len(x)))
        h = self.first(x)
        skips: list[Tensor] = []
        for block in self.down:
            h = block(avg_pool2d(h, 2) if skips else h, code)
            skips.append(h)
        h = self.attention(skips.pop())
        for block in self.up:
            h = interpolate(h, scale_factor=2)
            h = block(torch.cat([h, skips.pop()], dim=1), code)
        return self.last(h)

    def _check(self, x: Tensor) -> None:
        parts = 2 ** (len(self.down) - 1)
        whole = x.dim() == 4 and not any(side % parts for side in x.shape[2:])
        if not whole or x.shape[1] != self.channels:
            raise ValueError(
                f"images must be (B, {self.channels}, height, width), height and width multiples "
                f"of {parts} for {len(self.down)} widths, got shape {tuple(x.shape)}; pad them, or "
                "give fewer widths"
            )


class _Block(nn.Module):
    """x + f(x): norm, convolve, add the conditions, norm, convolve."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm = group_norm(inputs)
        self.first = conv3x3(inputs, outputs)
        self.told = nn.Linear(CODE, outputs)
        self.middle = group_norm(outputs)
        self.second = conv3x3(outputs, outputs)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        h = self.first(silu(self.norm(x))) + self.told(code)[:, :, None, None]
        return self.skip(x) + self.second(silu(self.middle(h)))


class _Attention(nn.Module):
    """x + attention: each place sees all others, as a weighted mean of their values."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.seen = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        places = self.norm(x).flatten(2).mT
        query, key, value = self.seen(places).chunk(3, dim=2)
        found = self.out(scaled_dot_product_attention(query, key, value))
        return x + found.mT.reshape(x.shape)
