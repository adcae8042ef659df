"""Lesson 06: what a gradient costs, in bytes and in evaluations, and how far it is from the exact
one.
"""

import time
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...course.controls import choice, power_slider, slider
from ...course.explorables import Explorable, explorable
from ...gradients import GRADIENT_MODES
from ...gradients.memory import PeakBytes, bytes_kept
from .figures import draw_costs

T_END = 4.0


class Neurons(nn.Module):
    """y' = tanh(y W + b) - leak y, for states y (B, 16); float64, the same weights every time.
    `nfe` counts its calls.

    Without the leak the neurons excite each other; with it they forget their past at the rate
    `leak`.
    """

    def __init__(self, leak=0.0):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        w = torch.randn(16, 16, generator=generator, dtype=torch.float64)
        self.weight = nn.Parameter(0.625 * w)  # 2.5 / sqrt(16)
        self.bias = nn.Parameter(torch.zeros(16, dtype=torch.float64))
        self.leak, self.nfe = leak, 0

    def forward(self, t, y):
        self.nfe += 1
        return torch.tanh(y @ self.weight + self.bias) - self.leak * y


class Network(nn.Module):
    """A network 2-50-2 with tanh, for states y (B, 2): few numbers in the state, 252 parameters."""

    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(2, 50).double(), nn.Linear(50, 2).double()
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for p in self.parameters():
                p.uniform_(-0.5, 0.5, generator=generator)
        self.nfe = 0

    def forward(self, t, y):
        self.nfe += 1
        return self.outer(torch.tanh(self.inner(y)))


def start():
    """The initial states (16, 16) of 16 samples of 16 neurons: 2048 bytes. They ask for a gradient."""
    y0 = torch.randn(16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return y0.requires_grad_()


class Price(NamedTuple):
    """What one gradient costs: bytes kept for the backward pass, evaluations of f on both ways,
    clock seconds.
    """

    kept: int
    forward: int
    backward: int
    seconds: float
    gradient: Tensor


def price(mode, field, y0, t, **solver):
    """The `Price` of the gradient of L = (sum of y(t_i)^2, i > 0) / 2 with respect to y0 and all
    parameters.

    mode: a name in GRADIENT_MODES, or a function with odeint's signature; solver: its keyword
    arguments. The gradient is one vector.
    """
    mode = GRADIENT_MODES[mode] if isinstance(mode, str) else mode
    before, clock = field.nfe, time.perf_counter()
    with torch.enable_grad(), bytes_kept(exclude=field.parameters()) as kept:
        y = mode(field, y0, t, **solver)
    between = field.nfe
    with torch.enable_grad():
        loss = y[1:].square().sum() / 2
    parts = torch.autograd.grad(loss, (y0, *field.parameters()))
    seconds = time.perf_counter() - clock
    gradient = torch.cat([part.reshape(-1) for part in parts])
    return Price(kept.bytes, between - before, field.nfe - between, seconds, gradient)


def relative_error(gradient, exact):
    """|gradient - exact| / |exact|."""
    return float(torch.linalg.vector_norm(gradient - exact) / torch.linalg.vector_norm(exact))


def fixed_steps(mode, steps):
    """Keyword arguments for `steps` equal steps to T_END: of RK4, or of reversible Heun for the
    reversible mode.
    """
    method = "reversible_heun" if mode == "reversible" else "rk4_classic"
    return {"method": method, "options": {"step_size": T_END / steps}}


@lru_cache(maxsize=64)
def exact_gradient(leak):
    """The gradient of `price`'s loss for the neurons up to T_END, by dopri8 with rtol 1e-12 and
    backpropagation.
    """
    t = torch.tensor([0.0, T_END], dtype=torch.float64)
    return price(
        "direct", Neurons(leak), start(), t, method="dopri8", rtol=1e-12, atol=1e-13
    ).gradient


def gradients(mode, leak, tols, **backward):
    """The gradients of `price`'s loss for the neurons up to T_END, one for each tolerance rtol =
    atol in tols.

    backward: further keyword arguments of the mode, such as adjoint_rtol.
    """
    t, field, y0 = torch.tensor([0.0, T_END], dtype=torch.float64), Neurons(leak), start()
    return [price(mode, field, y0, t, rtol=tol, atol=tol, **backward).gradient for tol in tols]


def errors(found, leak):
    """The relative errors of gradients of the neurons' loss."""
    return [relative_error(gradient, exact_gradient(leak)) for gradient in found]


def memory(modes, steps):
    """Bytes of a gradient of the neurons, per mode over the numbers of steps (n,): kept after the
    forward pass, and the peak of both passes."""
    t = torch.tensor([0.0, T_END], dtype=torch.float64)
    kept: dict[str, list[int]] = {mode: [] for mode in modes}
    peak: dict[str, list[int]] = {mode: [] for mode in modes}
    for mode in modes:
        for n in steps:
            with PeakBytes() as meter:
                paid = price(mode, Neurons(), start(), t, **fixed_steps(mode, n))
            kept[mode].append(paid.kept)
            peak[mode].append(meter.peak)
    return kept, peak


@lru_cache(maxsize=1)
def _warm_up():
    """The first gradient of a process takes half a second longer than the others."""
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)
    for mode in GRADIENT_MODES:
        price(mode, Neurons(), start(), t, **fixed_steps(mode, 4))


