"""Stochastic equations dX = f(t, X) dt + g(t, X) dW with noise of its own for each entry of X.

What g dW means has to be said: where in a step is g read? At its beginning (Ito), in the middle
(Stratonovich), or at the share lambda of the step between:

    X(t + h) - X(t) = f h + g(X(t) + lambda (X(t + h) - X(t))) dW,     h -> 0

The reading lambda is worth a drift: the Ito equation with f + lambda g dg/dx has the same
solutions. So a method solves the equation in its own reading, and `read_as` turns one into another.

Source: Kloeden and Platen 1992, "Numerical solution of stochastic differential equations", sections
4.9, 9.1, 10.2, 10.3; Heun's: Ruemelin 1982, SIAM J. Numer. Anal. 19.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Coefficient = Callable[[Tensor, Tensor], Tensor]
Step = Callable[[Coefficient, Coefficient, Tensor, Tensor, Tensor, Tensor], Tensor]


def euler_maruyama(
    f: Coefficient, g: Coefficient, t: Tensor, x: Tensor, h: Tensor, dw: Tensor
) -> Tensor:
    """x + f h + g dW. Source: Maruyama 1955."""
    return x + f(t, x) * h + g(t, x) * dw


def milstein(f: Coefficient, g: Coefficient, t: Tensor, x: Tensor, h: Tensor, dw: Tensor) -> Tensor:
    """x + f h + g dW + g dg/dx (dW^2 - h) / 2: what g changes by within the step, too.

    Source: Milstein 1974.
    """
    gdg = noise_drift(g, t, x)
    return x + f(t, x) * h + g(t, x) * dw + gdg * (dw**2 - h) / 2


def heun(f: Coefficient, g: Coefficient, t: Tensor, x: Tensor, h: Tensor, dw: Tensor) -> Tensor:
    """The mean of f h + g dW at the beginning and at where Euler's step would end."""
    move = f(t, x) * h + g(t, x) * dw
    there = x + move
    return x + (move + f(t + h, there) * h + g(t + h, there) * dw) / 2


class SDEMethod(NamedTuple):
    """A step; lambda of the equation that it solves, 0 for Ito, 1/2 for Stratonovich; its orders,
    for smooth f and g: strong, E|X - exact| at a time; weak, |E phi(X) - E phi(exact)|.
    """

    step: Step
    reading: float
    strong: float
    weak: float


SDE_METHODS: dict[str, SDEMethod] = {
    "euler_maruyama": SDEMethod(euler_maruyama, 0.0, 0.5, 1.0),
    "milstein": SDEMethod(milstein, 0.0, 1.0, 1.0),
    "heun": SDEMethod(heun, 0.5, 1.0, 1.0),
}


def sdeint(
    drift: Coefficient,
    diffusion: Coefficient,
    x0: Tensor,
    t: Tensor,
    noise: Callable[[Tensor], Tensor],
    *,
    method: str = "euler_maruyama",
) -> Tensor:
    """States (T, *x0.shape) at the times t, one step between two of them.

    Args:
        drift, diffusion: f and g, (t 0-d, x) -> shaped as x. In the reading of the method: Ito's
            for "euler_maruyama" and "milstein", Stratonovich's for "heun"; `read_as` turns them.
        x0: the state at t[0], floats of any shape; the noise is taken in its dtype.
        t: (T,), increasing: the steps.
        noise: W(t), such as a `BrownianPath`: (T,) -> (T, *x0.shape). It is asked once for all t.
        method: one of SDE_METHODS. Milstein's needs a g whose entry i depends on entry i of x only,
            and one that autograd can differentiate.

    Differentiable with respect to x0 and whatever f and g use, the noise being held fixed.

    Raises:
        ValueError: for an unknown method, an x0 of integers, times that do not increase, or noise
            of another shape.

        >>> from node_tutorial.solvers.brownian import BrownianPath
        >>> t = torch.linspace(0, 1, 9, dtype=torch.float64)
        >>> x0 = torch.ones(5, dtype=torch.float64)
        >>> sdeint(lambda t, x: -x, lambda t, x: 0.5 * x, x0, t, BrownianPath(0, 1, (5,))).shape
        torch.Size([9, 5])
    """
    if method not in SDE_METHODS:
        raise ValueError(f"method must be one of {', '.join(SDE_METHODS)}, got {method!r}")
    if t.dim() != 1 or len(t) < 2 or not (t.diff() > 0).all():
        raise ValueError(f"t must be (T,), at least two times that increase, got {tuple(t.shape)}")
    if not (x0.is_floating_point() or x0.is_complex()):
        raise ValueError(f"x0 must be floats, for the noise is taken in its dtype, got {x0.dtype}")
    w = noise(t)
    if w.shape != (len(t), *x0.shape):
        raise ValueError(
            f"noise must give W {(len(t), *x0.shape)}, as x0 at each time, got {tuple(w.shape)}"
        )
    step = SDE_METHODS[method].step
    states = [x0]
    for now, h, dw in zip(t[:-1], t.diff(), w.diff(dim=0).to(x0)):
        states.append(step(drift, diffusion, now, states[-1], h, dw))
    return torch.stack(states)


def read_as(drift: Coefficient, diffusion: Coefficient, given: float, wanted: float) -> Coefficient:
    """The drift with which the equation means, read at `wanted`, what it meant, read at `given`:
    f + (given - wanted) g dg/dx. 0 is Ito's reading, 1/2 Stratonovich's, 1 the end of the step.

    Raises:
        ValueError: for a reading that is not from 0 to 1.
    """
    for name, reading in (("given", given), ("wanted", wanted)):
        if not 0 <= reading <= 1:
            raise ValueError(f"{name} must be from 0, Ito's, to 1, got {reading}")
    if given == wanted:
        return drift

    def turned(t: Tensor, x: Tensor) -> Tensor:
        return drift(t, x) + (given - wanted) * noise_drift(diffusion, t, x)

    return turned


def noise_drift(diffusion: Coefficient, t: Tensor, x: Tensor) -> Tensor:
    """g dg/dx at (t, x), entry by entry, for a g whose entry i depends on entry i of x only."""
    linked = torch.is_grad_enabled() and diffusion(t, x).requires_grad
    with torch.enable_grad():
        y = x if linked and x.requires_grad else x.detach().requires_grad_()
        g = diffusion(t, y)
        if not g.requires_grad:  # it depends on nothing
            return torch.zeros_like(x)
        (slope,) = torch.autograd.grad(
            g.sum(), y, create_graph=linked, allow_unused=True, materialize_grads=True
        )
    product = g * slope
    return product if linked else product.detach()
