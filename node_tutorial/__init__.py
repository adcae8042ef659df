"""node_tutorial: solvers, gradients and models for neural ordinary differential equations, and the
course around them.

You may want another library. For production in PyTorch, torchdiffeq is the reference, and its calls
work here and there alike. For JAX, and for stochastic and controlled equations, diffrax. This
package is for reading, and for being fast enough that a lesson's experiments run while you watch.
"""

from .gradients import (
    GRADIENT_MODES,
    odeint_adjoint,
    odeint_checkpoint,
    odeint_interpolated,
    odeint_replay,
    odeint_reversible,
)
from .models import (
    CNF,
    MLP,
    ODERNN,
    VAE,
    AugmentedODE,
    ContinuousVAE,
    FlowMatching,
    LatentODE,
    NeuralCDE,
    NeuralODE,
    ODENet,
    PlanarFlow,
    RealNVP,
    ResNet,
    VectorField,
    cdeint,
)
from .solvers.brownian import BrownianPath
from .solvers.control import CONTROLLERS
from .solvers.errors import SolveError
from .solvers.methods.method import Method
from .solvers.methods.registry import METHODS, register_method
from .solvers.odeint import odeint, odeint_dense, odeint_event, solve
from .solvers.sdeint import sdeint
from .solvers.solution import Solution
from .solvers.tableaus import Tableau
from .training import History, Minibatches, fit

__version__ = "0.1.0"

__all__ = [
    "CNF",
    "CONTROLLERS",
    "GRADIENT_MODES",
    "METHODS",
    "MLP",
    "ODERNN",
    "VAE",
    "AugmentedODE",
    "BrownianPath",
    "ContinuousVAE",
    "FlowMatching",
    "History",
    "LatentODE",
    "Method",
    "Minibatches",
    "NeuralCDE",
    "NeuralODE",
    "ODENet",
    "PlanarFlow",
    "RealNVP",
    "ResNet",
    "Solution",
    "SolveError",
    "Tableau",
    "VectorField",
    "cdeint",
    "fit",
    "odeint",
    "odeint_adjoint",
    "odeint_checkpoint",
    "odeint_dense",
    "odeint_event",
    "odeint_interpolated",
    "odeint_replay",
    "odeint_reversible",
    "register_method",
    "sdeint",
    "solve",
]
