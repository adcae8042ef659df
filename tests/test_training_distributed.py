"""fit in two processes on CPUs. This file is also the program that torchrun starts, once for all
tests and once more to lose a process; both are given a folder, and leave there what they found.
"""

import contextlib
import functools
import io
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from node_tutorial.course import train as course
from node_tutorial.course.runs import Run, Runs
from node_tutorial.models import MLP, NeuralODE, VectorField
from node_tutorial.solvers.compiled import compiler
from node_tutorial.solvers.compiled import solve as compiled
from node_tutorial.training import Minibatches, fit, processes, rank

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="torch has no torchrun there")

F64 = torch.float64
DOCS = Path(__file__).parents[1] / "docs" / "many_machines.md"
CHANCE = torch.Generator().manual_seed(5)
X = torch.randn(22, 2, generator=CHANCE, dtype=F64)
Y = torch.stack([X[:, 1], -X[:, 0]], dim=1) + X**2
T = torch.tensor([0.0, 1.0], dtype=F64)
STEPS = 8
FIXED = {"method": "rk4", "options": {"step_size": 0.25}}
TOLERANT = {"method": "dopri5", "rtol": 1e-8, "atol": 1e-8}
SOLVES = {
    **{
        f"{mode}, fixed steps": {"gradient": mode, **FIXED}
        for mode in ("direct", "adjoint", "interpolated", "replay", "checkpoint")
    },
    **{
        f"{mode}, adaptive steps": {"gradient": mode, **TOLERANT}
        for mode in ("direct", "adjoint", "interpolated", "replay", "checkpoint")
    },
    "reversible": {"gradient": "reversible", "method": "reversible_heun", **TOLERANT},
    "compiled, fixed steps": {"compiled": True, **FIXED},
    "compiled, adaptive steps": {"compiled": True, **TOLERANT},
}
SOLVES["reversible"] = {**FIXED, "gradient": "reversible", "method": "reversible_heun"}


def as_graph(function, examples, **settings):
    """In the place of `compile_program`: the same program, which takes no seconds to compile."""
    return compiler.trace(function, examples)


def batches():
    """Of 7, 7, 7 and 1 rows: two ranks get 4 and 3 of them, or 1 and none."""
    return Minibatches(X, Y, size=7)


def neural_ode(**solve):
    torch.manual_seed(0)
    return NeuralODE(VectorField(MLP(2, 8, 2)).double(), **(solve or FIXED))


def loss(model, batch):
    x, y = batch
    return (model(x, T)[-1] - y).square().mean()


def train(model, loss=loss, steps=STEPS, **settings):
    """What a rank finds: columns, parameters, how it ended."""
    settings = {"batches": batches(), "progress": False, **settings}
    settings.setdefault("optimizer", torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5))
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        history = fit(model, loss, steps, **settings)
    return {
        "columns": history.columns,
        "evaluations": history.evaluations,
        "parameters": torch.cat([p.detach().flatten() for p in model.parameters()]),
        "status": history.status,
        "message": history.message,
    }


