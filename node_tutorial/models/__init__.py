"""Models with a differential equation inside, and the nets that they are made of."""

from .fields import MLP, VectorField
from .neural_ode import Cost, NeuralODE
