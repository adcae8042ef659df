"""Models with a differential equation inside, and the nets that they are made of."""

from .augmented import AugmentedODE
from .autoregressive import Autoregressive, Drawn
from .causal_nets import CausalNet, MaskedMLP, Recurrent, Transformer, influence
from .cnf import CNF, Path, Penalized
from .continuous_vae import ContinuousVAE, Oscillator
from .controlled import NeuralCDE, cdeint
from .couplings import COUPLINGS, gaussian_map, paired_cost
from .diffusion import Diffusion
from .encoder_decoder import EncoderDecoder
from .fields import MLP, ConvField, SecondOrder, TimedLayer, TimedMLP, VectorField
from .flow_matching import FlowMatching, MarginalVelocity, between, loss_floor, way
from .flows import Flowed, PlanarFlow, RealNVP, Sampled, normal_log_prob
from .games import bilinear, dirac, play
from .gan import GAN, modes
from .gaussian_paths import PATHS, Denoised, GaussianPath, denoised, predicted
from .hamiltonian import HamiltonianNet, LagrangianNet
from .latent_ode import LatentODE
from .neural_ode import Cost, NeuralODE
from .ode_net import ODENet
from .ode_rnn import ODERNN, GRUWithGaps
from .pinn import (
    PINN,
    Condition,
    Marched,
    derivative,
    error_from_residual,
    march,
    ode_net,
    polish,
)
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
    "GAN",
    "MLP",
    "ODERNN",
    "PATHS",
    "PINN",
    "SAMPLERS",
    "VAE",
    "AugmentedODE",
    "Autoencoder",
    "Autoregressive",
    "CausalNet",
    "Condition",
    "ContinuousVAE",
    "ConvField",
    "Cost",
    "Denoised",
    "Diffusion",
    "Drawn",
    "EncoderDecoder",
    "FlowMatching",
    "Flowed",
    "GRUWithGaps",
    "GaussianPath",
    "HamiltonianNet",
    "LagrangianNet",
    "LatentODE",
    "Marched",
    "MarginalVelocity",
    "MaskedMLP",
    "NeuralCDE",
    "NeuralODE",
    "ODENet",
    "Oscillator",
    "Path",
    "Penalized",
    "PlanarFlow",
    "RealNVP",
    "Recurrent",
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
    "Transformer",
    "UNet",
    "VectorField",
    "between",
    "bilinear",
    "cdeint",
    "denoised",
    "derivative",
    "dirac",
    "draw_noise",
    "error_from_residual",
    "exact_denoiser",
    "exact_trace",
    "gaussian_kl",
    "gaussian_map",
    "hutchinson_trace",
    "influence",
    "loss_floor",
    "march",
    "modes",
    "normal_log_prob",
    "ode_net",
    "paired_cost",
    "play",
    "polish",
    "predicted",
    "random_end",
    "reparameterize",
    "way",
]
