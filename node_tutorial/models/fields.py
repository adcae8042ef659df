"""Vector fields that can be learned: a net that is read as dy/dt."""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn


class MLP(nn.Sequential):
    """A multilayer perceptron: x_0 = x, x_i = a(W_i x_(i-1) + b_i), and W_L x_(L-1) + b_L at the end, without a.

    Args:
        *widths: the sizes of x, of the hidden layers and of the output, at least two.
        activation: makes the function a, elementwise. As a vector field it should be smooth: behind a kink, a solver
            of high order takes short steps.

    Shapes: x (..., widths[0]) -> (..., widths[-1]).

    Raises:
        ValueError: for fewer than two widths, or any that is no positive integer.

        >>> net = MLP(2, 32, 2)
        >>> net(torch.zeros(5, 2)).shape, sum(p.numel() for p in net.parameters())
        (torch.Size([5, 2]), 162)
    """

    def __init__(self, *widths: int, activation: Callable[[], nn.Module] = nn.Tanh) -> None:
        if len(widths) < 2 or not all(isinstance(width, int) and width > 0 for width in widths):
            raise ValueError(f"widths must be two or more positive integers, such as MLP(2, 32, 2), got {widths}")
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Linear(before, after), activation()]
        super().__init__(*layers[:-1])


class VectorField(nn.Module):
    """dy/dt = net(y), or net(y, t) where the field changes with time.

    Args:
        net: maps (..., D), or with `time` (..., D + 1), to (..., D).
        time: append t to y, as the last entry.

    Shapes: t 0-d, or (B, 1, ..., 1) with one clock per sample; y (..., D) -> (..., D).

    Raises:
        TypeError: if net is no module, since its parameters would be unknown to an optimizer.

        >>> field = VectorField(MLP(3, 32, 2), time=True)
        >>> field(torch.tensor(0.5), torch.zeros(5, 2)).shape
        torch.Size([5, 2])
    """

    def __init__(self, net: nn.Module, time: bool = False) -> None:
        super().__init__()
        if not isinstance(net, nn.Module):
            raise TypeError(f"net must be an nn.Module, such as MLP(2, 32, 2), got {type(net).__name__}")
        self.net, self.time = net, time

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        if self.time:
            y = torch.cat([y, t.to(y.dtype).expand(*y.shape[:-1], 1)], dim=-1)
        return self.net(y)
