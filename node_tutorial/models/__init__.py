"""Models with a differential equation inside, and the nets that they are made of."""

from .augmented import AugmentedODE
from .cnf import CNF, Path, Penalized
from .continuous_vae import ContinuousVAE, Oscillator
from .couplings import COUPLINGS, gaussian_map, paired_cost
from .diffusion import Diffusion
from .fields import MLP, ConvField, SecondOrder, TimedLayer, TimedMLP, VectorField
from .flow_matching import FlowMatching, MarginalVelocity, between, loss_floor, way
from .flows import Flowed, PlanarFlow, RealNVP, Sampled, normal_log_prob
from .gaussian_paths import PATHS, Denoised, GaussianPath, denoised, predicted
from .latent_ode import LatentODE
from .neural_ode import Cost, NeuralODE
from .ode_net import ODENet
from .ode_rnn import ODERNN, GRUWithGaps
from .regularization import Regularized, RegularizedODE, random_end
from .residual_mlp import ResidualMLP
from .resnet import Residual, ResNet
from .samplers import SAMPLERS, Samples, exact_denoiser
from .trace import draw_noise, exact_trace, hutchinson_trace
from .unet import UNet
from .vae import VAE, Autoencoder, gaussian_kl, reparameterize

__all__ = [
    "CNF",
    "COUPLINGS",
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
    "FlowMatching",
    "Flowed",
    "GRUWithGaps",
    "GaussianPath",
    "LatentODE",
    "MarginalVelocity",
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
    "ResidualMLP",
    "Sampled",
    "Samples",
    "SecondOrder",
    "TimedLayer",
    "TimedMLP",
    "UNet",
    "VectorField",
    "between",
    "denoised",
    "draw_noise",
    "exact_denoiser",
    "exact_trace",
    "gaussian_kl",
    "gaussian_map",
    "hutchinson_trace",
    "loss_floor",
    "normal_log_prob",
    "paired_cost",
    "predicted",
    "random_end",
    "reparameterize",
    "way",
]
