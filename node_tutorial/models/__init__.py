"""Models with a differential equation inside, and the nets that they are made of."""

from .augmented import AugmentedODE
from .autoregressive import Autoregressive, Drawn
from .causal_nets import CausalNet, MaskedMLP, Recurrent, Transformer, influence
from .cnf import CNF, Path, Penalized
from .continuous_vae import ContinuousVAE, Oscillator
from .encoder_decoder import EncoderDecoder
from .fields import MLP, ConvField, SecondOrder, TimedLayer, TimedMLP, VectorField
from .flows import Flowed, PlanarFlow, RealNVP, Sampled, normal_log_prob
from .games import bilinear, dirac, play
from .gan import GAN, modes
from .gaussian_paths import PATHS, Denoised, GaussianPath, denoised, predicted
from .hamiltonian import HamiltonianNet, LagrangianNet
from .latent_ode import LatentODE
from .neural_ode import Cost, NeuralODE
from .ode_net import ODENet
from .ode_rnn import ODERNN, GRUWithGaps
from .regularization import Regularized, RegularizedODE, random_end
from .resnet import Residual, ResNet
from .trace import draw_noise, exact_trace, hutchinson_trace
from .vae import VAE, Autoencoder, gaussian_kl, reparameterize

__all__ = [
    "CNF",
    "GAN",
    "MLP",
    "ODERNN",
    "PATHS",
    "VAE",
    "AugmentedODE",
    "Autoencoder",
    "Autoregressive",
    "CausalNet",
    "ContinuousVAE",
    "ConvField",
    "Cost",
    "Denoised",
    "Drawn",
    "EncoderDecoder",
    "Flowed",
    "GRUWithGaps",
    "GaussianPath",
    "HamiltonianNet",
    "LagrangianNet",
    "LatentODE",
    "MaskedMLP",
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
    "Sampled",
    "SecondOrder",
    "TimedLayer",
    "TimedMLP",
    "Transformer",
    "VectorField",
    "bilinear",
    "denoised",
    "dirac",
    "draw_noise",
    "exact_trace",
    "gaussian_kl",
    "hutchinson_trace",
    "influence",
    "modes",
    "normal_log_prob",
    "play",
    "predicted",
    "random_end",
    "reparameterize",
]
