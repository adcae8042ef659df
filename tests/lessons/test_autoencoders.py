"""What lesson 10's helpers rely on: integrals on grids, importance bounds, exact baselines."""

import math

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch.distributions import Bernoulli, Normal, kl_divergence
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.functional import softplus

from node_tutorial import History, exercises
from node_tutorial.lessons.autoencoders import interpolation
from node_tutorial.lessons.autoencoders import runs as lab
from node_tutorial.lessons.autoencoders.elbo_bound import gaussian_bound
from node_tutorial.models import VAE
from node_tutorial.training.precision import default_dtype


@pytest.fixture
def linear():
    """A VAE with a linear Gaussian decoder, whose p(x) = N(b, W W^T + noise^2 I) is known. ->
    model, x, log p(x)
    """
    with default_dtype(torch.float64):
        torch.manual_seed(0)
        model = VAE(3, 2, likelihood="gaussian", noise=0.6)
        model.decoder = torch.nn.Linear(2, 3)
        w, b = model.decoder.weight.detach(), model.decoder.bias.detach()
        x = torch.randn(5, 3)
        covariance = w @ w.T + 0.6**2 * torch.eye(3)
        log_p = torch.distributions.MultivariateNormal(b, covariance).log_prob(x).mean().item()
        yield model, x, log_p


def history_of(steps):
    history = History(steps)
    for i in range(steps):
        history.append({"loss": 20 + math.exp(-i / steps)})
    return history


def test_the_grid_integrates_a_linear_generator_exactly(linear):
    model, x, log_p = linear
    assert lab.exact(model, x) == pytest.approx(log_p, abs=1e-8)
    assert abs(lab.exact(model, x, n=9) - log_p) > 1e-6  # too coarse a grid is seen


def test_the_grid_of_another_gaussian_is_a_generator_moved(linear):
    """Integrating over z ~ N(mean, A A^T) is integrating decode(mean + A z) over N(0, I)."""
    model, x, _ = linear
    mean, root = torch.tensor([0.5, -1.0]).double(), torch.tensor([[1.5, 0.0], [0.4, 0.7]]).double()
    moved = lab.integrated(lab.gaussian_over(model), x, mean=mean, cov=root @ root.T)
    w, b = model.decoder.weight.detach(), model.decoder.bias.detach()
    covariance = w @ root @ root.T @ w.T + 0.36 * torch.eye(3).double()
    exact = (
        torch.distributions.MultivariateNormal(b + w @ mean, covariance).log_prob(x).mean().item()
    )
    assert moved == pytest.approx(exact, abs=1e-6)


def test_importance_bounds_rise_to_log_p(linear):
    model, x, log_p = linear
    bounds = lab.importance_bounds(model, x, ks=(1, 10, 1000), draws=20_000)
    elbo = lab.terms(model, x, draws=5000)["elbo"]
    assert bounds[1] == pytest.approx(elbo, abs=0.1)
    assert bounds[1] < bounds[10] < bounds[1000] < log_p + 0.02
    assert bounds[1000] == pytest.approx(log_p, abs=0.05)


def test_the_loss_with_one_draw_is_minus_the_bound_by_weights(linear):
    model, x, _ = linear
    torch.manual_seed(3)
    loss = lab.importance_loss(1)(model, x)
    torch.manual_seed(3)
    assert loss.item() == pytest.approx(-lab.log_weights(model, x, 1).mean().item(), rel=1e-12)


def test_bernoulli_likelihoods_agree_with_the_model():
    with default_dtype(torch.float64):
        torch.manual_seed(0)
        model, x, z = VAE(64, 2), lab.ink_digits().test[:4], torch.randn(7, 2)
        one_by_one = torch.stack([model.log_prob(x, point.expand(4, 2)) for point in z], 1)
        assert torch.allclose(lab.bernoulli_over(model.decoder)(x, z), one_by_one)
        distribution = torch.distributions.Bernoulli(logits=model.decoder(z))
        assert torch.allclose(one_by_one[0], distribution.log_prob(x[0]).sum(-1))


def test_probabilistic_pca_is_between_no_structure_and_a_full_gaussian():
    torch.manual_seed(0)
    x = torch.randn(500, 6, dtype=torch.float64) @ torch.randn(6, 6, dtype=torch.float64)
    full = (
        torch.distributions.MultivariateNormal(x.mean(0), torch.cov(x.T, correction=0))
        .log_prob(x)
        .mean()
        .item()
    )
    values = [lab.probabilistic_pca(x, x, latent) for latent in (1, 3, 5)]
    assert values == sorted(values) and values[-1] == pytest.approx(
        full, abs=1e-8
    )  # 5 and a noise: all 6 widths


def test_independent_pixels_are_the_entropy_of_pixels():
    x = torch.tensor([[1.0, 0.0], [0.0, 0.0]]).double()
    assert lab.independent_pixels(x, x) == pytest.approx(math.log(0.5) + math.log(0.75))


