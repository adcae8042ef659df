"""The long runs of lesson 07, stored in node_tutorial/data/stored: ode_nets.json and ode_nets.npz.

    python benchmarks/ode_nets.py [PART ...]         all parts: half an hour on one core; weights
    must come before dial

table      every net on every fold with every seed: wrong answers, processor's seconds of training
solvers    nets trained with few steps of Euler's method, and the ODE-Net, on all folds: wrong
answers with the solver
           that they were trained with, and with an accurate one
growth     evaluations during a longer training, for three fields: forward, backward, and forward at
a tight tolerance weights    three trained nets, in half precision, and what a ResNet makes of the
test images between its blocks dial       the stored nets under many solvers

One thread: two runs on one machine with the same versions store the same bytes, the seconds aside.
"""

import argparse
import platform
from functools import partial

import numpy as np
import torch

from node_tutorial import NeuralODE
from node_tutorial.course.runs import load, save
from node_tutorial.data.digits import FOLDS, digits
from node_tutorial.lessons.ode_nets import runs as lesson
from node_tutorial.models import ODENet

SEEDS = (0, 1, 2)
LONG = 24  # epochs of `growth`
TIGHT = {"rtol": 1e-6, "atol": 1e-6}
FIXED = (1, 2, 4, 8, 16, 32)
TOLERANCES = [10 ** (-k / 2) for k in range(0, 13)]  # 1 to 1e-6, two a decade


def accurately(net, fold):
    """Wrong answers with an accurate solver."""
    split = digits(fold)
    scores, _ = lesson.solve_with(net, split.test_images, rtol=1e-5, atol=1e-5)
    return int((scores.argmax(1) != split.test_labels).sum())


def solvers():
    rows = {}
    euler = {"1 Euler step": 1, "2 Euler steps": 2, "4 Euler steps": 4}
    makers = {
        name: partial(ODENet, lesson.CHANNELS, **lesson.fixed("euler", n))
        for name, n in euler.items()
    }
    makers["dopri5 at 1e-3"] = partial(ODENet, lesson.CHANNELS, **lesson.TOLERANCE)
    for name, make in makers.items():
        runs = [[lesson.train(make, fold, seed) for fold in range(FOLDS)] for seed in SEEDS]
        rows[name] = {
            "own": [[run.wrong for run in row] for row in runs],
            "accurate": [
                [accurately(run.net, fold) for fold, run in enumerate(row)] for row in runs
            ],
        }
        print(name, rows[name], flush=True)
    return rows


def growth():
    """Means over each epoch of NFE forward and backward; NFE at 1e-6 of 64 test images after it;
    wrong answers.
    """
    rows = {}
    images = digits(0).test_images[:64]
    for name, make in lesson.FIELDS.items():
        rows[name] = {"forward": [], "backward": [], "tight": [], "wrong": []}
        for seed in SEEDS:
            tight = []

            def on_step(net, history, tight=tight):
                if len(history) % 43 == 0:
                    with torch.no_grad():
                        block = NeuralODE(net.block.func, **TIGHT)
                        block(net.stem(images), torch.tensor([0.0, 1.0]))
                    tight.append(block.stats.nfe)

            trained = lesson.train(make, 0, seed, LONG, on_step)
            for key, column in (("forward", "nfe"), ("backward", "nfe_backward")):
                rows[name][key].append(
                    np.reshape(trained.history[column], (LONG, 43)).mean(1).round(2).tolist()
                )
            rows[name]["tight"].append(tight)
            rows[name]["wrong"].append(trained.wrong)
            print(
                name,
                seed,
                trained.wrong,
                tight,
                rows[name]["forward"][-1][::6],
                rows[name]["backward"][-1][::6],
            )
    return rows


def weights():
    """Train, and write the arrays."""
    arrays = {}
    for name, make in lesson.STORED.items():
        trained = lesson.train(make)
        for key, value in trained.net.state_dict().items():
            arrays[f"{name}/{key}"] = value.numpy().astype(np.float16)
    net = lesson.train(lesson.NETS["ResNet"]).net.eval()
    with torch.no_grad():
        features = net.features(lesson.test_set()[0])
        arrays["ResNet/map"] = lesson.flat_map(net, features).numpy().astype(np.float16)
        arrays["ResNet/scores"] = (
            torch.stack([net.head(x) for x in features]).numpy().astype(np.float16)
        )
    save("ode_nets.npz", arrays)


def dial():
    images, labels = lesson.test_set()
    rows = {}
    nets = {name: lesson.stored(name) for name in lesson.STORED} | {
        "one Euler step": lesson.train(lesson.one_step).net
    }
    for name, net in nets.items():
        exact, _ = lesson.solve_with(net, images, rtol=1e-7, atol=1e-7, method="dopri5")
        rows[name] = {}
        for method in ("euler", "rk4_classic", "bosh3", "dopri5", "dopri8"):
            settings = [lesson.fixed(method, n) for n in FIXED]
            if method not in ("euler", "rk4_classic"):
                settings = [{"method": method, "rtol": tol, "atol": tol} for tol in TOLERANCES]
            row = {"nfe": [], "wrong": [], "changed": [], "distance": []}
            for setting in settings:
                scores, nfe = lesson.solve_with(net, images, **setting)
                row["nfe"].append(nfe)
                row["wrong"].append(int((scores.argmax(1) != labels).sum()))
                row["changed"].append(int((scores.argmax(1) != exact.argmax(1)).sum()))
                row["distance"].append(float(f"{(scores - exact).square().mean().sqrt():.3g}"))
            rows[name][method] = row
            print(name, method, row, flush=True)
    return {"steps": FIXED, "tolerances": [float(f"{tol:.3g}") for tol in TOLERANCES], "nets": rows}


PARTS = {
    "table": lesson.table,
    "solvers": solvers,
    "growth": growth,
    "weights": weights,
    "dial": dial,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="PART",
        help=f"of {', '.join(PARTS)}; all of them if none is given",
    )
    parts = parser.parse_args().parts or list(PARTS)
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        parser.error(f"no part named {unknown[0]!r}; there are {', '.join(PARTS)}")
    torch.set_num_threads(1)
    for part in parts:
        print(f"== {part}", flush=True)
        found = PARTS[part]()
        if found is not None:
            stored = load("ode_nets.json", otherwise={})
            stored |= {part: found, "torch": torch.__version__, "processor": platform.machine()}
            stored |= {"seeds": SEEDS, "epochs": lesson.EPOCHS, "long": LONG}
            save("ode_nets.json", stored)


if __name__ == "__main__":
    main()