class Heads(nn.Module):
    """Parameters that some steps and some ranks do not use, and one that nothing uses."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Linear(2, 2).double()
        self.heads = nn.ModuleList([nn.Linear(2, 2).double() for _ in range(2)])
        self.idle = nn.Parameter(torch.ones(3, dtype=F64))
        self.right = nn.Parameter(torch.ones(2, dtype=F64))


def heads_loss(model, batch):
    """The first head for batches of many rows; `right` where the first row points to the right."""
    x, y = batch
    found = model.heads[int(len(x) < 3)](model.body(x))
    value = (found - y).square().mean()
    return value + 0 * model.right.sum() if x[0, 0] > 0 else value


# ------------------------------------------------------------------ what each process does


def on_a_rank(folder):
    found = {}
    for name, solve in SOLVES.items():
        found[name] = train(neural_ode(**solve))
    found["heads"] = train(Heads(), heads_loss)
    found["without find_unused_parameters"] = refused_without_search()
    found["noise"] = noise()
    found["nan on one rank"] = train(neural_ode(), nan_on_rank_1)
    found["failed solve on one rank"] = solve_that_fails_on_rank_1()
    found["after that"] = train(neural_ode())
    found["different starts"] = different_starts()
    found["interrupted"] = train(neural_ode(), interrupt_rank_1, checkpoint=folder / "a.pt", seed=3)
    if rank() == 0:
        shutil.copyfile(folder / "a.pt", folder / "interrupted.pt")
    dist.barrier()
    found["resumed"] = train(neural_ode(), noisy, checkpoint=folder / "a.pt", seed=3)
    found["uninterrupted"] = train(neural_ode(), noisy, seed=3)
    found["terminated"] = terminated()
    found["stopped"] = stopped_by_rank_0(folder / "stopped.pt")
    found["evaluated"] = train(neural_ode(), evaluate=evaluate, evaluate_every=4, best="loss")
    found["averaged"] = train(neural_ode(), average=0.5)
    found["seconds"] = refusal(lambda: train(neural_ode(), steps=None, seconds=1.0))
    found["bar"] = bar()
    found["sharded"] = sharded()
    found["runs"] = long_runs(folder / "runs")
    found["documented"] = documented(folder)["history"]["loss"]
    torch.save(found, folder / f"rank {rank()}.pt")
    dist.barrier()
    train(neural_ode(), backward_fails_on_rank_1)


def refusal(call):
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def refused_without_search():
    model = DistributedDataParallel(nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)]))
    model.module.forward = lambda x: model.module[0](x).sum()
    return refusal(lambda: [model(torch.ones(1, 2)).backward() for _ in range(2)])


def noise():
    """Random numbers of this rank's steps, and one drawn afterwards."""
    drawn = []

    def draw(model, batch):
        drawn.append(torch.rand(()).item())
        return loss(model, batch)

    found = train(neural_ode(), draw, seed=1)
    return {**found, "drawn": drawn, "afterwards": torch.rand(()).item()}


def noisy(model, batch):
    return loss(model, batch) * (1 + torch.rand(()))


def nan_on_rank_1(model, batch):
    nan_on_rank_1.calls = getattr(nan_on_rank_1, "calls", 0) + 1
    return loss(model, batch) * (math.nan if rank() == 1 and nan_on_rank_1.calls == 3 else 1)


def solve_that_fails_on_rank_1():
    return train(neural_ode(options={"max_num_steps": 1 if rank() == 1 else 1000}))


def different_starts():
    model = neural_ode()
    with torch.no_grad():
        for p in model.parameters():
            p += rank()
    return train(model)


def interrupt_rank_1(model, batch):
    interrupt_rank_1.calls = getattr(interrupt_rank_1, "calls", 0) + 1
    if interrupt_rank_1.calls == 4 and rank() == 1:
        signal.raise_signal(signal.SIGINT)
    return noisy(model, batch)


def terminated():
    """SIGTERM comes to rank 1 in the third step; what it did before is done after fit."""
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append("SIGTERM"))
    calls = []

    def end(model, batch):
        calls.append(len(seen))
        if len(calls) == 3 and rank() == 1:
            signal.raise_signal(signal.SIGTERM)
        return loss(model, batch)

    found = train(neural_ode(), end)
    signal.signal(signal.SIGTERM, before)
    return {**found, "seen": seen, "seen within": calls[-1]}


def stopped_by_rank_0(checkpoint):
    seen = []

    def stop(model, history):
        seen.append(len(history))
        return len(history) == 2

    return {**train(neural_ode(), on_step=stop, checkpoint=checkpoint), "seen": seen}


def evaluate(model):
    return {"error": float(loss(model, (X, Y)))}


def bar():
    text = io.StringIO()
    with contextlib.redirect_stderr(text):
        train(neural_ode(), progress=True)
    return text.getvalue()


def sharded():
    """Gradients of a model that fully_shard has cut, and of a field cut within a solve."""
    found = {"refused": dict.fromkeys(("adjoint", "interpolated", "replay", "checkpoint"))}
    x = X[:8].tensor_split(2)[rank()]
    for mode in ("direct", "adjoint", "interpolated", "replay", "checkpoint"):
        model = neural_ode(gradient=mode, **FIXED)
        mesh = dist.init_device_mesh("cpu", (2,))
        fully_shard(model, mesh=mesh)
        model(x, T)[-1].square().mean().backward()
        found[mode] = torch.cat([p.grad.full_tensor().flatten() for p in model.parameters()])
        found["rows here"] = model.func.net[0].weight.to_local().shape[0]
    found["fit"] = refusal(lambda: train(model))
    for mode in ("direct", *found["refused"]):
        model = neural_ode(gradient=mode, **FIXED)
        fully_shard(model.func, mesh=mesh)
        call = functools.partial(model, x, T)
        if mode == "direct":
            call()[-1].square().mean().backward()
            whole = [p.grad.full_tensor().flatten() for p in model.parameters()]
            found["field, direct"] = torch.cat(whole)
        else:
            found["refused"][mode] = refusal(call)
    return found


