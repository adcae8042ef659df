"""GAN: losses and their closed forms, whose turn it is, penalties, resuming, refusals."""

import math

import pytest
import torch
from torch import nn

from node_tutorial.data import (
    gaussian_mixture,
    jensen_shannon,
    wasserstein_1,
    wasserstein_1_of_samples,
)
from node_tutorial.models import GAN, MLP, modes
from node_tutorial.models.gan import LOSSES
from node_tutorial.training import fit

ENDS = (-12.0, 20.0)


def normal(mean, std=1.0):
    return gaussian_mixture([1.0], torch.tensor([float(mean)]), std)


def small(**of):
    torch.manual_seed(0)
    return GAN(MLP(2, 8, 2), MLP(2, 8, 1), 2, **of)


def data(step):
    return torch.randn(32, 2, generator=torch.Generator().manual_seed(step)) + 1


@pytest.mark.parametrize(
    "mu, js, slope",
    [
        (0.5, 0.0303113005, 0.117632),
        (1, 0.1114214822, 0.198986),
        (2, 0.3368308203, 0.224800),
        (4, 0.6327201937, 0.068597),
        (8, 0.6930536455, 0.000196437),
    ],
)
def test_js_of_two_gaussians_goes_flat_and_w1_does_not(mu, js, slope):
    p = normal(0)
    q = normal(mu)
    assert jensen_shannon(p.log_prob, q.log_prob, ENDS) == pytest.approx(js, abs=1e-9)
    sides = [jensen_shannon(p.log_prob, normal(mu + e).log_prob, ENDS) for e in (-1e-3, 1e-3)]
    assert (sides[1] - sides[0]) / 2e-3 == pytest.approx(slope, rel=1e-4, abs=1e-7)
    assert wasserstein_1(p.cdf, q.cdf, ENDS) == pytest.approx(mu, abs=1e-6)


def test_js_and_w1_of_gaussians_of_two_widths():
    p = normal(0)
    q = normal(1, 0.5)
    assert jensen_shannon(p.log_prob, q.log_prob, ENDS) == pytest.approx(0.2239837765, abs=1e-9)
    assert wasserstein_1(p.cdf, q.cdf, ENDS) == pytest.approx(1.0084907026, abs=1e-6)


def test_w1_of_samples_is_that_of_the_sorted_ones():
    x = torch.tensor([3.0, 0.0, 1.0])
    assert float(wasserstein_1_of_samples(x, x.flip(0) + 2)) == 2
    with pytest.raises(ValueError, match="same n"):
        wasserstein_1_of_samples(x, x[:2])


@pytest.mark.parametrize("mu, value", [(0.5, -1.32567176), (2, -0.71263272), (8, -0.00018707)])
def test_the_best_logit_is_log_p_minus_log_q_and_its_loss_log_4_less_2_js(mu, value):
    """-V(D*) = log 4 - 2 JS; another logit has a greater loss."""
    p = normal(0)
    q = normal(mu)
    x = torch.linspace(*ENDS, 20_001, dtype=torch.float64)[:, None]

    def loss(logit):
        softplus = nn.functional.softplus
        each = p.log_prob(x).exp() * softplus(-logit) + q.log_prob(x).exp() * softplus(logit)
        return float(torch.trapezoid(each, x[:, 0]))

    best = p.log_prob(x) - q.log_prob(x)
    js = jensen_shannon(p.log_prob, q.log_prob, ENDS)
    assert loss(best) == pytest.approx(math.log(4) - 2 * js, abs=1e-9)
    assert -loss(best) == pytest.approx(value, abs=1e-8)
    assert loss(best + 0.1) > loss(best) and loss(0.9 * best) > loss(best)


def test_the_generators_gradient_at_a_discriminator_that_is_sure():
    """At D = 0.01: -0.01 of minimax, -0.99 of the non-saturating loss."""
    for name, expected in (("minimax", -0.01), ("non-saturating", -0.99)):
        logit = torch.tensor([math.log(0.01 / 0.99)], dtype=torch.float64, requires_grad=True)
        LOSSES[name].generator(logit).backward()
        assert logit.grad.item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_one_player_moves_at_a_time_and_the_other_is_kept(loss):
    gan = small(loss=loss, discriminator_steps=2)
    turns = []
    for step in range(6):
        gan.zero_grad()
        value, _ = gan.loss(data(step))
        value.backward()
        moved = [
            any(p.grad is not None for p in net.parameters())
            for net in (gan.discriminator, gan.generator)
        ]
        turns.append(tuple(moved))
    assert turns == [(True, False), (True, False), (False, True)] * 2
    assert all(p.requires_grad for p in gan.parameters())


