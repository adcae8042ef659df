"""Lesson 18: what goes wrong in the two snippets of section 10, measured.

A discriminator that ends in a sigmoid, under a loss that has one, and a generator that is not
detached; a Transformer that sees its target, and knows no places.
"""

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as with_logits

from ...data import gaussians

TOKENS = 10
WIDTH = 32


class GanFaults(NamedTuple):
    """Of the first snippet.

    Attributes:
        lowest, highest: the probabilities between which D is confined.
        least_loss: of a discriminator that is sure and right, for data plus for samples.
        slope: of the loss of data where D does not know, at the inner logit 0; 1/2 is right.
        reachable: the share of the ring's draws in the square that tanh reaches.
        generator_helps: change of D's loss with a step of 0.1 of the generator alone, along the
            slope that it gets.
        grown: how many times the gradient is too long at the second of two equal updates.
    """

    lowest: float
    highest: float
    least_loss: float
    slope: float
    reachable: float
    generator_helps: float
    grown: float


def gan_faults() -> GanFaults:
    # After the inner sigmoid, of a discriminator that is sure and right.
    inner = torch.tensor([1.0, 0.0], dtype=torch.float64)
    logit = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(with_logits(logit.sigmoid(), torch.ones_like(logit)), logit)

    torch.manual_seed(0)
    discriminator = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 1), nn.Sigmoid())
    generator = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 2), nn.Tanh())
    x = gaussians(8).sample(4000, torch.Generator().manual_seed(0)).float()
    z = torch.randn(4000, 2)

    def loss() -> torch.Tensor:
        real, fake = discriminator(x), discriminator(generator(z))
        return with_logits(real, torch.ones_like(real)) + with_logits(fake, torch.zeros_like(fake))

    slopes = []
    for _ in range(2):  # and no zero_grad between
        loss().backward()
        slopes.append([p.grad.clone() for p in generator.parameters() if p.grad is not None])
    lengths = [math.sqrt(sum(float(part.square().sum()) for part in each)) for each in slopes]
    with torch.no_grad():
        before = float(loss())
        for p, part in zip(generator.parameters(), slopes[0]):
            p.sub_(0.1 * part)
        after = float(loss())
    return GanFaults(
        lowest=float(inner[1].sigmoid()),
        highest=float(inner[0].sigmoid()),
        least_loss=float(with_logits(inner, inner, reduction="sum")),
        slope=-float(slope),
        reachable=float((x.abs() < 1).all(1).double().mean()),
        generator_helps=after - before,
        grown=lengths[1] / lengths[0],
    )


class TransformerFaults(NamedTuple):
    """Of the second snippet.

    Attributes:
        least_loss: of a net that is sure and right; 0 is right.
        shuffled: by how much the output changes when the source is shuffled.
        own, later: the largest slope of entry i's output on entry i, and on later ones, of the
            target; 0 is right.
        again: by how much the output changes if the net is simply asked again.
    """

    least_loss: float
    shuffled: float
    own: float
    later: float
    again: float


def transformer_faults() -> TransformerFaults:
    torch.manual_seed(0)
    embed = nn.Embedding(TOKENS, WIDTH)
    net = nn.Transformer(WIDTH, 4, 1, 1, batch_first=True)
    read = nn.Sequential(nn.Linear(WIDTH, TOKENS), nn.Softmax(-1))
    source, target = torch.randint(TOKENS, (2, 1, 6))

    def out(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return read(net(source, target))

    with torch.no_grad():
        again = (out(embed(source), embed(target)) - out(embed(source), embed(target))).abs().max()
        net.eval()  # no dropout from here on
        shuffled = out(embed(source.flip(1)), embed(target)) - out(embed(source), embed(target))
    vectors = embed(target).detach()
    slopes = torch.autograd.functional.jacobian(
        lambda target: out(embed(source).detach(), target)[0], vectors
    )
    influence = slopes[:, :, 0].square().sum((1, 3)).sqrt()  # (6, 6)
    sure = torch.eye(TOKENS)[:1].double()
    return TransformerFaults(
        least_loss=float(nn.functional.cross_entropy(sure, torch.zeros(1, dtype=torch.int64))),
        shuffled=float(shuffled.abs().max()),
        own=float(influence.diagonal().max()),
        later=float(influence.triu(1).max()),
        again=float(again),
    )


def symptoms() -> list[str]:
    """What a reader of losses, outputs and gradients sees of both, a sentence for each."""
    gan = gan_faults()
    net = transformer_faults()
    effect = "smaller" if gan.generator_helps < 0 else "larger"
    reached = "reaches" if net.later > 1e-3 else "does not reach"
    return [
        f"GAN: D lies between {gan.lowest:.2f} and {gan.highest:.4f}",
        f"GAN: the least loss of D is {gan.least_loss:.4f}, not 0",
        f"GAN: where D does not know, the slope is {gan.slope:.4f}, not 0.5",
        f"GAN: {100 * gan.reachable:.0f} % of the ring's draws lie where tanh reaches",
        f"GAN: a step of G along its own slope makes D's loss {effect}",
        f"GAN: at the second of two equal updates the gradient is {gan.grown:.1f} times as long",
        f"Transformer: the least loss is {net.least_loss:.4f}, not 0",
        f"Transformer: the source backward changes the output by {net.shuffled:.3f}",
        f"Transformer: the slope on the entry itself is up to {net.own:.1f}, not 0",
        f"Transformer: a later entry {reached} the output",
        f"Transformer: asked again, the output changes by {net.again:.1f}",
    ]
