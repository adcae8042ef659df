"""A neural ODE: a solve as a layer."""

from typing import Any, NamedTuple

from torch import Tensor, nn

from ..gradients import GRADIENT_MODES
from ..solvers.inputs import State
from ..solvers.methods.registry import check_method
from ..solvers.statistics import Stats


class Cost(NamedTuple):
    """What a model's last solve cost: evaluations of the field, forward and, so far, backward."""

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
        self.func = func
        self.method = check_method(method)
        self.rtol = rtol
        self.atol = atol
        self.gradient = gradient
        self.options = options
        self.compiled = compiled
        self._cost = Stats()
        self._forward_nfe = 0

    def forward(self, y0: State, t: Tensor) -> Any:
        """The states (T, *y0.shape) at the times t (T,), of which t[0] is that of y0; a tuple of
        them for a tuple y0.

        Raises:
            SolveError: if the solve cannot go on.
        """
        return self._solve(self.func, y0, t, self.rtol, self.atol)

    def _solve(self, func: nn.Module, y0: State, t: Tensor, rtol: Any, atol: Any) -> Any:
        options = self.options
        if self.compiled:
            options = (options or {}) | {"compile": True}
        # A new count: an earlier solve's backward may be yet to come, and has its own.
        self._cost = Stats()
        self._forward_nfe = 0
        try:
            return GRADIENT_MODES[self.gradient](
                func,
                y0,
                t,
                method=self.method,
                rtol=rtol,
                atol=atol,
                options=options,
                stats=self._cost,
            )
        finally:
            self._forward_nfe = self._cost.nfe

    @property
    def stats(self) -> Cost:
        return Cost(self._forward_nfe, self._cost.nfe - self._forward_nfe)

    def with_field(self, func: nn.Module) -> "NeuralODE":
        """Another field, solved in the same way."""
        return NeuralODE(
            func,
            method=self.method,
            rtol=self.rtol,
            atol=self.atol,
            gradient=self.gradient,
            options=self.options,
            compiled=self.compiled,
        )

    def extra_repr(self) -> str:
        how = "compiled=True" if self.compiled else f"gradient={self.gradient!r}"
        return f"method={self.method!r}, rtol={self.rtol}, atol={self.atol}, {how}"
