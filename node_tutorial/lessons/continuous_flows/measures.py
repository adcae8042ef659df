"""Lesson 15: what is measured of a flow, and what is stored of that."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import jacrev, vmap
from torch.nn.utils import parameters_to_vector

from ...data.densities import Density, grid, two_moons
from ...models import CNF
from ...models.flows import Flow

TIGHT: dict[str, Any] = {"rtol": 1e-6, "atol": 1e-6}
HELD_OUT = 10_000
VALIDATION = 2000  # points, or draws, by which a trial is judged
PICTURE = 64  # points a side of a stored picture of a density
SWEEP = [10 ** (-k / 2) for k in range(2, 13)]  # tolerances 1e-1 to 1e-6, two a decade
EULER = [1, 2, 5, 10, 20, 50, 100]  # steps


def euler(steps: int) -> dict[str, Any]:
    """Solver settings: Euler's method with so many steps."""
    return {"method": "euler", "options": {"step_size": 1 / steps}}


def solved(func: nn.Module, **solver: Any) -> CNF:
    """The CNF of a field in float64, at a tight tolerance unless other settings are given."""
    return CNF(func.double(), **(solver or TIGHT))


def held_out(density: Density, n: int = HELD_OUT) -> torch.Tensor:
    """Points that no training and no choice sees, in float64."""
    return density.sample(n, torch.Generator().manual_seed(99)).double()


def validation(density: Density) -> torch.Tensor:
    """Other points, by which rate and size are chosen, in float64."""
    return density.sample(VALIDATION, torch.Generator().manual_seed(98)).double()


def accurate(flow: Any) -> Flow:
    """A trained flow in float64, a CNF at 1e-5, which moves its NLL by less than 0.001 nats."""
    return solved(flow.func, rtol=1e-5, atol=1e-5) if isinstance(flow, CNF) else flow.double()


@torch.no_grad()
def reverse_gap(flow: Flow, density: Density, n: int, seed: int) -> tuple[float, float]:
    """KL(q || p) to a density by n draws from the flow, and its standard error."""
    torch.manual_seed(seed)
    x, log_q = flow.sample_with_log_prob(n)
    gaps = log_q - density.log_prob(x)
    return float(gaps.mean()), float(gaps.std() / n**0.5)


@torch.no_grad()
def picture(log_prob: Any, bounds: tuple[float, float, float, float]) -> tuple[np.ndarray, float]:
    """A density on a grid (64, 64), and the sum over the grid times the area of a cell: its mass
    there.
    """
    x, area = grid(bounds, PICTURE)
    p = log_prob(x).exp().reshape(PICTURE, PICTURE).numpy()
    return p, float(p.sum() * area)


def as_bytes(p: np.ndarray, density: Density) -> np.ndarray:
    """A picture as bytes, where 255 is the largest value of the true density, and more."""
    top = float(density.log_prob(grid(density.bounds, PICTURE)[0]).exp().max())
    return (255 * (p / top).clip(0, 1)).round().astype(np.uint8)


def vector(module: nn.Module) -> np.ndarray:
    """All parameters of a module, in half precision."""
    return parameters_to_vector(module.parameters()).detach().numpy().astype(np.float16)


@torch.no_grad()
def both_ways(func: nn.Module, x: torch.Tensor) -> dict[str, int]:
    """Evaluations at 1e-5: of a solve from the data x to the noise with its trace, of one from
    noise to samples.
    """
    flow = solved(func, rtol=1e-5, atol=1e-5)
    flow.log_prob(x)
    backward = flow.stats.nfe
    flow.sample(len(x))
    return {"nfe_density": backward, "nfe_sample": flow.stats.nfe}


def sweep(func: nn.Module) -> dict[str, list]:
    """A field on the moons under many solvers: what NLL, mass and picture they report, and their
    evaluations.
    """
    density = two_moons()
    rows: dict[str, list] = {"nll": [], "mass": [], "nfe": [], "picture": []}
    x = held_out(density, 1000)
    for solver in [*({"rtol": tol, "atol": tol} for tol in SWEEP), *map(euler, EULER)]:
        flow = solved(func, **solver)
        with torch.no_grad():
            rows["nll"].append(float(-flow.log_prob(x).mean()))
        rows["nfe"].append(flow.stats.nfe)
        p, mass = picture(flow.log_prob, density.bounds)
        rows["mass"].append(mass)
        rows["picture"].append(as_bytes(p, density))
    return rows


@torch.no_grad()
def counted_too_much(field: nn.Module, x: Tensor, steps: int) -> tuple[float, float]:
    """What Euler steps of a flow, back from the data x (B, D), count too much, in nats a point.

    A step is the map x - h f(x). Counted is -h tr(df/dx); true is log |det(1 - h df/dx)|.

    Returns:
        The mean of their difference over x, summed over the steps; and the share of all steps
        whose determinant is negative, which turn the plane over there.
    """
    h = 1 / steps
    excess = x.new_zeros(len(x))
    turned = 0.0
    for k in range(steps):
        t = x.new_tensor(1 - k * h)

        def at_one(y: Tensor, t: Tensor = t) -> Tensor:
            return field(t, y[None])[0]

        jacobians = vmap(jacrev(at_one))(x)
        true = torch.linalg.slogdet(torch.eye(x.shape[1]).to(x) - h * jacobians)
        excess += -h * jacobians.diagonal(dim1=1, dim2=2).sum(1) - true.logabsdet
        turned += float((true.sign < 0).double().mean()) / steps
        x = x - h * field(t, x)
    return float(excess.mean()), turned
