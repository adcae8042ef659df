"""Lesson 15: the runs that are stored with the course, made by benchmarks/continuous_flows.py."""

import itertools
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector

from ...data.densities import Density, grid, kl_gap, two_moons
from ...data.targets import target
from ...models import CNF
from . import runs


def jobs() -> dict[str, Any]:
    """Name -> function that trains and returns {name of a value: number, list or array}; the
    important ones first.
    """
    found: dict[str, Any] = {}
    for setting in (runs.TRAPPED, runs.HONEST):
        found[f"trap/{setting.name}/0"] = lambda s=setting: trap_job(s)
    for density in ("moons", "Gaussians", "circles", "pinwheel"):
        for name in runs.models():
            found[f"data/{density}/{name}/0"] = lambda d=density, n=name: data_job(d, n)
    for number in runs.TARGETS:
        for name, size in itertools.product(("planar", "CNF"), runs.SIZES):
            found[f"target/{number}/{name}/{size}"] = lambda k=number, n=name, m=size: target_job(
                k, n, m
            )
    size = runs.SIZES[-1]
    for name in ("planar", "CNF"):
        found[f"target/1/{name}/{size}/without annealing"] = lambda n=name: target_job(
            1, n, size, annealed=False
        )
    for setting in list(runs.VARIANTS.values())[1:]:
        found[f"trap/{setting.name}/0"] = lambda s=setting: trap_job(s)
    return found


def data_job(name: str, model: str) -> dict[str, Any]:
    """Train one model on one density for `BUDGET` seconds, and measure it."""
    density = runs.DENSITIES[name]()
    torch.manual_seed(0)
    trained = runs.train(
        runs.models()[model](), runs.likelihood(density), runs.LR[model], seconds=runs.BUDGET
    )
    flow, x = trained.model, runs.held_out(density)
    result = _of_training(trained)
    if model == "CNF":
        result["parameters"] = _vector(flow.func)
        flow = runs.solved(flow.func)
        result |= both_ways(flow.func, x[:1000])
    flow = flow.double()
    gap = kl_gap(density, flow.log_prob, x, batch=2000)
    result |= {
        "kl": gap.kl,
        "error": gap.standard_error,
        "nll": gap.cross_entropy,
        "entropy": gap.entropy,
    }
    p, result["mass"] = runs.picture(flow.log_prob, density.bounds)
    result["picture"] = _bytes(p, density)
    return result


def target_job(number: int, model: str, size: int, annealed: bool = True) -> dict[str, Any]:
    """Fit one model to one energy for `TARGET_BUDGET` seconds, without data, and measure it."""
    density = target(number)
    torch.manual_seed(0)
    trained = runs.train(
        runs.targeted(model, size),
        runs.reverse_kl(density, annealed),
        1e-2,
        seconds=runs.TARGET_BUDGET,
    )
    flow = runs.solved(trained.model.func) if model == "CNF" else trained.model.double()
    with torch.no_grad():
        torch.manual_seed(1)
        x, log_q = flow.sample_with_log_prob(runs.HELD_OUT)
        gaps = log_q - density.log_prob(x)
    p, mass = runs.picture(flow.log_prob, density.bounds)
    result = {
        "kl": float(gaps.mean()),
        "error": float(gaps.std() / runs.HELD_OUT**0.5),
        "mass": mass,
    }
    return {**_of_training(trained), **result, "picture": _bytes(p, density)}


