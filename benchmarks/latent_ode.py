"""The long run of lesson 12, stored in node_tutorial/data/stored: latent_ode.json and
latent_ode.npz.

    python benchmarks/latent_ode.py          half an hour on one core; goes on where it was stopped

Three models on spirals with 30, 50 and 100 of 100 observations, three seeds each; and latent ODEs
with three encoders, for the explorables, trained with 2 to 40 observations and gaps. Protocol:
node_tutorial/explore/latent_ode_runs.py. One thread. Each result is stored when it is made; to make
one anew, delete its entry from the file. The weights of the nets that the lesson shows are stored
in half precision.
"""

import platform

import numpy as np
import torch

from node_tutorial.course.runs import load, save
from node_tutorial.lessons.latent_ode import runs

VERSIONS = 4  # of every series, for the nets with sparse observations


def keep(model, name):
    arrays = {
        f"{name}/{key}": value.numpy().astype(np.float16)
        for key, value in model.state_dict().items()
    }
    save("latent_ode.npz", load("latent_ode.npz", otherwise={}) | arrays)


def sparse(name):
    """A latent ODE with another encoder, for series with few observations and gaps; judged on
    others alike.
    """
    model, _ = runs.train(runs.ENCODERS[name], runs.sparse(runs.TRAIN, 0, VERSIONS))
    found = runs.judge(model, runs.sparse(runs.TEST, 10_000))
    keep(model, name)
    return {key: float(f"{value:.4g}") for key, value in found.items()}


def run(name, count, seed):
    model, found = runs.run(name, count, seed)
    if (count, seed) == (runs.COUNTS[0], 0):
        keep(model, name)
    return found


def jobs():
    """Name of a result -> function and arguments, the ones that the lesson cannot do without first."""
    first, *others = runs.COUNTS
    order = [(name, first, 0) for name in ("RNN", "latent ODE", "ODE-RNN")]
    entries: dict[str, tuple] = {
        f"{name}/{count}/{seed}": (run, name, count, seed) for name, count, seed in order
    }
    entries |= {name: (sparse, name) for name in runs.ENCODERS}
    order = [(name, count, 0) for count in others for name in ("RNN", "latent ODE")]
    order += [
        (name, count, seed)
        for seed in runs.SEEDS
        for count in runs.COUNTS
        for name in ("RNN", "latent ODE")
    ]
    order += [("ODE-RNN", count, seed) for count in runs.COUNTS for seed in runs.SEEDS]
    return entries | {
        f"{name}/{count}/{seed}": (run, name, count, seed) for name, count, seed in order
    }


def main():
    torch.set_num_threads(1)
    for key, (function, *arguments) in jobs().items():
        stored = load("latent_ode.json", otherwise={"runs": {}})
        if key not in stored["runs"]:
            found = function(*arguments)
            print(key, found, flush=True)
            stored["runs"][key] = found
            stored |= {"torch": torch.__version__, "processor": platform.machine()}
            stored |= {
                "steps": runs.STEPS,
                "counts": runs.COUNTS,
                "seeds": runs.SEEDS,
                "noise": runs.NOISE,
            }
            save("latent_ode.json", stored)


if __name__ == "__main__":
    main()