def long_runs(folder):
    """Two results, of which the second reads the first."""

    def trained(settings, seeds):
        return {"loss": train(neural_ode(), steps=settings)["columns"]["loss"]}

    def last(settings, seeds):
        return {"last": runs.numbers()["trained"]["loss"][-1], "rank": rank()}

    runs = Runs("euler", {}, {"trained": Run(trained, 3), "last": Run(last, 0)})
    with contextlib.redirect_stderr(io.StringIO()):
        return course.train(runs, to=folder)


def documented(folder):
    """What the script that docs/many_machines.md begins with has made, by name."""
    script = DOCS.read_text("utf-8").split("```python\n")[1].split("```")[0]
    names = {}
    with contextlib.redirect_stderr(io.StringIO()):
        exec(script.replace("run.pt", str(folder / "documented.pt")), names)
    return names


def backward_fails_on_rank_1(model, batch):
    backward_fails_on_rank_1.calls = getattr(backward_fails_on_rank_1, "calls", 0) + 1
    value = loss(model, batch)
    return Fails.apply(value) if rank() == 1 and backward_fails_on_rank_1.calls == 3 else value


class Fails(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value):
        return value.clone()

    @staticmethod
    def backward(ctx, grad):
        raise ArithmeticError("this rank's backward pass went wrong")


def with_a_kill(folder):
    """Rank 1 is killed in its sixth step."""
    calls = []

    def kill(model, batch):
        calls.append(batch)
        if len(calls) == 6 and rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return loss(model, batch)

    train(neural_ode(), kill, checkpoint=folder / "killed.pt")


# ------------------------------------------------------------------ what is asked of it