@pytest.mark.parametrize("loss", LOSSES)
def test_the_generator_gets_the_gradient_of_its_own_loss(loss):
    gan = small(loss=loss)
    gan.updates.fill_(1)
    torch.manual_seed(1)
    gan.loss(data(0))[0].backward()
    found = [p.grad.clone() for p in gan.generator.parameters()]
    gan.zero_grad()
    torch.manual_seed(1)
    LOSSES[loss].generator(gan.logits(gan.sample(32))).backward()
    for a, p in zip(found, gan.generator.parameters()):
        assert torch.allclose(a, p.grad, atol=1e-7)


def test_r1_is_half_the_square_of_the_slope_at_the_data():
    torch.manual_seed(0)
    discriminator = nn.Linear(2, 1)
    plain, penalized = (
        GAN(MLP(2, 8, 2), discriminator, 2, penalty=penalty, weight=0.3) for penalty in (None, "R1")
    )
    penalized.load_state_dict(plain.state_dict())
    values = []
    for gan in (plain, penalized):
        torch.manual_seed(1)
        values.append(gan.loss(data(0))[0].item())
    expected = 0.15 * discriminator.weight.square().sum().item()
    assert values[1] - values[0] == pytest.approx(expected, rel=1e-5)


def test_the_gradient_penalty_asks_for_a_slope_of_one():
    for slope, expected in ((1.0, 0.0), (3.0, 4.0), (0.0, 1.0)):
        gan = GAN(nn.Identity(), nn.Linear(2, 1), 2, loss="wasserstein", penalty="gradient")
        with torch.no_grad():
            gan.discriminator.weight.copy_(torch.tensor([[slope, 0.0]]))
        x = data(0)
        torch.manual_seed(1)
        with_it = gan.loss(x)[0].item()
        gan.updates.zero_()
        gan.penalty = None
        torch.manual_seed(1)
        assert with_it - gan.loss(x)[0].item() == pytest.approx(expected, abs=1e-4)


def test_the_record_tells_data_from_samples():
    gan = small()
    with torch.no_grad():
        for p in gan.discriminator.parameters():
            p.zero_()
    told = gan.loss(data(0))[1]
    assert told["discriminator"] == pytest.approx(math.log(4)) and told["accuracy"] == 0
    assert told["generator"] == pytest.approx(math.log(2))


def test_an_interrupted_training_resumes_bit_for_bit(tmp_path):
    def train(gan, steps, **more):
        return fit(
            gan, lambda gan, x: gan.loss(x), steps, batches=data, seed=0, progress=False, **more
        )

    whole = small(penalty="gradient", discriminator_steps=2)
    train(whole, 20)
    parts = small(penalty="gradient", discriminator_steps=2)
    file = tmp_path / "run.pt"
    stop = {"on_step": lambda gan, history: len(history) == 8}
    train(parts, 20, checkpoint=file, **stop)
    again = small(penalty="gradient", discriminator_steps=2)
    train(again, 20, checkpoint=file)
    for a, b in zip(whole.state_dict().values(), again.state_dict().values()):
        assert torch.equal(a, b)


def test_modes_counts_those_that_have_their_share():
    centers = torch.tensor([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]])
    x = torch.cat(
        [centers[0] + 0.01 * torch.randn(90, 2), centers[1].expand(9, 2), torch.full((1, 2), 2.5)]
    )
    assert modes(x, centers, 0.1) == (2, 0.99)
    assert modes(x, centers, 0.1, least=0.5).found == 1


@pytest.mark.parametrize(
    "of, match",
    [
        ({"loss": "logistic"}, "loss must be one of minimax"),
        ({"penalty": "r1"}, "penalty must be one of"),
        ({"discriminator_steps": 0}, "discriminator_steps"),
    ],
)
def test_what_cannot_be_is_refused(of, match):
    with pytest.raises(ValueError, match=match):
        small(**of)
