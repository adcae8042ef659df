"""Lesson 10: the digits in ink and paper, how the lesson's nets are trained, and log p(x) found in
three ways.

All numbers are nats per image. With two latents, log p(x) is an integral over a plane, which a grid
does to four digits; so every bound has the exact value beside it.

The long runs, five minutes on one core:
- a VAE with 16 latents is trained with the bound of 50 draws in place of the ELBO, and judged by
  the bounds of 1, 5, 50 and 500 draws on the test images;
- rate, distortion, ELBO and log p(x) for each weight beta and each number of latents, three seeds;
- the VAE and the plain autoencoder with its Gaussian, two latents, trained three times as long.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from ... import History, Minibatches, fit
from ...course.runs import Run, Runs
from ...data import digits
from ...models.vae import VAE, Autoencoder, gaussian_kl, gaussian_log_prob, reparameterize
from ...training import linear
from ...training.precision import default_dtype

STEPS = 900
RATE = 1e-2
BATCH = 128
BETAS = (0.1, 0.3, 1.0, 3.0, 10.0)
KS = (1, 5, 50, 500)  # draws of the bounds
DRAWS = 1000  # that `importance_bounds` makes
GRID = 161  # points a side of a grid of latents
REACH = 6.0  # of a grid of latents, in standard deviations
SEED = 0
SEEDS = (0, 1, 2)
LONG = 2700  # updates of `trained_longer`

Loss = Callable[[Any, Tensor], Tensor]


class Images(NamedTuple):
    """x (N, 64) to train with, test (M, 64), and their labels (N,), (M,)."""

    x: Tensor
    label: Tensor
    test: Tensor
    test_label: Tensor


@lru_cache(maxsize=1)
def gray_digits() -> Images:
    """scikit-learn's digits with pixels between 0 and 1, in float64."""
    split = digits(normalize=False)
    x, test = (images.flatten(1).double() for images in (split.images, split.test_images))
    return Images(x, split.labels, test, split.test_labels)


@lru_cache(maxsize=1)
def ink_digits() -> Images:
    """The digits in 0 (paper) and 1 (ink, where a pixel has at least half of its dots)."""
    gray = gray_digits()
    return gray._replace(x=(gray.x >= 0.5).double(), test=(gray.test >= 0.5).double())


def train(
    model: Any,
    x: Tensor,
    loss: Loss | None = None,
    *,
    steps: int = STEPS,
    seed: int = SEED,
    on_step: Callable[[Any, History], Any] | None = None,
) -> History:
    """Train by Adam on batches of x, the rate falling to 0; `loss(model, x)`, by default the
    model's.
    """
    loss = loss or type(model).loss
    return fit(
        model,
        lambda model, batch: loss(model, batch[0]),
        steps,
        optimizer=torch.optim.Adam(model.parameters(), lr=RATE, fused=True),
        schedule=linear(steps),
        batches=Minibatches(x, size=BATCH, seed=seed),
        seed=seed,
        on_step=on_step,
        progress=False,
    )


def log_bernoulli(x: Tensor, logits: Tensor) -> Tensor:
    """log p(x | z) (...) of pixels x (..., D) that are 1 with probability sigmoid(logits)."""
    x, logits = torch.broadcast_tensors(x, logits)
    return -cross_entropy(logits, x, reduction="none").sum(-1)


def independent_pixels(x: Tensor, test: Tensor) -> float:
    """The mean log p(test) if every pixel is ink by itself, as often as in x (one count added to
    each side).
    """
    p = (x.sum(0) + 1) / (len(x) + 2)
    return log_bernoulli(test, torch.logit(p)).mean().item()


