"""Couplings: the best pairing of a batch, what it costs, and Gaussians whose best map is known."""

import itertools
import math

import pytest
import torch

from node_tutorial.models.couplings import (
    COUPLINGS,
    cost,
    coupling,
    gaussian_map,
    independent,
    optimal,
    paired_cost,
)

f64 = torch.float64


def test_the_best_pairing_is_no_worse_than_any_other():
    torch.manual_seed(0)
    x0, x1 = torch.randn(2, 6, 3, dtype=f64)
    best = cost(x0[optimal(x0, x1)], x1)
    all_costs = [cost(x0[list(order)], x1) for order in itertools.permutations(range(6))]
    assert torch.isclose(best, min(all_costs))
    assert best < cost(x0, x1)


def test_a_pairing_is_a_permutation_and_follows_images():
    torch.manual_seed(0)
    x0, x1 = torch.randn(2, 20, 1, 4, 4)
    for pair in COUPLINGS.values():
        assert sorted(pair(x0, x1).tolist()) == list(range(20))
    shuffled = torch.randperm(20)
    assert torch.equal(x0[shuffled][optimal(x0[shuffled], x0)], x0)
    assert torch.equal(x0[independent(x0, x1)], x0)


def test_on_a_line_the_best_pairing_is_by_rank():
    torch.manual_seed(1)
    x0, x1 = torch.randn(2, 50, 1, dtype=f64)
    paired = x0[optimal(x0, x1)]
    assert torch.equal(paired[x1[:, 0].argsort()], x0.sort(0).values)


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (1, 2),
        (2, 1.363380),
        (4, 0.852171),
        (8, 0.500127),
        (16, 0.281283),
        (32, 0.153769),
        (64, 0.082458),
    ],
)
def test_the_cost_of_a_paired_batch(batch, expected):
    assert paired_cost(batch) == pytest.approx(expected, abs=6e-7)


def test_the_cost_of_a_paired_batch_of_two_has_a_closed_form():
    assert paired_cost(2) == pytest.approx(2 - 2 / math.pi, abs=1e-10)


@pytest.mark.parametrize("batch", [2, 8])
def test_paired_batches_cost_what_the_formula_says(batch):
    chance = torch.Generator().manual_seed(0)
    x0, x1 = torch.randn(2, 20_000, batch, 1, generator=chance, dtype=f64)
    costs = torch.stack([cost(a[optimal(a, b)], b) for a, b in zip(x0[:4000], x1)])
    assert abs(costs.mean() - paired_cost(batch)) < 4 * costs.std() / len(costs) ** 0.5


def test_the_best_map_between_two_gaussians():
    C0 = torch.diag(torch.tensor([4.0, 1.0], dtype=f64))
    R = torch.tensor([[1.0, -1.0], [1.0, 1.0]], dtype=f64) / 2**0.5
    C1 = R @ torch.diag(torch.tensor([4.0, 0.25], dtype=f64)) @ R.T
    A = gaussian_map(C0, C1)
    expected = torch.tensor([[0.686406, 0.490290], [0.490290, 1.078639]], dtype=f64)
    assert torch.allclose(A, expected, atol=1e-6)
    assert torch.allclose(A @ C0 @ A.T, C1)
    moved = A - torch.eye(2, dtype=f64)
    assert torch.trace(moved @ C0 @ moved.T).item() == pytest.approx(1.601471, abs=1e-6)


def test_what_cannot_be_right_is_refused():
    with pytest.raises(ValueError, match=r"coupling must be one of independent, optimal.*loss"):
        coupling("sinkhorn")
    with pytest.raises(ValueError, match="pairs, of one shape"):
        cost(torch.zeros(3, 1), torch.zeros(2, 1))
    with pytest.raises(ValueError, match="batch must be an integer of 1 or more"):
        paired_cost(0)
    with pytest.raises(ValueError, match="covariances must be positive"):
        gaussian_map(torch.zeros(2, 2), torch.eye(2))
