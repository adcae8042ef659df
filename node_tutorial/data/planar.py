"""Points whose classes no flow in the same space can separate, or whose targets none can reach."""

import math

import torch
from torch import Tensor

from .drawing import drawn_on_cpu


@drawn_on_cpu
def disk_in_annulus(disk: int = 500, annulus: int = 1500, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A disk |x| <= 0.5, label -1, in an annulus 1 <= |x| <= 1.5, label 1; both uniform in area.

    Numbers and radii of Dupont, Doucet, Teh 2019, arXiv 1904.01681 (config.json of their code,
    where the density of the annulus is a little different: radius 1 + sqrt(u) / 2 for uniform u).

    Args:
        disk, annulus: how many points of each.
        seed: of a generator of its own.

    Returns:
        Points (N, 2), first those of the disk, and labels (N, 1), in torch's default dtype.

        >>> x, label = disk_in_annulus(2, 3)
        >>> x.shape, label[:, 0].tolist(), bool((x.norm(dim=1) < 0.75).equal(label[:, 0] < 0))
        (torch.Size([5, 2]), [-1.0, -1.0, 1.0, 1.0, 1.0], True)
    """
    chance = torch.Generator().manual_seed(seed)
    radius, angle = torch.rand(2, disk + annulus, generator=chance, dtype=torch.float64)
    angle = 2 * math.pi * angle
    radius = torch.cat([0.5 * radius[:disk].sqrt(), (1 + (1.5**2 - 1) * radius[disk:]).sqrt()])
    x = radius[:, None] * torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)
    label = torch.cat([-torch.ones(disk, 1), torch.ones(annulus, 1)])
    return x.to(torch.get_default_dtype()), label


def reflection() -> tuple[Tensor, Tensor]:
    """The points -1 and 1 and their targets 1 and -1, (2, 1): out of reach of flows on the line.

    Source: Dupont, Doucet, Teh 2019, arXiv 1904.01681, figure 3.

        >>> x, target = reflection()
        >>> x.tolist(), bool(target.equal(-x))
        ([[-1.0], [1.0]], True)
    """
    x = torch.tensor([[-1.0], [1.0]])
    return x, -x