@pytest.mark.parametrize(
    ("mean", "std", "noise"), [(0.3, 0.8, 0.7), (-1.5, 0.2, 0.4), (3.0, 1.5, 1.5)]
)
def test_the_gap_of_the_bound_is_the_kl_from_the_posterior(mean, std, noise):
    bound = gaussian_bound(mean, std, noise)
    assert bound.elbo + bound.gap == pytest.approx(bound.log_px, abs=1e-12) and bound.gap >= 0
    z = np.linspace(-12, 12, 20001)
    joint = np.exp(-(z**2) / 2 - (1.5 - z) ** 2 / (2 * noise**2)) / (2 * math.pi * noise)
    assert math.log(np.trapezoid(joint, z)) == pytest.approx(bound.log_px, abs=1e-9)


def test_only_the_first_mistake_keeps_gradients_from_the_decoder():
    with default_dtype(torch.float64):
        model, x = VAE(64, 64), lab.ink_digits().x[:20]
    assert lab.decoder_gradient(model, x, "A") is None
    assert all(lab.decoder_gradient(model, x, name).abs().max() > 0 for name in (None, "B", "C"))


def test_the_other_mistakes_are_the_loss_without_a_part():
    with default_dtype(torch.float64):
        model, x = VAE(64, 4), lab.ink_digits().x[:20]
        torch.manual_seed(0)
        loss = model.loss(x)
        torch.manual_seed(0)
        without_kl = lab.net_b(model, x)
        mean, std = model.encode(x)
        kl = lab.gaussian_kl(mean, std).sum(-1).mean()
        assert torch.allclose(loss, without_kl + kl)
        assert torch.allclose(lab.net_c(model, x), kl - model.log_prob(x, mean).mean())


def test_training_improves_and_leaves_the_default_precision_as_it_was():
    images = lab.ink_digits()
    torch.manual_seed(0)
    coder = lab.Coder(64, 2).double()
    history = lab.train(coder, images.x, steps=60)
    assert history.status == "finished" and history["loss"][-1] < 0.8 * history["loss"][0]
    assert torch.get_default_dtype() == torch.float32
    with default_dtype(torch.float64):
        assert VAE(64, 2).encode(images.x[:1]).mean.dtype == torch.float64
    assert torch.get_default_dtype() == torch.float32


def test_strange_is_far_from_every_training_image():
    images = lab.ink_digits()
    flipped = images.x[:3].clone()
    flipped[:, :9] = 1 - flipped[:, :9]
    assert (lab.to_training_images(images.x[:3], images) == 0).all()
    away = lab.to_training_images(flipped, images)
    assert (away > 0).all() and (away <= 9).all()


def test_the_stored_bounds_rise_with_the_draws():
    bounds = lab.stored_bounds()
    assert list(bounds) == [1, 5, 50, 500] and list(bounds.values()) == sorted(bounds.values())


def test_stored_runs_of_three_seeds_agree_on_the_order():
    found = lab.results()
    rows = {beta: found[f"2 latents, beta {beta:g}"] for beta in lab.BETAS}
    for seed in range(3):
        assert max(rows, key=lambda beta: rows[beta]["elbo"][seed]) == 1
        assert max(rows, key=lambda beta: rows[beta]["exact"][seed]) == 0.3
    longer = found[f"{lab.LONG} updates"]
    for elbo, vae, plain in zip(longer["elbo"], longer["vae"], longer["plain"]):
        assert vae + 0.1 < plain and 0.9 < vae - elbo < 1.2


def test_the_rate_is_the_sum_over_the_latents():
    with default_dtype(torch.float64):
        model, x = VAE(64, 5), lab.ink_digits().test[:50]
        assert float(lab.latent_rates(model, x).sum()) == pytest.approx(lab.terms(model, x)["rate"])


@torch.no_grad()
def test_images_on_a_line_stand_above_their_places():
    """And all of the picture's width is used: no blank half beside the images."""
    fig = Figure(figsize=(8.8, 4.1), layout="constrained")
    interpolation.draw(fig, interpolation.compute(3, 6, interpolation.PLAIN))
    fig.draw_without_rendering()
    images, curves = fig.axes
    assert images.get_window_extent().width > 0.8 * fig.bbox.width
    left, right = (curves.transData.transform((place, 0))[0] for place in (0, 1))
    first, last = (
        images.transData.transform((at, 0))[0] for at in (4.5, images.get_xlim()[1] - 4.5)
    )
    assert abs(left - first) < 12 and abs(right - last) < 12  # pixels, of 60 of an image


def test_what_is_no_digit_is_far_from_all_digits():
    images = lab.ink_digits()
    away = lab.to_training_images(lab.no_digits(), images)
    assert (away > lab.to_training_images(images.test, images).max()).all()