def start(part, folder, *machines):
    """Run this file under torchrun, with a launcher for each of `machines`, all of them this one.

    Returns (exit code, what was printed) of each.
    """
    python = [sys.executable, "-m", "torch.distributed.run"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    launchers = [
        subprocess.Popen(
            [*python, *options, __file__, part, str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )
        for options in machines
    ]
    printed = [launcher.communicate(timeout=600)[0] for launcher in launchers]
    return [(launcher.returncode, text) for launcher, text in zip(launchers, printed)]


def two_machines():
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    meet = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"localhost:{port}", "--rdzv-id", "1"]
    return [["--nnodes", "2", "--nproc-per-node", "1", *meet]] * 2


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What rank 0 and rank 1 found, how their launchers ended, and the folder.

    Each has a launcher of its own, as on two machines.
    """
    folder = tmp_path_factory.mktemp("ranks")
    ended = start("all", folder, *two_machines())
    try:
        found = [torch.load(folder / f"rank {i}.pt", weights_only=True) for i in range(2)]
    except FileNotFoundError:
        pytest.fail("\n".join(text for _, text in ended))
    return *found, ended, folder


@pytest.fixture(scope="module")
def alone():
    """The same training in one process, once for each settings of the solve."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "compile_program", as_graph)
        return {name: train(neural_ode(**settings)) for name, settings in SOLVES.items()}


def apart(a, b):
    return (a["parameters"] - b["parameters"]).abs().max().item()


@pytest.mark.parametrize("name", SOLVES)
def test_it_is_the_training_of_one_process(ranks, alone, name):
    first, second, *_ = ranks
    within = 1e-6 if "adaptive" in name else 1e-12
    assert first[name]["status"] == "finished"
    assert torch.equal(first[name]["parameters"], second[name]["parameters"])
    assert apart(first[name], alone[name]) < within
    for column in ("loss", "gradient"):
        assert first[name]["columns"][column] == pytest.approx(
            alone[name]["columns"][column], rel=within
        )
    if "fixed" in name:
        assert first[name]["columns"]["nfe"] == alone[name]["columns"]["nfe"]


def test_the_parts_are_the_batch_in_its_order_and_their_shares_weigh_the_gradient():
    split = batches()
    for step in range(5):
        whole = split(step)
        parts = [split.part(step, i, 2) for i in range(2)]
        assert sum(share for _, share in parts) == 1
        together = [torch.cat(x) for x in zip(*(rows for rows, share in parts if share))]
        assert all(torch.equal(x, y) for x, y in zip(together, whole))
    assert [len(rows[0]) for rows, _ in parts] == [4, 3]  # of the first batch of the next epoch

    def gradient(batch):
        model = neural_ode()
        loss(model, batch).backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    whole = gradient((X, Y))
    uneven = [((X[:16], Y[:16]), 16 / 22), ((X[16:], Y[16:]), 6 / 22)]
    weighted = sum(share * gradient(rows) for rows, share in uneven)
    mean_of_means = sum(gradient(rows) for rows, _ in uneven) / 2
    torch.testing.assert_close(weighted, whole, rtol=1e-12, atol=1e-14)
    assert (mean_of_means - whole).norm() > 0.02 * whole.norm()


def test_a_process_without_a_row_takes_part_with_the_share_zero():
    (x, _), share = batches().part(3, 1, 2)
    assert share == 0 and len(x) == 1


def test_parameters_that_a_rank_does_not_use_need_a_search(ranks):
    first, second, *_ = ranks
    one = train(Heads(), heads_loss)
    assert apart(first["heads"], one) < 1e-12 > apart(second["heads"], one)
    assert "find_unused_parameters=True" in first["without find_unused_parameters"]


def test_ranks_start_from_the_parameters_of_rank_0(ranks, alone):
    assert apart(ranks[1]["different starts"], alone["direct, fixed steps"]) < 1e-12


def test_ranks_draw_numbers_of_their_own_and_rank_0_those_of_one_process(ranks):
    first, second = (found["noise"] for found in ranks[:2])
    torch.manual_seed(1)
    assert first["drawn"] == [torch.rand(()).item() for _ in range(STEPS)]
    assert not set(first["drawn"]) & set(second["drawn"])
    assert first["afterwards"] == second["afterwards"]
    assert torch.equal(first["parameters"], second["parameters"])


@pytest.mark.parametrize(
    "name, step, reason",
    [
        ("nan on one rank", 2, "on rank 1, the loss is nan"),
        ("failed solve on one rank", 0, "on rank 1, max_num_steps"),
    ],
)
def test_a_rank_that_diverges_stops_all_with_its_reason(ranks, alone, name, step, reason):
    for found in ranks[:2]:
        assert found[name]["status"] == "diverged"
        assert found[name]["message"].startswith(f"diverged at step {step}: {reason}")
        assert len(found[name]["columns"]["loss"]) == step
        assert apart(found["after that"], alone["direct, fixed steps"]) < 1e-12


def test_an_interrupted_rank_stops_all_after_the_same_step_and_nothing_is_lost(ranks):
    first, second, _, folder = ranks
    for found in (first, second):
        assert found["interrupted"]["message"].startswith("interrupted after 3 of 8 steps")
        assert torch.equal(found["resumed"]["parameters"], found["uninterrupted"]["parameters"])
    losses = first["uninterrupted"]["columns"]["loss"]
    assert first["resumed"]["columns"]["loss"] == losses
    # One process goes on, too; its random numbers from there on are rank 0's.
    one = train(neural_ode(), noisy, checkpoint=folder / "interrupted.pt", seed=3)
    assert one["status"] == "finished" and one["columns"]["loss"][:3] == losses[:3]


def test_another_number_of_processes_goes_on_from_a_checkpoint(ranks, alone):
    one = train(neural_ode(), checkpoint=ranks[3] / "stopped.pt")
    assert one["columns"]["loss"][:2] == ranks[0]["stopped"]["columns"]["loss"]
    assert apart(one, alone["direct, fixed steps"]) < 1e-12


def test_a_job_that_is_terminated_stops_after_a_whole_step_and_then_is_terminated(ranks):
    first, second, *_ = ranks
    assert first["terminated"]["status"] == second["terminated"]["status"] == "interrupted"
    assert len(first["terminated"]["columns"]["loss"]) == 2
    assert (first["terminated"]["seen"], second["terminated"]["seen"]) == ([], ["SIGTERM"])
    assert second["terminated"]["seen within"] == 0


def test_on_step_and_the_bar_are_for_rank_0_and_a_stop_is_for_all(ranks):
    first, second, *_ = ranks
    assert (first["stopped"]["seen"], second["stopped"]["seen"]) == ([1, 2], [])
    assert first["stopped"]["status"] == second["stopped"]["status"] == "stopped"
    assert "8/8" in first["bar"] and second["bar"] == ""


def test_evaluations_the_best_and_the_average_are_those_of_one_process(ranks):
    evaluated = train(neural_ode(), evaluate=evaluate, evaluate_every=4, best="loss")
    averaged = train(neural_ode(), average=0.5)
    for found in ranks[:2]:
        assert found["evaluated"]["evaluations"]["error"] == pytest.approx(
            evaluated["evaluations"]["error"], rel=1e-12
        )
        assert apart(found["evaluated"], evaluated) < 1e-12 > apart(found["averaged"], averaged)


def test_a_budget_of_seconds_is_refused(ranks):
    assert ranks[0]["seconds"].startswith("ValueError: seconds = 1.0 is a budget of one process")


def test_a_sharded_model_has_the_gradient_of_the_whole_one_and_fit_refuses_it(ranks):
    sharded = ranks[1]["sharded"]
    assert sharded["rows here"] == 4  # of 8
    for mode in ("direct", "adjoint", "interpolated", "replay", "checkpoint"):
        model = neural_ode(gradient=mode, **FIXED)
        model(X[:8], T)[-1].square().mean().backward()
        whole = torch.cat([p.grad.flatten() for p in model.parameters()])
        torch.testing.assert_close(sharded[mode], whole, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(sharded["field, direct"], whole, rtol=1e-12, atol=1e-14)
    assert all("parameters are sharded" in text for text in sharded["refused"].values())
    assert sharded["fit"].startswith("TypeError: model is sharded")


def test_an_error_on_one_rank_ends_all_with_its_words(ranks):
    line = "the training has ended after 2 of 8 steps, for all 2 processes. First rank 1: Arith"
    assert all(code != 0 for code, _ in ranks[2])
    assert sum(line in text for _, text in ranks[2]) == 1  # rank 1 raises what went wrong


def test_a_killed_process_ends_all_and_the_checkpoint_has_every_whole_step(tmp_path, alone):
    [(code, text)] = start("kill", tmp_path, ["--standalone", "--nproc-per-node", "2"])
    assert code != 0
    assert "the training has ended after 5 of 8 steps, for all 2 processes" in text
    assert "ended from outside, or the memory was full" in text
    steps = []
    resumed = train(
        neural_ode(),
        checkpoint=tmp_path / "killed.pt",
        on_step=lambda model, history: steps.append(len(history)),
    )
    assert steps == [6, 7, 8]
    assert apart(resumed, alone["direct, fixed steps"]) < 1e-12


def test_long_runs_are_made_by_all_and_stored_by_rank_0(ranks):
    assert ranks[0]["runs"] == ranks[1]["runs"] == 0
    stored = json.loads((ranks[3] / "runs" / "euler" / "stored.json").read_text())["results"]
    assert len(stored["trained"]["numbers"]["loss"]) == 3
    assert stored["last"]["numbers"]["rank"] == 0
    assert stored["last"]["measured on"].endswith("1 thread, 2 processes")


def test_the_documented_script_learns_in_two_processes_what_it_does_in_one(ranks, tmp_path):
    names = documented(tmp_path)
    one = names["history"]["loss"]
    for found in ranks[:2]:
        assert found["documented"][:20] == pytest.approx(one[:20], rel=1e-2)
        assert max(found["documented"][-8:]) < 0.1 * one[0] > max(one[-8:])

    def gradient(rows):
        torch.manual_seed(0)
        torch.randn(512, 2)  # as the script does before it makes the model
        model = NeuralODE(VectorField(MLP(2, 32, 2)))
        names["loss"](model, (names["x"][rows], names["y"][rows])).backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    whole = gradient(slice(64))
    mean_of_means = (gradient(slice(48)) + gradient(slice(48, 64))) / 2
    assert 0.1 < (mean_of_means - whole).norm() / whole.norm() < 0.16


LAST = """
import atexit
import glob

def threads():
    print("threads:", *(open(name).read().strip() for name in glob.glob("/proc/self/task/*/comm")))

atexit.register(threads)  # what is registered first comes last

from node_tutorial.lessons.beyond_one_machine import worker

worker.train(worker.Job("RK4", 64, 1))
threads()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="where Linux lists threads")
def test_no_thread_of_the_group_is_left_that_could_abort_the_end_of_the_interpreter(tmp_path):
    program = tmp_path / "last.py"
    program.write_text(LAST)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*torchrun, "--nproc-per-node=2", str(program)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("threads:") == 4
    assert done.stdout.count("gloo_tcp_loop") == 2  # of two processes, after the training only


def test_one_process_is_no_distributed_training():
    assert (rank(), processes()) == (0, 1) and not dist.is_initialized()


if __name__ == "__main__":
    torch.set_num_threads(1)
    compiled.compile_program = as_graph
    {"all": on_a_rank, "kill": with_a_kill}[sys.argv[1]](Path(sys.argv[2]))
