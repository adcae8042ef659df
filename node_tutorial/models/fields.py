"""Vector fields that can be learned: a net that is read as dy/dt.

A field may see the time in one of several ways. `VectorField` appends it to y, once. In `TimedMLP`
and `ConvField` every layer L sees it, in one of the ways of `TimedLayer`:

    None        L(x)                             not at all: an autonomous field
    "concat"    L(x, t)                          one more entry, or channel, of x (Chen et al. 2018,
                                                 their code)
    "shift"     L(x) + t v                       one more bias, which grows with time
    "gate"      L(x) * sigmoid(t u + w) + t v    scale and shift (FiLM, Perez et al. 2018;
                                                 "concatsquash" in the code of FFJORD, Grathwohl
                                                 et al. 2019)
"""

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .sizes import is_count

TIMES = (None, "concat", "shift", "gate")


class MLP(nn.Sequential):
    """A multilayer perceptron: x_0 = x, x_i = a(W_i x_(i-1) + b_i), at the end W_L x_(L-1) + b_L.

    Args:
        *widths: the sizes of x, of the hidden layers and of the output, at least two.
        activation: makes the function a, elementwise. As a vector field it should be smooth: behind
            a kink, a solver of high order takes short steps.

    Shapes: x (..., widths[0]) -> (..., widths[-1]).

    Raises:
        ValueError: for fewer than two widths, or any that is no positive integer.

        >>> net = MLP(2, 32, 2)
        >>> net(torch.zeros(5, 2)).shape, sum(p.numel() for p in net.parameters())
        (torch.Size([5, 2]), 162)
    """

    def __init__(self, *widths: int, activation: Callable[[], nn.Module] = nn.Tanh) -> None:
        _check_widths("MLP", widths)
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
            raise TypeError(
                f"net must be an nn.Module, such as MLP(2, 32, 2), got {type(net).__name__}"
            )
        self.net = net
        self.time = time

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        if self.time:
            y = torch.cat([y, t.to(y.dtype).expand(*y.shape[:-1], 1)], dim=-1)
        return self.net(y)


class TimedLayer(nn.Module):
    """A linear layer or convolution that also sees the time, see the module's docstring.

    Args:
        make: make(inputs, outputs) -> nn.Linear or a convolution, such as `nn.Linear`.
        inputs, outputs: numbers of entries, or of channels.
        time: one of TIMES.

    Shapes: t 0-d, or (B, 1, ..., 1) with one clock per sample; x as for the layer.

    Raises:
        ValueError: for an unknown `time`.

        >>> layer = TimedLayer(nn.Linear, 3, 8, "gate")
        >>> layer(torch.tensor(0.5), torch.zeros(5, 3)).shape
        torch.Size([5, 8])
    """

    u: Tensor
    v: Tensor
    w: Tensor

    def __init__(
        self,
        make: Callable[[int, int], nn.Module],
        inputs: int,
        outputs: int,
        time: str | None = "concat",
    ) -> None:
        super().__init__()
        if time not in TIMES:
            raise ValueError(f"time must be one of {', '.join(map(repr, TIMES))}, got {time!r}")
        self.time = time
        self.layer = make(inputs + (time == "concat"), outputs)
        # Dimensions of space: 0 for a linear layer, 2 for images.
        self.spatial = self.layer.get_parameter("weight").dim() - 2
        bound = 1 / math.sqrt(inputs + 1)  # as torch does for an entry more of a linear layer
        for name in {"shift": "v", "gate": "uvw"}.get(time or "", ""):
            start = torch.empty(outputs, *[1] * self.spatial).uniform_(-bound, bound)
            self.register_parameter(name, nn.Parameter(start))

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        if self.time is None:
            return self.layer(x)
        t = t.to(x.dtype)
        if self.time == "concat":
            dim = -1 - self.spatial
            shape = list(x.shape)
            shape[dim] = 1
            return self.layer(torch.cat([x, t.expand(shape)], dim))
        if self.time == "shift":
            return torch.addcmul(self.layer(x), t, self.v)
        return self.layer(x) * torch.sigmoid(t * self.u + self.w) + t * self.v

    def slope(self, t: Tensor) -> Tensor:
        """The derivative of a linear layer with respect to x (outputs, inputs), at a 0-d time."""
        weight = self.layer.get_parameter("weight")
        if self.time == "concat":
            return weight[:, :-1]
        return (
            weight * torch.sigmoid(t.to(weight.dtype) * self.u + self.w)[:, None]
            if self.time == "gate"
            else weight
        )