@lru_cache(maxsize=256)
def all_prices(steps, leak):
    """For every mode the Price at `steps` fixed steps, and its error: against the exact gradient
    and against backpropagation through the same steps."""
    _warm_up()
    t, y0, own, rows = torch.tensor([0.0, T_END], dtype=torch.float64), start(), {}, {}
    for mode in GRADIENT_MODES:
        solver = fixed_steps(mode, steps)
        paid = price(mode, Neurons(leak), y0, t, **solver)
        method = solver["method"]
        if method not in own:
            own[method] = (
                paid if mode == "direct" else price("direct", Neurons(leak), y0, t, **solver)
            )
        rows[mode] = {
            **paid._asdict(),
            "error": relative_error(paid.gradient, exact_gradient(leak)),
            "own_error": relative_error(paid.gradient, own[method].gradient),
        }
    return rows


@explorable("06", "gradient_price")
def gradient_price():
    """Six gradients of the same loss: bytes kept, evaluations, and two errors."""

    def compute(mode, steps, leak):
        rows = all_prices(steps, leak)
        return {"mode": mode, "steps": steps, "leak": leak, "rows": rows, **rows[mode]}

    def draw(fig, data):
        draw_costs(fig, data["rows"], data["mode"])
        fig.axes[0].set_title(
            f"{data['mode']}, {data['steps']} steps, leak {data['leak']:.2f}: "
            f"{data['kept'] / 1024:.0f} KB kept, "
            f"NFE {data['forward']} + {data['backward']}, {1000 * data['seconds']:.0f} ms\n"
            f"error {data['error']:.0e}; {data['own_error']:.0e} against backprop through its own "
            "steps"
        )

    def describe(data):
        own = "equal to" if data["own_error"] < 1e-10 else f"{data['own_error']:.0e} from"
        return (
            f"{data['mode']}, {data['steps']} steps, leak {data['leak']:.2f}: "
            f"{data['kept'] / 1024:.0f} KB kept; "
            f"{data['forward']} evaluations forward, {data['backward']} backward; the gradient is "
            "off by "
            f"{data['error']:.0e}, and {own} backprop through its own steps."
        )

    return Explorable(
        compute,
        draw,
        describe,
        size=(8.8, 3.9),
        question="Predict first: twice as many steps. For which modes does the memory double? Whose error is worst?",
        controls={
            "mode": choice("gradient", list(GRADIENT_MODES), value="adjoint"),
            "steps": power_slider("steps", 8, 64, value=32),
            "leak": slider("leak", 0.0, 2.0, value=0.0, step=0.25),
        },
    )
