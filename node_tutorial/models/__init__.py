"""Models with a differential equation inside, and the nets that they are made of."""

from .augmented import AugmentedODE
from .cnf import CNF, Path, Penalized
from .continuous_vae import ContinuousVAE, Oscillator
from .diffusion import Diffusion
from .fields import MLP, ConvField, SecondOrder, TimedLayer, TimedMLP, VectorField
from .flows import Flowed, PlanarFlow, RealNVP, Sampled, normal_log_prob
from .gaussian_paths import PATHS, Denoised, GaussianPath, denoised, predicted
from .latent_ode import LatentODE
from .neural_ode import Cost, NeuralODE
from .ode_net import ODENet
from .ode_rnn import ODERNN, GRUWithGaps
from .regularization import Regularized, RegularizedODE, random_end
from .resnet import Residual, ResNet
from .samplers import SAMPLERS, Samples, exact_denoiser
from .trace import draw_noise, exact_trace, hutchinson_trace
from .vae import VAE, Autoencoder, gaussian_kl, reparameterize

__all__ = [
    "CNF",
    "MLP",
    "ODERNN",
    "PATHS",
    "SAMPLERS",
    "VAE",
    "AugmentedODE",
    "Autoencoder",
    "ContinuousVAE",
    "ConvField",
    "Cost",
    "Denoised",
    "Diffusion",
    "Flowed",
    "GRUWithGaps",
    "GaussianPath",
    "LatentODE",
    "NeuralODE",
    "ODENet",
    "Oscillator",
    "Path",
    "Penalized",
    "PlanarFlow",
    "RealNVP",
    "Regularized",
    "RegularizedODE",
    "ResNet",
    "Residual",
    "Sampled",
    "Samples",
    "SecondOrder",
    "TimedLayer",
    "TimedMLP",
    "VectorField",
    "denoised",
    "draw_noise",
    "exact_denoiser",
    "exact_trace",
    "gaussian_kl",
    "hutchinson_trace",
    "normal_log_prob",
    "predicted",
    "random_end",
    "reparameterize",
]