class TimedMLP(nn.Module):
    """The field of an `MLP` whose every layer sees the time.

    Args:
        *widths, activation: as for `MLP`.
        time: one of TIMES.

    Shapes: t 0-d, or (B, 1, ..., 1) with one clock per sample; y (..., widths[0]) -> (...,
    widths[-1]).

    Raises:
        ValueError: as `MLP` and `TimedLayer`.

        >>> field = TimedMLP(2, 32, 2, time="gate")
        >>> field(torch.tensor(0.5), torch.zeros(5, 2)).shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        *widths: int,
        activation: Callable[[], nn.Module] = nn.Tanh,
        time: str | None = "concat",
    ) -> None:
        super().__init__()
        _check_widths("TimedMLP", widths)
        self.layers = nn.ModuleList(
            TimedLayer(nn.Linear, a, b, time) for a, b in itertools.pairwise(widths)
        )
        self.activation = activation()

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            y = self.activation(layer(t, y))
        return self.layers[-1](t, y)

    def with_trace(self, t: Tensor, y: Tensor) -> tuple[Tensor, Tensor] | None:
        """The field, and the trace of its Jacobian (...), by a formula; None if there is none.

        There is one for tanh, whose slope d = 1 - tanh^2 is known from its value, with one or two
        hidden layers:

            tr(W2 diag(d1) W1) = sum_i d1_i (W1 W2)_ii
            tr(W3 diag(d2) W2 diag(d1) W1) = d2^T M d1,    M_ij = (W2)_ij (W1 W3)_ji

        It costs one layer more than the field alone, whatever the dimension. Where y (..., D + C)
        has entries beyond those of dy/dt (..., D), the trace is over the first D.

        Shapes: t 0-d.

            >>> field, y = TimedMLP(2, 32, 32, 2), torch.zeros(5, 2)
            >>> dy, trace = field.with_trace(torch.tensor(0.5), y)
            >>> dy.shape, trace.shape
            (torch.Size([5, 2]), torch.Size([5]))
        """
        if not isinstance(self.activation, nn.Tanh) or len(self.layers) not in (2, 3) or t.dim():
            return None
        first, *middle, last = (layer.slope(t) for layer in self.layers)  # type: ignore[operator]
        h = y
        slopes = []
        for layer in self.layers[:-1]:
            h = torch.tanh(layer(t, h))
            slopes.append(1 - h * h)
        around = first[:, : len(last)] @ last  # from the last hidden layer, through y, to the first
        if not middle:
            return self.layers[-1](t, h), slopes[0] @ around.diagonal()
        return self.layers[-1](t, h), ((slopes[0] @ (middle[0].t() * around)) * slopes[1]).sum(-1)


class ConvField(nn.Module):
    """The field of an ODE-Net's block, on images: twice normalize, activate, convolve; normalize.

    Args:
        channels: C, of y.
        outputs: channels of dy/dt, C if None; fewer for the acceleration of a `SecondOrder` field.
        time: one of TIMES.
        normalize: with group norms, of at most four groups. The last one bounds dy/dt, and so the
            cost of a solve; without them the field is free to become rough.
        activation: elementwise. Smooth, unlike the paper's ReLU, whose kinks cost evaluations.

    Shapes: t 0-d, or (B, 1, 1, 1) with one clock per sample; y (B, C, height, width), dy/dt alike.

    Group norms treat every image by itself. Batch norm would not: a field that depends on the rest
    of the batch, and that changes its running means whenever a solver calls it, is no ODE.

    Source: Chen et al. 2018, section 3, and the example odenet_mnist.py of torchdiffeq, with ReLU
    and up to 32 groups.

        >>> field = ConvField(8)
        >>> field(torch.tensor(0.5), torch.zeros(5, 8, 4, 4)).shape
        torch.Size([5, 8, 4, 4])
    """

    def __init__(
        self,
        channels: int,
        outputs: int | None = None,
        *,
        time: str | None = "concat",
        normalize: bool = True,
        activation: Callable[[], nn.Module] = nn.SiLU,
    ) -> None:
        super().__init__()
        outputs = channels if outputs is None else outputs
        self.activation = activation()
        self.first = TimedLayer(conv3x3, channels, channels, time)
        self.second = TimedLayer(conv3x3, channels, outputs, time)
        self.norms = nn.ModuleList(
            group_norm(n) if normalize else nn.Identity() for n in (channels, channels, outputs)
        )

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        y = self.first(t, self.activation(self.norms[0](y)))
        return self.norms[2](self.second(t, self.activation(self.norms[1](y))))


class SecondOrder(nn.Module):
    """x'' = a(t, x, x') as a field for the state y = (x, v): dy/dt = (v, a(t, y)).

    Args:
        acceleration: a field that maps y to dv/dt, with half of y's entries along `dim`.
        dim: along which y holds x and then v: -1, or 1 for the channels of images.

    Shapes: y (..., 2 D) -> (..., 2 D).

    Raises:
        ValueError: at a call, if the acceleration has not the shape of v.

    Source: Massaroli, Poli, Park, Yamashita, Asama 2020, "Dissecting neural ODEs", arXiv
    2002.08071, section 4 ("higher-order neural ODEs").

        >>> field = SecondOrder(VectorField(MLP(4, 32, 2)))
        >>> field(torch.tensor(0.0), torch.tensor([1.0, 2.0, 3.0, 4.0]))[:2]
        tensor([3., 4.], grad_fn=<SliceBackward0>)
    """

    def __init__(self, acceleration: nn.Module, dim: int = -1) -> None:
        super().__init__()
        self.acceleration = acceleration
        self.dim = dim

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        v = y.chunk(2, self.dim)[1]
        a = self.acceleration(t, y)
        if a.shape != v.shape or 2 * v.shape[self.dim] != y.shape[self.dim]:
            raise ValueError(
                f"acceleration must have half of y's {y.shape[self.dim]} entries along dim "
                f"{self.dim}, where y holds x and then v; got shape {tuple(a.shape)} for y of "
                f"shape {tuple(y.shape)}"
            )
        return torch.cat([v, a], self.dim)


def conv3x3(inputs: int, outputs: int) -> nn.Conv2d:
    """A convolution of 3 by 3 pixels that keeps the size of the image."""
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def group_norm(channels: int) -> nn.GroupNorm:
    """A group norm of four groups, or of as many as divide both four and the number of channels."""
    return nn.GroupNorm(math.gcd(4, channels), channels)


def _check_widths(name: str, widths: tuple[int, ...]) -> None:
    if len(widths) < 2 or not all(is_count(width, 1) for width in widths):
        raise ValueError(
            f"widths must be two or more positive integers, such as {name}(2, 32, 2), got {widths}"
        )
