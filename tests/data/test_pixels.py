"""Digits as whole numbers: spread over their levels, counted again, and judged."""

import math

import pytest
import torch

from node_tutorial.data import compare
from node_tutorial.data.pixels import (
    LEVELS,
    STD,
    counted,
    counts,
    judge,
    nearest_labels,
    spread,
)
from node_tutorial.models.diffusion import bits_per_dimension


def bits_per_pixel(log_prob):
    return bits_per_dimension(log_prob, 64, 1 / STD)


def test_what_is_spread_is_counted_as_what_it_was():
    images = counts().images
    x = spread(images, torch.Generator().manual_seed(0))
    assert torch.equal(counted(x), images)
    assert abs(x.mean()) < 0.02 and x.std() == pytest.approx(1, abs=0.02)
    assert not torch.equal(x, spread(images, torch.Generator().manual_seed(1)))
    assert torch.equal(x, spread(images, torch.Generator().manual_seed(0)))


def test_what_a_model_makes_is_clipped_to_the_levels():
    assert counted(torch.tensor([-9.0, 0.0, 9.0])).tolist() == [0, 5, 16]


def test_bits_are_those_of_the_whole_numbers():
    """A histogram of each pixel, seen as a density of steps, has the bits of its entropy."""
    images = counts().images.flatten(1)
    ones = torch.nn.functional.one_hot(images.long(), LEVELS).double()
    shares = (ones.mean(0) + 1e-3) / (1 + 1e-3 * LEVELS)
    log_mass = (ones * shares.log()).sum((1, 2))  # log P(n)
    log_density = log_mass + 64 * math.log(6)  # of spread(n), whose levels are 1 / 6 wide
    entropy = -log_mass.mean() / 64 / math.log(2)
    assert bits_per_pixel(log_density).mean() == pytest.approx(entropy)
    assert bits_per_pixel(torch.tensor(-64 * math.log(17 / 6))) == pytest.approx(math.log2(17))


def test_a_gaussian_on_spread_digits_has_its_known_bits():
    """2.954 bits for a full Gaussian, measured before with other code and other noise."""
    split = counts()
    generator = torch.Generator().manual_seed(0)
    train, test = (
        spread(n, generator).flatten(1).double() for n in (split.images, split.test_images)
    )
    normal = torch.distributions.MultivariateNormal(train.mean(0), torch.cov(train.T))
    assert bits_per_pixel(normal.log_prob(test)).mean() == pytest.approx(2.954, abs=0.03)


def test_the_judge_measures_copies_and_knows_that_they_are_copies():
    split = counts()
    made = split.images[:450]
    judged = judge(made)
    assert judged[:5] == compare(split.test_images, made) and judged.nearest == 0
    assert judge(counts().test_images).nearest == pytest.approx(16.82, abs=0.01)


def test_the_nearest_training_image_is_of_the_same_digit_nearly_always():
    split = counts()
    right = (nearest_labels(split.test_images) == split.test_labels).double().mean()
    assert 0.98 < right < 0.995


@pytest.mark.parametrize(
    "made", [torch.zeros(449, 1, 8, 8), torch.zeros(450, 64), torch.full((450, 1, 8, 8), 0.5)]
)
def test_other_images_are_refused(made):
    with pytest.raises(ValueError, match=r"must be \(450, 1, 8, 8\), dark dots 0 to 16"):
        judge(made)
