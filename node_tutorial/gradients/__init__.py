"""Ways to differentiate a solve, one per file, each a function like `odeint`; GRADIENT_MODES.

- direct: `odeint` itself, autograd through everything that was computed; exact, memory for all of
  it.
- adjoint: a second ODE backwards in time, the state solved along with it; memory flat in the steps.
- interpolated: the same, with the state read from the kept polynomials of the steps.
- replay: the recorded steps redone one by one; exact, memory for two states a step.
- checkpoint: the same from a few kept states; exact, memory for sqrt(steps) states; evaluates more.
- reversible: steps of a reversible method, undone one by one; exact, memory flat in the steps.

"Exact" means the gradient of the computed solution, equal to that of direct to rounding. All but
direct take `adjoint_params`, the tensors that get gradients besides y0 and t, where func is no
module; refuse fields that change from call to call (`recorded.check_field`); and, where a gradient
is to be differentiated itself, solve once more with a graph. A parameter that func does not use
gets zero from adjoint and interpolated, None from the others. A `Stats` given as `stats` gets the
cost of the solve, and, as backward passes are made, their evaluations of func.
"""

from collections.abc import Callable

from ..solvers.odeint import odeint
from .adjoint import odeint_adjoint
from .checkpoint import odeint_checkpoint
from .interpolated import odeint_interpolated
from .replay import odeint_replay
from .reversible import odeint_reversible

GRADIENT_MODES: dict[str, Callable] = {
    "direct": odeint,
    "adjoint": odeint_adjoint,
    "interpolated": odeint_interpolated,
    "replay": odeint_replay,
    "checkpoint": odeint_checkpoint,
    "reversible": odeint_reversible,
}

__all__ = [
    "GRADIENT_MODES",
    "odeint_adjoint",
    "odeint_checkpoint",
    "odeint_interpolated",
    "odeint_replay",
    "odeint_reversible",
]
