"""node_tutorial: solvers, gradients and models for neural ordinary differential equations, and the course around them.

You may want another library. For production in PyTorch, torchdiffeq is the reference, and its calls work here and
there alike. For JAX, and for stochastic and controlled equations, diffrax. This package is for reading, and for being
fast enough that a lesson's experiments run while you watch.
"""

from .gradients.adjoint import odeint_adjoint
from .solvers.control import CONTROLLERS
from .solvers.errors import SolveError
from .solvers.methods import METHODS, register_method
from .solvers.odeint import odeint, odeint_dense, odeint_event, solve
from .solvers.solution import Solution
from .solvers.tableaus import Tableau

__version__ = "0.1.0"

__all__ = [
    "CONTROLLERS",
    "METHODS",
    "Solution",
    "SolveError",
    "Tableau",
    "odeint",
    "odeint_adjoint",
    "odeint_dense",
    "odeint_event",
    "register_method",
    "solve",
]
