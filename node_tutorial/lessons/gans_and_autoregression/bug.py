"""Lesson 18: a discriminator that ends in a sigmoid, under a loss that has one, and its symptoms."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits as with_logits

LOWEST = 0.5  # sigmoid(0), of what the inner sigmoid makes of a sure "sample"
HIGHEST = float(torch.sigmoid(torch.tensor(1.0)))  # of a sure "data"


def least_loss() -> float:
    """Of a discriminator that is sure and right: for data plus for samples."""
    inner = torch.tensor([1.0, 0.0], dtype=torch.float64)  # after the inner sigmoid
    return float(with_logits(inner, inner, reduction="sum"))


def slope_at_zero() -> float:
    """Of the loss of data over the inner logit, at 0; with one sigmoid it is 1/2."""
    logit = torch.zeros((), dtype=torch.float64, requires_grad=True)
    with_logits(logit.sigmoid(), torch.ones_like(logit)).backward()
    assert logit.grad is not None
    return -float(logit.grad)