@torch.no_grad()
def integrated(
    log_likelihood: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    mean: Tensor | None = None,
    cov: Tensor | None = None,
    n: int = GRID,
) -> float:
    """The mean over x (B, D) of log p(x) = log of the integral of p(x | z) p(z) over the plane, on
    a grid of n x n.

    log_likelihood(x, z) -> log p(x | z), (B, G) for x (B, D) and z (G, 2).
    mean, cov: of the Gaussian p(z), by default N(0, I); the grid reaches six of its standard
    deviations.
    """
    line = torch.linspace(-REACH, REACH, n, dtype=x.dtype)
    unit = torch.cartesian_prod(line, line)
    log_weight = (
        -unit.square().sum(1) / 2 - math.log(2 * math.pi) + 2 * math.log(float(line[1] - line[0]))
    )
    z = unit if cov is None else mean + unit @ torch.linalg.cholesky(cov).T
    rows = [torch.logsumexp(log_likelihood(part, z) + log_weight, 1) for part in x.split(64)]
    return torch.cat(rows).mean().item()


def bernoulli_over(decoder: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """log p(x | z) for `integrated`, as two matrix products: x (B, D), z (G, 2) -> (B, G)."""

    def log_likelihood(x: Tensor, z: Tensor) -> Tensor:
        logits = decoder(z)
        return x @ logits.T + torch.nn.functional.logsigmoid(-logits).sum(1)

    return log_likelihood


def gaussian_over(model: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """The same for a Gaussian decoder."""

    def log_likelihood(x: Tensor, z: Tensor) -> Tensor:
        noise = model.log_noise.exp()
        return -(torch.cdist(x, model.decoder(z)) / noise).square() / 2 - x.shape[-1] * (
            noise.log() + math.log(2 * math.pi) / 2
        )

    return log_likelihood


@torch.no_grad()
def exact(model: VAE, x: Tensor, n: int = GRID) -> float:
    """The mean log p(x) of a VAE with two latents."""
    over = (
        bernoulli_over(model.decoder) if model.likelihood == "bernoulli" else gaussian_over(model)
    )
    return integrated(over, x, n=n)


@torch.no_grad()
def terms(model: VAE, x: Tensor, draws: int = 100) -> dict[str, float]:
    """Means over x: rate (the KL), distortion (minus the reconstruction), elbo."""
    torch.manual_seed(SEED)
    bound = model.elbo(x, draws)
    rate, distortion = bound.kl.mean().item(), -bound.reconstruction.mean().item()
    return {"rate": rate, "distortion": distortion, "elbo": -rate - distortion}


@torch.no_grad()
def latent_rates(model: VAE, x: Tensor) -> Tensor:
    """How many nats each latent says, (L,): the KL of its entry, the mean over x."""
    return gaussian_kl(*model.encode(x)).mean(0)


def no_digits() -> Tensor:
    """Two images (2, 64) that no training has seen: the left half in ink, and a chessboard."""
    row, column = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    return torch.stack([column < 4, (row // 2 + column // 2) % 2 == 0]).flatten(1).double()


def log_weights(model: VAE, x: Tensor, k: int) -> Tensor:
    """log of p(x | z) p(z) / q(z | x) for k draws of z from q, (k, B)."""
    mean, std = model.encode(x)

    def log_weight(z: Tensor) -> Tensor:
        log_prior = gaussian_log_prob(z, torch.zeros_like(z), torch.ones_like(std)).sum(-1)
        return model.log_prob(x, z) + log_prior - gaussian_log_prob(z, mean, std).sum(-1)

    z = reparameterize(mean.expand(k, *mean.shape), std)
    # In parts, for 1000 draws at once would take more than a gigabyte.
    return torch.cat([log_weight(part) for part in z.split(50)])


def importance_loss(k: int) -> Loss:
    """Minus the bound of Burda et al. 2016, equation 8: the log of the mean of k weights."""

    def loss(model: Any, x: Tensor) -> Tensor:
        return -(torch.logsumexp(log_weights(model, x, k), 0) - math.log(k)).mean()

    return loss


@torch.no_grad()
def importance_bounds(
    model: VAE, x: Tensor, ks: tuple[int, ...] = KS, draws: int = DRAWS
) -> dict[int, float]:
    """The bounds L_k by k, means over x and over as many groups of k as the draws make."""
    torch.manual_seed(SEED)
    log_w = log_weights(model, x, draws)
    groups = {k: log_w[: draws // k * k].reshape(-1, k, len(x)) for k in ks}
    return {
        k: (torch.logsumexp(group, 1) - math.log(k)).mean().item() for k, group in groups.items()
    }


def to_training_images(x: Tensor, images: Images) -> Tensor:
    """In how many pixels images x (N, 64) differ from the nearest training image; of gray ones, the
    mean number.
    """
    return torch.cdist(x, images.x, p=1).min(1).values


class Coder(Autoencoder):
    """The plain autoencoder for ink: what its decoder returns are logits, its loss is -log p(x |
    code).
    """

    def decode(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.decoder(z))

    def loss(self, x: Tensor) -> Tensor:
        return -log_bernoulli(x, self.decoder(self.encode(x))).mean()


# -- three mistakes, in the order of the lesson ----------------------------------------------------


def net_a(model: Any, x: Tensor) -> Tensor:
    """The image is compared with its code, not with what the decoder makes of it."""
    mean, std = model.encode(x)
    z = reparameterize(mean, std)
    return ((x - z).square() + gaussian_kl(mean, std)).sum(-1).mean()


def net_b(model: Any, x: Tensor) -> Tensor:
    """The KL is missing."""
    mean, std = model.encode(x)
    return -model.log_prob(x, reparameterize(mean, std)).mean()


def net_c(model: Any, x: Tensor) -> Tensor:
    """Sampling is left out: the decoder sees the mean."""
    mean, std = model.encode(x)
    return (gaussian_kl(mean, std).sum(-1) - model.log_prob(x, mean)).mean()


MISTAKES: dict[str, Loss] = {"A": net_a, "B": net_b, "C": net_c}


def decoder_gradient(model: Any, x: Tensor, mistake: str | None = None) -> Tensor | None:
    """The gradient of the loss that reaches the decoder's first layer, or None if none does."""
    loss = MISTAKES.get(mistake or "", VAE.loss)(model, x)
    return torch.autograd.grad(loss, model.decoder[0].weight, allow_unused=True)[0]


def trained(
    latent: int = 2,
    beta: float = 1.0,
    mistake: str | None = None,
    draws: int = 0,
    seed: int = SEED,
    steps: int = STEPS,
) -> tuple[VAE, History]:
    """A VAE of the ink digits and its history, trained once, in a few seconds.

    mistake: "A", "B" or "C"; draws: k, to train by the bound of so many draws.
    """
    return _trained(latent, float(beta), mistake, draws, seed, steps)


@lru_cache(maxsize=16)
def _trained(
    latent: int, beta: float, mistake: str | None, draws: int, seed: int, steps: int
) -> tuple[VAE, History]:
    loss = importance_loss(draws) if draws else MISTAKES.get(mistake or "")
    with default_dtype(torch.float64):
        torch.manual_seed(seed)
        model = VAE(64, latent, beta=beta)
        return model, train(model, ink_digits().x, loss, steps=steps, seed=seed)


@lru_cache(maxsize=4)
def trained_coder(latent: int, seed: int = SEED, steps: int = STEPS) -> tuple[Coder, History]:
    """The same for the plain autoencoder."""
    with default_dtype(torch.float64):
        torch.manual_seed(seed)
        model = Coder(64, latent)
        return model, train(model, ink_digits().x, steps=steps, seed=seed)


@lru_cache(maxsize=2)
def trained_gaussian(latent: int) -> tuple[VAE, History]:
    """The same for a VAE of gray digits with a Gaussian decoder, whose noise is learned."""
    with default_dtype(torch.float64):
        torch.manual_seed(SEED)
        model = VAE(64, latent, likelihood="gaussian", noise=0.3)
        return model, train(model, gray_digits().x)


def probabilistic_pca(x: Tensor, test: Tensor, latent: int) -> float:
    """The mean log p(test) of the best linear generator with so many latents, exact (Tipping,
    Bishop 1999).

    p(x) = N(mean, W W^T + s^2 I), where s^2 is the mean of the covariance's smallest eigenvalues.
    """
    mean = x.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(x.T, correction=0))
    noise = values[:-latent].mean()
    widths = torch.cat([noise.expand(len(values) - latent), values[-latent:]])
    normal = torch.distributions.MultivariateNormal(mean, vectors @ torch.diag(widths) @ vectors.T)
    return normal.log_prob(test).mean().item()


# -- what is stored --------------------------------------------------------------------------------


class Setting(NamedTuple):
    """A VAE with so many latents, trained by the bound of so many draws."""

    latent: int
    draws: int


def bounds_of(setting: Setting, seeds: tuple[int, ...]) -> dict[str, dict[int, float]]:
    """`importance_bounds` on the test images of a VAE trained by a bound."""
    model, _ = trained(setting.latent, draws=setting.draws)
    bounds = importance_bounds(model, ink_digits().test)
    return {"bounds": {k: round(value, 4) for k, value in bounds.items()}}


class Judged(NamedTuple):
    """A VAE of 900 updates with so many latents, trained with so much weight on the rate."""

    latent: int = 2
    beta: float = 1.0

    @property
    def name(self) -> str:
        return f"{self.latent} latents, beta {self.beta:g}"


JUDGED = (*(Judged(beta=beta) for beta in BETAS), Judged(16), Judged(64))


def terms_of(setting: Judged, seeds: tuple[int, ...]) -> dict[str, list[float]]:
    """`terms` on the test images, and log p(x) for two latents: lists over the seeds."""
    rows: dict[str, list[float]] = {}
    for seed in seeds:
        model, _ = trained(setting.latent, setting.beta, seed=seed)
        found = terms(model, ink_digits().test)
        if setting.latent == 2:
            found["exact"] = exact(model, ink_digits().test)
        for key, value in found.items():
            rows.setdefault(key, []).append(round(value, 4))
    return rows


def trained_longer(name: str, seeds: tuple[int, ...]) -> dict[str, list[float]]:
    """With two latents and 2700 updates, of the test images: the VAE's ELBO and log p(x), and
    log p(x) of the plain autoencoder with a Gaussian fitted to its codes; lists over the seeds.
    """
    images = ink_digits()
    rows: dict[str, list[float]] = {"elbo": [], "vae": [], "plain": []}
    for seed in seeds:
        model, _ = trained(seed=seed, steps=LONG)
        coder, _ = trained_coder(2, seed=seed, steps=LONG)
        rows["elbo"].append(round(terms(model, images.test)["elbo"], 4))
        rows["vae"].append(round(exact(model, images.test), 4))
        rows["plain"].append(round(with_gaussian(coder, images), 4))
    return rows


@torch.no_grad()
def with_gaussian(coder: Autoencoder, images: Images) -> float:
    """The mean log p(x) of the test images, of a plain autoencoder with two latents whose codes
    are drawn from the Gaussian that fits those of the training images.
    """
    codes = coder.encode(images.x)
    over = bernoulli_over(coder.decoder)
    return integrated(over, images.test, mean=codes.mean(0), cov=torch.cov(codes.T))


def results(anew: bool = False) -> dict[str, dict[str, Any]]:
    """What is stored, by name; anew: everything is trained again, five minutes, nothing stored."""
    if not anew:
        return RUNS.numbers()
    return {name: run.make(run.settings, run.seeds) for name, run in RUNS.results.items()}


def stored_bounds() -> dict[int, float]:
    """`importance_bounds` on the test images of the stored VAE, which takes longer to train than a
    lesson should: k -> nats.
    """
    return {int(k): value for k, value in RUNS.numbers()["16 latents, 50 draws"]["bounds"].items()}


RUNS = Runs(
    "autoencoders",
    protocol={"STEPS": STEPS, "RATE": RATE, "BATCH": BATCH, "DRAWS": DRAWS, "KS": KS},
    results={
        "16 latents, 50 draws": Run(bounds_of, Setting(latent=16, draws=50), (SEED,)),
        **{setting.name: Run(terms_of, setting, SEEDS) for setting in JUDGED},
        f"{LONG} updates": Run(trained_longer, f"{LONG} updates", SEEDS),
    },
)