def test_a_baseline_leaves_the_mean_and_takes_what_grows():
    """Variances of the score function for z^2: with the mean of f taken off, 8 m^2 + 10 s^2."""
    x, w = np.polynomial.hermite_e.hermegauss(20)
    w = w / w.sum()
    for m, s in ((2.0, 1.0), (2.0, 0.1), (-0.5, 3.0)):
        f, score = (m + s * x) ** 2, x / s
        for baseline, variance in (
            (0.0, m**4 / s**2 + 14 * m**2 + 15 * s**2),
            (m**2 + s**2, 8 * m**2 + 10 * s**2),
        ):
            values = (f - baseline) * score
            assert w @ values == pytest.approx(2 * m)
            assert w @ (values - 2 * m) ** 2 == pytest.approx(variance)


# -- exercises: other right answers, other wrong ones ----------------------------------------------


def kl_of_torch(mean, std):
    return kl_divergence(Normal(mean, std), Normal(0.0, 1.0))


def by_hand(mean, std, noise):
    z = mean + std * noise
    return (2 * z).mean(), (2 * z * noise).mean()


def by_differences(mean, std, noise, h=1e-4):
    def f(mean, std):
        return ((mean + std * noise) ** 2).mean()

    return [
        (f(mean + h, std) - f(mean - h, std)) / (2 * h),
        (f(mean, std + h) - f(mean, std - h)) / (2 * h),
    ]


def by_backward(mean, std, noise):
    q = torch.tensor([mean, std], dtype=noise.dtype, requires_grad=True)
    (q[0] + q[1] * noise).square().mean().backward()
    return q.grad


def kl_part(mean, log_var):
    return (mean**2 + log_var.exp() - 1 - log_var).sum(-1) / 2


def by_distributions(x, logits, mean, log_var):
    pixels = Bernoulli(logits=logits).log_prob(x).sum(-1)
    kl = kl_divergence(Normal(mean, (log_var / 2).exp()), Normal(0.0, 1.0)).sum(-1)
    return -(pixels - kl).mean()


RIGHT_AND_WRONG = {
    "10.1": (
        [
            kl_of_torch,
            lambda m, s: np.float32(0.5) * (m**2 + s**2 - 1) - np.log(s),
            lambda m, s: (m**2 + s**2 - 1 - math.log(s**2)) / 2,
        ],
        [
            lambda m, s: (m**2 + s**2 - 1) / 2 - math.log2(s),
            lambda m, s: (m**2 + s**2 + 1) / 2 - math.log(s),
            lambda m, s: (m**2 + (s - 1) ** 2) / 2,
        ],
    ),
    "10.2": (
        [by_hand, by_differences, by_backward],
        [
            lambda m, s, e: (torch.tensor(2 * m), torch.tensor(2 * s)),  # exact, no estimate
            lambda m, s, e: by_hand(m, s, e)[::-1],
            lambda m, s, e: tuple(2 * x for x in by_hand(m, s, e)),
        ],
    ),
    "10.3": (
        [(3, 1, 2), np.array([3, 1, 2]), torch.tensor([3.0, 1, 2])],
        [[4, 1, 2], [3, 1, 4], [3, 3, 3]],
    ),
    "10.4": (
        [
            lambda x, logits, m, v: 64 * cross_entropy(logits, x) + kl_part(m, v).mean(),
            lambda x, logits, m, v: (
                (softplus((1 - 2 * x) * logits).sum() + kl_part(m, v).sum()) / len(x)
            ),
            by_distributions,
        ],
        [
            lambda x, logits, m, v: (
                cross_entropy(logits, x, reduction="sum") / len(x) + 2 * kl_part(m, v).mean()
            ),
            lambda x, logits, m, v: cross_entropy(logits, x, reduction="sum") / len(x),
            lambda x, logits, m, v: 64 * cross_entropy(logits.sigmoid(), x) + kl_part(m, v).mean(),
        ],
    ),
}


@pytest.mark.parametrize(
    "id, answer, said",
    [
        ("10.1", lambda mean, std: (mean**2 + std**2 - 1 - math.log(std)) / 2, "Half"),
        ("10.3", [3, 1, 4], "C returns the images"),
        ("10.3", [3, 4, 2], "B returns the images"),
        (
            "10.4",
            lambda x, logits, mean, log_var: exercises.find("10.4").solution(
                x, logits, mean, 2 * log_var
            ),
            "exp(log_var) is std²",
        ),
    ],
)
def test_mistakes_that_readers_made_are_answered(id, answer, said):
    feedback = exercises.find(id).assess(answer)
    assert feedback.state == "not yet" and said in feedback.message, feedback


@pytest.mark.parametrize("id", RIGHT_AND_WRONG)
def test_right_answers_in_other_forms_pass_and_wrong_ones_do_not(id):
    right, wrong = RIGHT_AND_WRONG[id]
    exercise = exercises.find(id)
    assert [exercise.assess(answer).state for answer in right] == ["correct"] * 3
    assert [exercise.assess(answer).state for answer in wrong] == ["not yet"] * 3
