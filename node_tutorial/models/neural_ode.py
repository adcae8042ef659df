"""A neural ODE: a solve as a layer."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor, nn

from ..gradients import GRADIENT_MODES
from ..solvers.inputs import State
from ..solvers.integrate import Stats
from ..solvers.methods.registry import check_method
from ..solvers.odeint import solve


class Cost(NamedTuple):
    """What the last solve of a model cost: evaluations of the field, forward and, so far, backward."""

    nfe: int = 0
    nfe_backward: int = 0


class NeuralODE(nn.Module):
    """y(t) for given y(t_0), where dy/dt = func(t, y).

    Args:
        func: the vector field, a module; t is a 0-d tensor, y like y0. For instance
        `VectorField(MLP(2, 32, 2))`.
        method, rtol, atol, options: of the solver, as for `odeint`.
        gradient: one of GRADIENT_MODES.
        compiled: solve by a compiled program, as with `options={"compile": True}`; its gradient
            replays the steps, is exact, and reaches every tensor that func uses. Compilation takes
            seconds, at the first solve, and for every other shape or number of times: for trainings
                of thousands of steps. See docs/compiled.md.

    The default gradient is "direct", automatic differentiation through the steps. It is exact for
    the computed solution, works with every method, reaches every tensor that func uses, and was the
    quickest for every field that we measured; its price is memory, for all that the steps compute.
    Where memory is what you lack, change to "replay" or "checkpoint" first, which are exact too,
    then to "adjoint". Other modes than "direct" know func's parameters only.

    (Measured forward and backward, dopri5, float32, one CPU thread, as direct : replay : checkpoint
    : adjoint. Field 2-50-2, batch 20: time 1 : 1.2 : 1.3 : 1.5, kept for backward 79 : 0.3 : 0 :
    0.3 KB. Field 64-256-64, batch 256: 1 : 1.4 : 1.6 : 1.8, and 6200 : 260 : 0 : 130 KB. With 60
    observation times direct : adjoint is 1 : 20.)

    Attributes:
        stats: `Cost` of the last solve; `stats.nfe_backward` counts the evaluations of its backward
            passes, 0 for "direct", which evaluates nothing anew.

    Raises:
        TypeError: if func is no module. ValueError: for an unknown method or gradient; or if
            compiled with another gradient than "direct".

    Source: Chen, Rubanova, Bettencourt, Duvenaud 2018, arXiv 1806.07366.

        >>> import torch
        >>> from node_tutorial.models import MLP, VectorField
        >>> model = NeuralODE(VectorField(MLP(2, 32, 2)))
        >>> states = model(torch.ones(5, 2), torch.linspace(0, 1, 11))
        >>> states.shape
        torch.Size([11, 5, 2])
        >>> states.square().mean().backward()
        >>> model.stats.nfe > 0, model.stats.nfe_backward
        (True, 0)
    """

    def __init__(
        self,
        func: nn.Module,
        *,
        method: str = "dopri5",
        rtol: Any = 1e-3,
        atol: Any = 1e-4,
        gradient: str = "direct",
        options: dict | None = None,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(func, nn.Module):
            raise TypeError(
                f"func must be an nn.Module with forward(t, y), got {type(func).__name__}; "
                "wrap a net that takes y alone: VectorField(net)"
            )
        if gradient not in GRADIENT_MODES:
            raise ValueError(
                f"gradient must be one of {', '.join(GRADIENT_MODES)}, got {gradient!r}"
            )
        if compiled and gradient != "direct":
            raise ValueError(
                "compiled=True has a gradient of its own, which replays the steps; leave "
                f"gradient={gradient!r} out"
            )
        self.func, self.gradient, self.compiled = func, gradient, compiled
        self.method, self.rtol, self.atol, self.options = check_method(method), rtol, atol, options
        self._calls: _Calls | Stats = _Calls()
        self._forward_calls = 0

    def forward(self, y0: State, t: Tensor) -> Any:
        """The states (T, *y0.shape) at the times t (T,), of which t[0] is that of y0; a tuple of
        them for a tuple y0.

        Raises:
            SolveError: if the solve cannot go on.
        """
        if self.compiled:
            options = (self.options or {}) | {"compile": True}
            solution = solve(
                self.func,
                y0,
                t,
                method=self.method,
                rtol=self.rtol,
                atol=self.atol,
                options=options,
            )
            self._calls, self._forward_calls = solution.stats, solution.stats.nfe
            return solution.y
        self._calls, self._forward_calls = (
            _Calls(),
            0,
        )  # a new count: an earlier solve's backward may be yet to come
        y = GRADIENT_MODES[self.gradient](
            _Counted(self.func, self._calls),
            y0,
            t,
            method=self.method,
            rtol=self.rtol,
            atol=self.atol,
            options=self.options,
        )
        self._forward_calls = self._calls.nfe
        return y

    @property
    def stats(self) -> Cost:
        return Cost(self._forward_calls, self._calls.nfe - self._forward_calls)

    def extra_repr(self) -> str:
        how = "compiled=True" if self.compiled else f"gradient={self.gradient!r}"
        return f"method={self.method!r}, rtol={self.rtol}, atol={self.atol}, {how}"


@dataclass
class _Calls:
    nfe: int = 0


class _Counted(nn.Module):
    """func, with its calls counted: a module, so that a gradient mode finds the parameters."""

    def __init__(self, func: nn.Module, calls: _Calls) -> None:
        super().__init__()
        self.func, self.calls = func, calls

    def forward(self, t: Tensor, y: Any) -> Any:
        self.calls.nfe += 1
        return self.func(t, y)