def trap_job(setting: runs.Setting) -> dict[str, Any]:
    """Train a CNF on the moons for `TRAP_STEPS` updates; what it reports itself, and what a tight
    solver says.
    """
    density = two_moons()
    torch.manual_seed(0)
    flow = CNF(runs.field(), trace=setting.trace, **setting.solver)
    trained = runs.train(
        flow, runs.penalized(density, setting), runs.TRAP_LR, steps=runs.TRAP_STEPS
    )
    x, func = runs.held_out(density, 4000), trained.model.func
    result = {
        **_of_training(trained),
        "losses": np.array(trained.loss, dtype=np.float16),
        "parameters": _vector(func),
    }
    own, tight = runs.solved(func, **setting.solver), runs.solved(func)
    for name, flow in (("own", own), ("tight", tight)):
        gap = kl_gap(density, flow.log_prob, x, batch=2000)
        result |= {
            f"{name}_kl": gap.kl,
            f"{name}_error": gap.standard_error,
            f"{name}_nll": gap.cross_entropy,
        }
        result[f"{name}_mass"] = runs.picture(flow.log_prob, density.bounds)[1]
        result[f"{name}_nfe"] = flow.stats.nfe
    with torch.no_grad():
        cost = tight.penalized(x[:2000])
    return result | {
        "kinetic": float(cost.kinetic.mean()),
        "frobenius": float(cost.frobenius.mean()),
    }


def sweep(func: nn.Module) -> dict[str, Any]:
    """A field on the moons under many solvers: what NLL, mass and picture they report, and their
    evaluations.
    """
    density = two_moons()
    rows: dict[str, list] = {"nll": [], "mass": [], "nfe": [], "picture": []}
    x = runs.held_out(density, 1000)
    for solver in [
        *({"rtol": tol, "atol": tol} for tol in runs.SWEEP),
        *map(runs.euler, runs.EULER),
    ]:
        flow = runs.solved(func, **solver)
        with torch.no_grad():
            rows["nll"].append(float(-flow.log_prob(x).mean()))
        rows["nfe"].append(flow.stats.nfe)
        p, mass = runs.picture(flow.log_prob, density.bounds)
        rows["mass"].append(mass)
        rows["picture"].append(_bytes(p, density))
    return rows


@torch.no_grad()
def both_ways(func: nn.Module, x: torch.Tensor) -> dict[str, int]:
    """Evaluations at 1e-5: of a solve from the data x to the noise with its trace, of one from
    noise to samples.
    """
    flow = runs.solved(func, rtol=1e-5, atol=1e-5)
    flow.log_prob(x)
    backward = flow.stats.nfe
    flow.sample(len(x))
    return {"nfe_density": backward, "nfe_sample": flow.stats.nfe}


def _of_training(trained: runs.Trained) -> dict[str, Any]:
    parameters = sum(p.numel() for p in trained.model.parameters())
    late = trained.nfe[-50:]
    result = {
        "steps": len(trained.loss),
        "seconds": trained.seconds,
        "parameters_number": parameters,
    }
    return result | {"nfe_first": trained.nfe[0], "nfe_last": float(np.mean(late))}


def _bytes(p: np.ndarray, density: Density) -> np.ndarray:
    """A picture as bytes, where 255 is the largest value of the true density, and more."""
    top = float(density.log_prob(grid(density.bounds, runs.PICTURE)[0]).exp().max())
    return (255 * (p / top).clip(0, 1)).round().astype(np.uint8)


def protocol() -> dict[str, Any]:
    """What the stored runs were made with, for a test that file and code agree."""
    names = (
        "BUDGET",
        "TARGET_BUDGET",
        "BATCH",
        "TRAP_STEPS",
        "TRAP_LR",
        "HELD_OUT",
        "LR",
        "SWEEP",
        "EULER",
    )
    return {name: getattr(runs, name) for name in names}


def is_stored(job: str, key: str) -> bool:
    """Which arrays of a job are kept: those that the lesson shows."""
    if job.endswith("without annealing"):
        return False
    fields = [f"trap/{setting.name}/0" for setting in (runs.TRAPPED, runs.HONEST)]
    return key in ("picture", "losses") or job.startswith("data/") or job in fields


def _vector(module: nn.Module) -> np.ndarray:
    """All parameters of a module, in half precision."""
    return parameters_to_vector(module.parameters()).detach().numpy().astype(np.float16)
