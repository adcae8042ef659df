"""A denoiser without convolutions: a residual MLP, the plain rival of the U-Net."""

from torch import Tensor, nn

from .conditions import Conditions
from .sizes import check_sizes


class ResidualMLP(nn.Module):
    """A residual MLP that is told the time, and perhaps a class: for points, or images as vectors.

        h = W x,   h = h + B silu(A norm(h) + C c) for each block,   net = V silu(norm(h))

    with c the vector of `Conditions`, and norm a layer norm.

    Args:
        size: D, the entries of a sample: 2 in the plane, 64 for an image of 8 by 8 pixels.
        width: of h.
        blocks: how many.
        classes: as for `Conditions`.

    Shapes: t 0-d, or (B, 1, ..., 1) with one time for each sample; x (B, ...) with D entries for
    each sample, such as (B, 2) or (B, 1, 8, 8); label (B,) -> like x.

    Raises:
        ValueError: for a size, width or number of blocks below 1; at a call, for samples of another
            size, or labels that `Conditions` refuses.

        >>> import torch
        >>> net = ResidualMLP(64)
        >>> net(torch.tensor(0.5), torch.zeros(5, 1, 8, 8)).shape
        torch.Size([5, 1, 8, 8])
        >>> sum(p.numel() for p in net.parameters())
        634816
    """

    def __init__(self, size: int, width: int = 256, blocks: int = 4, *, classes: int = 0) -> None:
        super().__init__()
        check_sizes(size=size, width=width, blocks=blocks)
        self.size = size
        self.conditions = Conditions(64, classes)
        self.first = nn.Linear(size, width)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(blocks))
        self.last = nn.Sequential(nn.LayerNorm(width), nn.SiLU(), nn.Linear(width, size))

    def forward(self, t: Tensor, x: Tensor, label: Tensor | None = None) -> Tensor:
        if x.dim() < 2 or x[0].numel() != self.size:
            raise ValueError(
                f"samples must have {self.size} entries each, (B, {self.size}) or images, "
                f"got shape {tuple(x.shape)}"
            )
        code = nn.functional.silu(self.conditions(t, label, batch=len(x)))
        h = self.first(x.flatten(1))
        for block in self.blocks:
            h = block(h, code)
        return self.last(h).reshape(x.shape)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inward = nn.Linear(width, width)
        self.told = nn.Linear(64, width)
        self.outward = nn.Linear(width, width)

    def forward(self, h: Tensor, code: Tensor) -> Tensor:
        told = self.inward(self.norm(h)) + self.told(code)
        return h + self.outward(nn.functional.silu(told))
