"""Lesson 06: what a gradient costs in bytes and evaluations, and how far it is off."""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...gradients import GRADIENT_MODES
from ...gradients.memory import PeakBytes, bytes_kept

T_END = 4.0
SPAN = torch.tensor([0.0, T_END], dtype=torch.float64)


class Neurons(nn.Module):
    """y' = tanh(y W + b) - leak y, for states y (B, 16), in float64.

    Without the leak the neurons excite each other; with it they forget their past at the rate
    `leak`. The weights are the same every time. `nfe` counts the calls.
    """

    def __init__(self, leak: float = 0.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        w = torch.randn(16, 16, generator=generator, dtype=torch.float64)
        self.weight = nn.Parameter(0.625 * w)  # 2.5 / sqrt(16)
        self.bias = nn.Parameter(torch.zeros(16, dtype=torch.float64))
        self.leak = leak
        self.nfe = 0

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        self.nfe += 1
        return torch.tanh(y @ self.weight + self.bias) - self.leak * y


class Network(nn.Module):
    """A network 2-50-2 with tanh, for states y (B, 2): few numbers in the state, 252 parameters.

    In float64, with the same weights every time. `nfe` counts the calls.
    """

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 50).double()
        self.outer = nn.Linear(50, 2).double()
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for p in self.parameters():
                p.uniform_(-0.5, 0.5, generator=generator)
        self.nfe = 0

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        self.nfe += 1
        return self.outer(torch.tanh(self.inner(y)))


def start() -> Tensor:
    """The states (16, 16) of 16 samples at t = 0: 2048 bytes, which ask for a gradient."""
    y0 = torch.randn(16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return y0.requires_grad_()


class Price(NamedTuple):
    """What a gradient costs: bytes kept for the backward pass, and evaluations of f."""

    kept: int
    forward: int
    backward: int
    gradient: Tensor


def price(
    mode: str | Callable, field: Neurons | Network, y0: Tensor, t: Tensor, **solver: Any
) -> Price:
    """The `Price` of the gradient of L = (sum of y(t_i)^2, i > 0) / 2, one vector.

    It is the gradient with respect to y0 and all parameters.

    mode: a name in GRADIENT_MODES, or a function with odeint's signature.
    solver: its keyword arguments.
    """
    solve = GRADIENT_MODES[mode] if isinstance(mode, str) else mode
    before = field.nfe
    with torch.enable_grad(), bytes_kept(exclude=field.parameters()) as kept:
        y = solve(field, y0, t, **solver)
    between = field.nfe
    with torch.enable_grad():
        loss = y[1:].square().sum() / 2
    parts = torch.autograd.grad(loss, (y0, *field.parameters()))
    gradient = torch.cat([part.reshape(-1) for part in parts])
    return Price(kept.bytes, between - before, field.nfe - between, gradient)


def relative_error(gradient: Tensor, exact: Tensor) -> float:
    """|gradient - exact| / |exact|."""
    return float(torch.linalg.vector_norm(gradient - exact) / torch.linalg.vector_norm(exact))


def fixed_steps(mode: str, steps: int) -> dict[str, Any]:
    """Keyword arguments for `steps` equal steps to T_END.

    They are steps of RK4, for the reversible mode of reversible Heun.
    """
    method = "reversible_heun" if mode == "reversible" else "rk4_classic"
    return {"method": method, "options": {"step_size": T_END / steps}}


@lru_cache(maxsize=64)
def exact_gradient(leak: float) -> Tensor:
    """The gradient of `price`'s loss for the neurons up to T_END.

    By backpropagation through dopri8 with rtol 1e-12.
    """
    solver = {"method": "dopri8", "rtol": 1e-12, "atol": 1e-13}
    return price("direct", Neurons(leak), start(), SPAN, **solver).gradient


def gradients(mode: str, leak: float, tols: Iterable[float], **backward: Any) -> list[Tensor]:
    """The gradients of `price`'s loss for the neurons up to T_END, one per tolerance.

    tols: each is rtol and atol. backward: further keyword arguments of the mode, such as
    adjoint_rtol.
    """
    field = Neurons(leak)
    y0 = start()
    return [price(mode, field, y0, SPAN, rtol=tol, atol=tol, **backward).gradient for tol in tols]


def errors(found: Iterable[Tensor], leak: float) -> list[float]:
    """The relative errors of gradients of the neurons' loss."""
    return [relative_error(gradient, exact_gradient(leak)) for gradient in found]


def memory(
    modes: Iterable[str], steps: Sequence[int]
) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """Bytes of a gradient of the neurons, per mode over the numbers of steps (n,).

    First those kept after the forward pass, then the peak of both passes.
    """
    kept: dict[str, list[int]] = {}
    peak: dict[str, list[int]] = {}
    for mode in modes:
        kept[mode] = []
        peak[mode] = []
        for n in steps:
            with PeakBytes() as meter:
                paid = price(mode, Neurons(), start(), SPAN, **fixed_steps(mode, n))
            kept[mode].append(paid.kept)
            peak[mode].append(meter.peak)
    return kept, peak


class Row(NamedTuple):
    """A gradient's price, its error, and how far it is from backprop through its own steps."""

    price: Price
    error: float
    own_error: float


@lru_cache(maxsize=256)
def all_prices(steps: int, leak: float) -> dict[str, Row]:
    """For every mode a row at `steps` fixed steps, for the neurons with a leak."""
    y0 = start()
    backprop: dict[str, Price] = {}  # by method
    rows = {}
    for mode in GRADIENT_MODES:
        solver = fixed_steps(mode, steps)
        method = solver["method"]
        paid = price(mode, Neurons(leak), y0, SPAN, **solver)
        if method not in backprop:
            own = paid if mode == "direct" else price("direct", Neurons(leak), y0, SPAN, **solver)
            backprop[method] = own
        rows[mode] = Row(
            paid,
            error=relative_error(paid.gradient, exact_gradient(leak)),
            own_error=relative_error(paid.gradient, backprop[method].gradient),
        )
    return rows
