"""Exercises of lesson 10. A solution that is a function has the signature of the lesson's stub."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from ...course.answers import array, function, number
from ...course.exercises import Exercise, Mistake, register


def kl(mean, std):
    return (mean**2 + std**2 - 1) / 2 - math.log(std)


register(
    Exercise(
        "10.1",
        "The KL of two Gaussians",
        kind=function((1.0, 0.5), (0.0, 1.0), (-2.0, 0.1), (0.3, 3.0)),
        solution=kl,
        mistakes=[
            Mistake(
                "std read as variance",
                lambda mean, std: (mean**2 + std - 1) / 2 - math.log(std) / 2,
                "You treat `std` as the variance. Its square is that.",
            ),
            Mistake(
                "log of the variance",
                lambda mean, std: (mean**2 + std**2 - 1) / 2 - math.log(std**2),
                "The logarithm is twice too large: it is log std, or half of log std².",
            ),
            Mistake(
                "half of the log",
                lambda mean, std: (mean**2 + std**2 - 1 - math.log(std)) / 2,
                "Half of the logarithm is missing: 1/2 times log std² is log std.",
            ),
            Mistake(
                "sign of the log",
                lambda mean, std: (mean**2 + std**2 - 1) / 2 + math.log(std),
                "The sign of the logarithm: a narrow q costs more, not less.",
            ),
            Mistake(
                "no half",
                lambda mean, std: 2 * kl(mean, std),
                "Twice too much: the logarithm of a Gaussian density has a factor 1/2.",
            ),
            Mistake(
                "negative",
                lambda mean, std: -kl(mean, std),
                "A KL is never negative. Yours is the term as the ELBO adds it.",
            ),
            Mistake(
                "the other way round",
                lambda mean, std: math.log(std) + (1 + mean**2) / (2 * std**2) - 0.5,
                "That is KL(p || q). In KL(q || p) the mean is taken over q.",
            ),
            Mistake(
                "mean not squared",
                lambda mean, std: (mean + std**2 - 1) / 2 - math.log(std),
                "The mean enters squared: -1 is as far as 1.",
            ),
            Mistake(
                "one forgotten",
                lambda mean, std: (mean**2 + std**2) / 2 - math.log(std),
                "For q = p it must be 0. A constant is missing.",
            ),
        ],
        hints=[
            "Write both logarithms of densities, and subtract: log q(z) - log p(z).",
            "Take the mean over q of each square: the mean of (z - mean)² is std², "
            "that of z² is mean² + std².",
            "It is half of (mean² + std² - 1), less one more term that is 0 for std = 1.",
        ],
        otherwise="Check it: 0 for mean 0 and std 1, never negative, and equal for mean and -mean.",
        meaning=(
            "kl(1, 0.5) is 0.818147 nats. `torch.distributions.kl_divergence` says the same, and "
            "`gaussian_kl` of the package is this line for tensors."
        ),
    )
)


def gradient(mean, std, noise):
    mean = torch.tensor(mean, dtype=noise.dtype, requires_grad=True)
    std = torch.tensor(std, dtype=noise.dtype, requires_grad=True)
    z = mean + std * noise
    return torch.autograd.grad(z.square().mean(), (mean, std))


def _gradient_score(mean: float, std: float, noise: Tensor) -> list[Tensor]:
    square = (mean + std * noise) ** 2
    return [(square * noise / std).mean(), (square * (noise**2 - 1) / std).mean()]


def _gradient_variance(mean: float, std: float, noise: Tensor) -> list[Tensor]:
    z = mean + std**2 * noise
    return [(2 * z).mean(), (2 * z * 2 * std * noise).mean()]


def _gradient_of_the_mean(mean: float, std: float, noise: Tensor) -> list[Tensor]:
    z = (mean + std * noise).mean()
    return [2 * z, 2 * z * noise.mean()]


_NOISE = torch.randn(200, generator=torch.Generator().manual_seed(10), dtype=torch.float64)

register(
    Exercise(
        "10.2",
        "A gradient through a draw",
        kind=function(
            (1.0, 0.5, _NOISE),
            (-2.0, 1.5, _NOISE[:50]),
            (0.0, 0.3, _NOISE[50:]),
            returns=array((2,)),
        ),
        solution=gradient,
        mistakes=[
            Mistake(
                "score function",
                _gradient_score,
                "That is the estimate by the score function: right in the mean, but far noisier. "
                "Let the gradient go through z.",
            ),
            Mistake(
                "exact",
                lambda mean, std, noise: [2 * mean, 2 * std],
                "That is the exact gradient. Asked is the estimate from the draws in `noise`, as "
                "a training has it.",
            ),
            Mistake(
                "std squared",
                _gradient_variance,
                "z = mean + std e: std, not its square, multiplies the noise.",
            ),
            Mistake(
                "sum",
                lambda mean, std, noise: [g * len(noise) for g in gradient(mean, std, noise)],
                "You have the sum over the draws. Take their mean.",
            ),
            Mistake(
                "the other order",
                lambda mean, std, noise: gradient(mean, std, noise)[::-1],
                "These are the two, in the other order.",
            ),
            Mistake(
                "half",
                lambda mean, std, noise: [g / 2 for g in gradient(mean, std, noise)],
                "Half of it: the function is z², not z²/2.",
            ),
            Mistake(
                "noise forgotten",
                lambda mean, std, noise: [(2 * (mean + std * noise)).mean()] * 2,
                "The second is d/dz, not d/dstd: z moves by e when std moves by 1.",
            ),
            Mistake(
                "square of the mean",
                _gradient_of_the_mean,
                "You square the mean of z. Asked is the mean of the squares.",
            ),
        ],
        hints=[
            "Make tensors of mean and std that require gradients, then z from them and from noise.",
            "`torch.autograd.grad(z.square().mean(), (mean, std))`",
            "If autograd says that nothing requires a gradient, "
            "z was drawn (`.sample()`) and not computed.",
        ],
        otherwise=(
            "Use the given noise, one z for each of its entries, "
            "and return the two gradients of the mean of z²."
        ),
        meaning=(
            "With more and more draws they tend to (2 mean, 2 std): by the chain rule they are the "
            "means of 2 z and of 2 z e. In torch.distributions, `.rsample()` keeps this path and "
            "`.sample()` cuts it."
        ),
    )
)


def causes() -> Tensor:
    return torch.tensor([3, 1, 2])


register(
    Exercise(
        "10.3",
        "Three nets, three causes",
        kind=array((3,), wanted="three numbers of causes, for A, B and C"),
        solution=causes,
        mistakes=[
            Mistake(
                "B and C swapped",
                [3, 2, 1],
                "A is right. Now look at the codes of B and C: who has no reason to stay near 0?",
            ),
            Mistake(
                "learning rate",
                [4, 1, 2],
                "B and C are right. A learning rate spoils encoder and decoder alike. "
                "Look at the codes of A.",
            ),
            Mistake(
                "learning rate for C",
                [3, 1, 4],
                "A and B are right. C returns the images without a fault, so its training went "
                "well. What has its decoder never seen?",
            ),
            Mistake(
                "learning rate for B",
                [3, 4, 2],
                "A and C are right. B returns the images without a fault, so its training went "
                "well. What lets its codes go so far out?",
            ),
            Mistake(
                "A and B swapped",
                [1, 3, 2],
                "C is right. B decodes its codes well, so its decoder was compared "
                "with the images.",
            ),
            Mistake(
                "A and C swapped",
                [2, 1, 3],
                "B is right. C decodes its codes well, so its decoder was compared "
                "with the images.",
            ),
            Mistake(
                "rotated",
                [1, 2, 3],
                "Not one is right. In which net has the decoder learned nothing?",
            ),
            Mistake(
                "rotated the other way",
                [2, 3, 1],
                "Not one is right. In which nets does the decoder work? "
                "Those were compared with the images.",
            ),
        ],
        hints=[
            "Which net has a decoder that never learned? Nothing of its output can be in the loss.",
            "Whose codes lie far outside of the circles? Nothing has pulled them in.",
            "Whose draws of q are decoded badly, while the means are decoded well? The decoder "
            "has never seen a draw.",
        ],
        otherwise="Compare the second row, the third row, and the spread of the codes, net by net.",
        meaning=(
            "Each mistake has its own symptom, and no loss curve alone would have told: two of the "
            "three end lower than the right net's."
        ),
    )
)


def loss(x, logits, mean, log_var):
    reconstruction = -cross_entropy(logits, x, reduction="none").sum(-1)
    kl = -0.5 * (1 + log_var - mean**2 - log_var.exp()).sum(-1)
    return (kl - reconstruction).mean()


def _of(combine: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """A wrong loss, combine(cross-entropies (B, 64), KLs (B, L))."""

    def loss(x: Tensor, logits: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
        entries = cross_entropy(logits, x, reduction="none")
        return combine(entries, -0.5 * (1 + log_var - mean**2 - log_var.exp()))

    return loss


def _of_log_std(x: Tensor, logits: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    return loss(x, logits, mean, 2 * log_var)


def _batch(seed: int, rows: int, pixels: int, latent: int) -> tuple[Tensor, ...]:
    """Pixels (rows, pixels) and logits for them, means and log-variances (rows, latent)."""
    chance = torch.Generator().manual_seed(seed)

    def draw(width: int) -> Tensor:
        return torch.randn(rows, width, generator=chance, dtype=torch.float64)

    return (draw(pixels) > 0).double(), draw(pixels), draw(latent), draw(latent)


register(
    Exercise(
        "10.4",
        "Find the bugs",
        kind=function(
            _batch(0, 5, 64, 3), _batch(1, 3, 64, 2), returns=number("a tensor with one number")
        ),
        solution=loss,
        mistakes=[
            Mistake(
                "as given",
                _of(lambda entries, kl: entries.mean() - kl.sum(-1).mean()),
                "That is the code as it was, with both bugs.",
            ),
            Mistake(
                "mean over pixels",
                _of(lambda entries, kl: entries.mean() + kl.sum(-1).mean()),
                "One bug is left. The cross-entropy is a mean over pixels, the KL a sum over "
                "latents: the KL weighs 64 times too much.",
            ),
            Mistake(
                "sign",
                _of(lambda entries, kl: (entries.sum(-1) - kl.sum(-1)).mean()),
                "One bug is left: a loss that falls without end. Which sign has the KL?",
            ),
            Mistake(
                "sum over the batch",
                _of(lambda entries, kl: entries.sum() + kl.sum()),
                "Nats per image: sum over pixels and latents, mean over images.",
            ),
            Mistake(
                "KL as a mean",
                _of(lambda entries, kl: entries.sum(-1).mean() + kl.mean()),
                "The KL of independent entries is the sum over them, not the mean.",
            ),
            Mistake(
                "both as means",
                _of(lambda entries, kl: entries.mean() + kl.mean()),
                "Now both are means, over 64 pixels and over a few latents. "
                "Neither is in nats per image.",
            ),
            Mistake(
                "the bound",
                _of(lambda entries, kl: -entries.sum(-1).mean() - kl.sum(-1).mean()),
                "That is the ELBO. A loss is to fall: take minus the ELBO.",
            ),
            Mistake(
                "log_var read as log std",
                _of_log_std,
                "You read `log_var` as the logarithm of std. It is that of std², so "
                "exp(log_var) is std².",
            ),
            Mistake(
                "KL over the batch",
                _of(lambda entries, kl: entries.sum(-1).mean() + kl.sum()),
                "The KL is summed over the images as well. Take their mean.",
            ),
        ],
        hints=[
            "What is the default `reduction` of the cross-entropy? What should it be?",
            "The KL is never negative, and a loss should grow with it. Put in mean = 1 and "
            "log_var = 0: is it 1/2?",
            'Use `reduction="none"` and `.sum(-1)` for pixels and latents, then one `.mean()` '
            "over the images.",
        ],
        otherwise=(
            "Try one image, then the same image twice: the loss is to be the same. "
            "Then compare each of its two terms with a sum by hand."
        ),
        meaning=(
            "A mean over pixels instead of a sum is a beta of 64 in disguise. You saw what beta = "
            "10 does: the code says nothing, and every draw is the mean image."
        ),
    )
)
