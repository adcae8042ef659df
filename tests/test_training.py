"""fit: the loop, what it records, and what it does when a training goes wrong or is cut short."""

import itertools
import math
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
from torch import nn

from node_tutorial.models import MLP, NeuralODE, VectorField
from node_tutorial.training import (
    History,
    Minibatches,
    Price,
    Work,
    cosine,
    fit,
    linear,
    loop,
    state,
)

X = torch.linspace(-1, 1, 20).reshape(-1, 1)
Y = torch.sin(3 * X)
NAMES = itertools.count()  # another one every time


def net(seed=0, *extra):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(1, 8), nn.Tanh(), *extra, nn.Linear(8, 1))


def loss(model, step):
    return (model(X) - Y).square().mean()


def quiet(*args, **kwargs):
    return fit(*args, **{"progress": False, **kwargs})


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# ------------------------------------------------------------------ the loop


def test_it_equals_a_loop_written_by_hand():
    by_hand, losses = net(), []
    optimizer = torch.optim.Adam(by_hand.parameters(), lr=0.02)
    for step in range(30):
        optimizer.zero_grad()
        value = loss(by_hand, step)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    ours = net()
    history = quiet(ours, loss, 30, lr=0.02)
    assert same(ours, by_hand) and history["loss"] == losses
    assert history.status == "finished" and history.message == "" and len(history) == 30


def test_the_history_has_times_gradients_and_what_the_loss_returns_besides():
    def two_terms(model, step):
        fit_term, size = loss(model, step), model[0].weight.square().sum()
        return fit_term + 0.01 * size, {"fit": fit_term, "size": size.item()}

    model = net()
    history = quiet(model, two_terms, 5)
    assert set(history.columns) == {"loss", "seconds", "gradient", "fit", "size"}
    assert all(len(column) == 5 for column in history.columns.values())
    assert history["seconds"] == sorted(history["seconds"])
    total = [f + 0.01 * s for f, s in zip(history["fit"], history["size"])]
    assert history["loss"] == pytest.approx(total, rel=1e-5)
    again = net()
    two_terms(again, 0)[0].backward()
    norm = math.sqrt(sum(p.grad.square().sum().item() for p in again.parameters()))
    assert history["gradient"][0] == pytest.approx(norm, rel=1e-5)
    assert "5 of 5 steps" in repr(history)
    with pytest.raises(KeyError, match=r"no column 'size_'; there are loss"):
        history["size_"]


@pytest.mark.parametrize("gradient", ["direct", "adjoint"])
def test_evaluations_are_recorded(gradient):
    model = NeuralODE(VectorField(MLP(2, 8, 2)), gradient=gradient)
    y0, t = torch.ones(3, 2), torch.linspace(0, 1, 4)
    history = quiet(model, lambda model, step: model(y0, t)[-1].square().mean(), 3)
    assert all(nfe >= 7 for nfe in history["nfe"]) and history["nfe"][-1] == model.stats.nfe
    assert all((nfe > 0) == (gradient == "adjoint") for nfe in history["nfe_backward"])


def test_batches_reach_the_loss():
    seen = []

    def remember(model, batch):
        seen.append(batch)
        return loss(model, 0)

    quiet(net(), remember, 3)
    quiet(net(), remember, 3, batches=lambda step: ("batch", step))
    assert seen == [0, 1, 2, ("batch", 0), ("batch", 1), ("batch", 2)]


def test_a_schedule_multiplies_the_rate_and_leaves_no_trace():
    model, rates = net(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    quiet(
        model,
        loss,
        4,
        optimizer=optimizer,
        schedule=lambda step: 0.5**step,
        on_step=lambda model, history: rates.append(optimizer.param_groups[0]["lr"]),
    )
    assert rates == [0.1, 0.05, 0.025, 0.0125] and optimizer.param_groups[0]["lr"] == 0.1


def test_clipping_shortens_what_is_too_long_and_nothing_else():
    gradients = {}
    for clip in (None, 1e6, 0.01):
        model, before = net(), net()
        history = quiet(
            model, loss, 1, clip=clip, optimizer=torch.optim.SGD(model.parameters(), lr=1.0)
        )
        moved = [p - q for p, q in zip(model.parameters(), before.parameters())]
        gradients[clip] = math.sqrt(sum(m.square().sum().item() for m in moved))
        assert history["gradient"][0] == pytest.approx(
            gradients[None], rel=1e-5
        )  # as it was before clipping
    assert gradients[1e6] == gradients[None] > 0.1
    assert gradients[0.01] == pytest.approx(0.01, rel=1e-3)


def test_a_seed_repeats_a_random_training():
    def noisy(model, step):
        return (model(X) - Y + 0.1 * torch.randn_like(Y)).square().mean()

    runs = {}
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        torch.rand(7)
        runs[name] = net(), seed
        torch.rand(len(runs))
        quiet(runs[name][0], noisy, 5, seed=seed)
    assert same(runs["a"][0], runs["b"][0]) and not same(runs["a"][0], runs["c"][0])


def test_the_best_parameters_are_kept_if_asked():
    values = [5.0, 3.0, 1.0, 4.0, 2.0]
    before = []

    def with_score(model, step):
        before.append({name: p.clone() for name, p in model.state_dict().items()})
        return loss(model, step), {"score": values[step]}

    model = net()
    history = quiet(model, with_score, 5, lr=0.1, best="score")
    assert history.best_step == 2
    assert all(torch.equal(p, before[2][name]) for name, p in model.state_dict().items())
    with pytest.raises(KeyError, match="no column 'skore'"):
        quiet(net(), with_score, 5, best="skore")


def test_on_step_sees_every_step_and_can_stop():
    lengths = []
    history = quiet(
        net(),
        loss,
        50,
        on_step=lambda model, history: lengths.append(len(history)) or len(history) == 4,
    )
    assert lengths == [1, 2, 3, 4] and len(history) == 4 and history.status == "stopped"


def test_it_trains_in_training_mode_without_grad_around_it_and_off_the_main_thread():
    model, results = net(0, nn.Dropout(0.5)).eval(), []

    def work():
        with torch.no_grad():
            results.append(quiet(model, loss, 3))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert (
        results[0].status == "finished"
        and model.training
        and not same(model, net(0, nn.Dropout(0.5)))
    )
    assert all(p.grad is None for p in model.parameters())


def test_the_bar_is_shown_only_if_wanted(capsys):
    fit(net(), loss, 3, progress=False)
    assert capsys.readouterr() == ("", "")
    fit(net(), loss, 3)
    assert "3/3" in capsys.readouterr().err


def test_importing_it_loads_no_widgets():
    code = "import sys, node_tutorial.training; print(*{%s} & set(sys.modules))"
    code %= "'ipywidgets', 'matplotlib', 'tqdm.auto'"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        == "\n"
    )


# ------------------------------------------------------------------ schedules


@pytest.mark.parametrize("end", [1.0, 7, 400])
def test_schedules_fall_from_one_to_zero(end):
    for schedule in (cosine(end), linear(end)):
        rates = [schedule(end * k / 8) for k in range(9)]
        assert rates[0] == 1 and rates[4] == pytest.approx(0.5) and rates[8] == pytest.approx(0)
        assert rates == sorted(rates, reverse=True)
    assert cosine(end)(end / 4) == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert linear(end)(end / 4) == pytest.approx(0.75)


# ------------------------------------------------------------------ a budget of seconds


@pytest.fixture
def clock(monkeypatch):
    """A processor that works only when told to: clock.work(seconds)."""

    class Clock:
        now = 100.0

        def work(self, seconds):
            self.now += seconds

    clock = Clock()
    monkeypatch.setattr(loop, "_processor", lambda: clock.now)
    return clock


def slow(clock, seconds=0.25):
    def loss_of_time(model, batch):
        clock.work(seconds)
        return loss(model, batch)

    return loss_of_time


def test_a_budget_is_used_up_by_the_last_step_and_not_exceeded_by_another(clock):
    history = quiet(net(), slow(clock, 0.375), seconds=1)
    assert len(history) == 3 and history.spent == 1.125 and history.status == "finished"
    assert history.steps is None and "3 steps in 1.12 of 1 s" in repr(history)
    assert len(quiet(net(), slow(clock, 0.25), seconds=1)) == 4


def test_with_a_budget_schedule_and_loss_get_the_used_share_and_batches_the_step(clock):
    rates, seen = [], []

    def record(model, batch):
        seen.append(batch)
        return slow(clock)(model, batch)

    quiet(net(), record, seconds=1, schedule=lambda place: rates.append(place) or 1.0)
    assert rates == seen == [0, 0.25, 0.5, 0.75]
    seen.clear()
    quiet(net(), record, seconds=1, batches=lambda step: step)
    assert seen == [0, 1, 2, 3]


def test_a_budget_of_many_seconds_is_the_same_training_as_its_steps(clock):
    by_steps, by_seconds = net(), net()
    quiet(by_steps, loss, 8, lr=0.05, schedule=linear(8))
    quiet(by_seconds, slow(clock), seconds=2, lr=0.05, schedule=linear())
    assert same(by_steps, by_seconds)


def test_work_at_its_price_ends_a_training_whatever_the_clock_says(clock):
    model, shares = NeuralODE(VectorField(MLP(2, 4, 2))), []
    y0, t = torch.ones(4, 2), torch.tensor([0.0, 1.0])
    work = Work(500.0, Price(2.0, 1.5))

    def record(model, share):
        clock.work(1000)
        shares.append(share)
        return model(y0, t).square().mean()

    history = quiet(model, record, work.most, batches=lambda _: work.share, on_step=work.count)
    prices = [2.0 + 1.5 * nfe for nfe in history["nfe"]]
    assert sum(prices) == work.used >= 500 > sum(prices[:-1])
    assert shares == [sum(prices[:i]) / 500 for i in range(len(history))]
    work = Work(7.0, Price(2.0, 100.0))  # of a net without evaluations only updates are counted
    assert len(quiet(net(), loss, work.most + 5, on_step=work.count)) == work.most == 4


def test_only_the_training_is_paid_from_the_budget(clock):
    history = quiet(
        net(),
        slow(clock),
        seconds=1,
        on_step=lambda model, history: clock.work(10),
        evaluate=lambda model: clock.work(10) or {"one": 1},
        evaluate_every=1,
    )
    assert history.spent == 1 and len(history) == 4 and len(history.evaluations["one"]) == 5


def test_the_seconds_of_steps_are_counted_too(clock):
    assert quiet(net(), slow(clock), 3).spent == 0.75


@pytest.mark.parametrize("step", [0, 1, 5, 11])
@pytest.mark.parametrize("how", [KeyboardInterrupt, OSError])
def test_a_resumed_budget_equals_an_uninterrupted_one(tmp_path, clock, step, how):
    batches = Minibatches(X, Y, size=6)
    settings = {"seconds": 3, "lr": 0.05, "schedule": cosine(), "seed": 7, "batches": batches}
    settings |= {"evaluate": lambda model: {"loss": loss(model, 0)}, "evaluate_every": 4}

    def work(model, batch):
        clock.work(0.25)
        return noisy_loss(model, batch)

    def stopping(model, batch):
        if len(calls) == step:
            raise how
        calls.append(step)
        return work(model, batch)

    whole, calls = noisy_net(0), []
    expected = quiet(whole, work, **settings)
    settings |= {"checkpoint": tmp_path / "run.pt", "save_every": 0}
    with pytest.raises(OSError) if how is OSError else pytest.warns(RuntimeWarning):
        quiet(noisy_net(0), stopping, **settings)
    model = noisy_net(0 if step == 0 else 5)
    history = quiet(model, work, **settings)
    assert same(model, whole) and len(history) == 12 and history.spent == 3
    assert history["loss"] == expected["loss"] and history.evaluations == expected.evaluations


def test_a_checkpoint_of_another_budget_is_refused(tmp_path, clock):
    file = tmp_path / "run.pt"
    quiet(net(), slow(clock), seconds=2, checkpoint=file)
    assert len(quiet(net(), slow(clock), seconds=3, checkpoint=file)) == 12
    with pytest.raises(ValueError, match=r"of 3 seconds, more than seconds = 2; delete"):
        quiet(net(), slow(clock), seconds=2, checkpoint=file)
    with pytest.raises(ValueError, match=r"made with budget = 'of seconds', now it is 'of steps'"):
        quiet(net(), loss, 20, checkpoint=file)


def test_a_training_that_diverges_ends_before_its_time(clock):
    def explode(model, share):
        return slow(clock)(model, share) * (math.nan if share > 0.5 else 1.0)

    with pytest.warns(RuntimeWarning, match=r"diverged at step 3: the loss is nan"):
        history = quiet(net(), explode, seconds=1)
    assert history.status == "diverged" and len(history) == 3


def test_the_bar_of_a_budget_counts_percents(clock, capsys):
    fit(net(), slow(clock), seconds=1)
    assert "100/100" in capsys.readouterr().err


def test_the_processor_is_counted_for_this_thread_alone():
    stop = threading.Event()
    other = threading.Thread(target=lambda: [math.sqrt(k) for k in iter(lambda: stop.is_set(), 1)])
    other.start()
    try:
        before, processes = loop._processor(), time.process_time()
        while time.process_time() - processes < 0.05:  # until the other one has worked
            time.sleep(0.001)
        assert loop._processor() - before < 0.9 * (time.process_time() - processes)
    finally:
        stop.set()
        other.join()


# ------------------------------------------------------------------ evaluations


def test_evaluations_are_recorded_with_their_steps_and_change_nothing():
    modes = []

    def evaluate(model):
        modes.append((model.training, torch.is_grad_enabled()))
        return {"noise": torch.rand(()), "mean": model(X).mean()}

    kept, watched = noisy_net(0), noisy_net(0)
    settings = {**NOISY, "lr": 0.05}
    plain = quiet(kept, noisy_loss, 10, **settings)
    history = quiet(watched, noisy_loss, 10, **settings, evaluate=evaluate, evaluate_every=4)
    assert history.evaluations["step"] == [0, 4, 8, 10]
    assert set(history.evaluations) == {"step", "noise", "mean"}
    assert len(history.evaluations["mean"]) == 4 and set(modes) == {(False, False)}
    assert same(kept, watched) and history["loss"] == plain["loss"]
    assert plain.evaluations == {"step": []} and watched.training


def test_without_evaluate_every_the_end_is_evaluated():
    history = quiet(net(), loss, 3, evaluate=lambda model: {"loss": loss(model, 0)})
    assert history.evaluations["step"] == [3]


# ------------------------------------------------------------------ mini-batches


def test_every_row_comes_once_per_epoch_in_an_order_that_follows_from_seed_and_step():
    x = torch.arange(10)
    batches = Minibatches(x, -x, size=4, seed=1)
    assert batches.per_epoch == 3
    epochs = [torch.cat([batches(step)[0] for step in range(3 * e, 3 * e + 3)]) for e in (0, 1)]
    assert all(torch.equal(epoch.sort().values, x) for epoch in epochs) and not torch.equal(*epochs)
    rows, negative = batches(4)
    assert torch.equal(rows, -negative) and torch.equal(rows, Minibatches(x, size=4, seed=1)(4)[0])
    assert not torch.equal(rows, Minibatches(x, size=4, seed=2)(4)[0])


# ------------------------------------------------------------------ divergence


def test_an_infinite_loss_gives_the_last_good_parameters_back():
    before = []

    def explode(model, step):
        before.append({name: p.clone() for name, p in model.state_dict().items()})
        return loss(model, step) * (1.0 if step < 3 else math.inf)

    model = net()
    with pytest.warns(
        RuntimeWarning,
        match=r"diverged at step 3: the loss is inf.*step 2 again.*smaller lr \(it was 0\.5",
    ):
        history = quiet(model, explode, 10, lr=0.5)
    assert history.status == "diverged" and len(history) == 3 and "clip=1.0" in history.message
    assert all(torch.equal(p, before[2][name]) for name, p in model.state_dict().items())


def test_a_solve_that_fails_stops_with_its_reason():
    class Growth(nn.Module):
        def __init__(self):
            super().__init__()
            self.rate = nn.Parameter(torch.tensor(0.5))

        def forward(self, t, y):
            return self.rate * y**2

    model, t = NeuralODE(Growth()), torch.tensor([0.0, 1.0])
    with pytest.warns(
        RuntimeWarning, match=r"diverged at step 1: underflow in dt"
    ):  # 1 / (1 - rate t) has a pole
        history = quiet(
            model,
            lambda model, step: -model(torch.ones(1), t)[-1].sum(),
            9,
            optimizer=torch.optim.SGD(model.parameters(), lr=1.0),
        )
    assert model.func.rate.item() == 0.5 and history["loss"] == [pytest.approx(-2, rel=1e-2)]


def test_a_bad_start_is_told_from_a_bad_update():
    with pytest.warns(
        RuntimeWarning, match=r"diverged at step 0: the loss is nan\. No update has been made"
    ):
        history = quiet(net(), lambda model, step: loss(model, step) * math.nan, 5)
    assert len(history) == 0 and "of 5 steps" in repr(history)


def test_a_gradient_that_is_not_finite_is_not_followed():
    model, start = net(), net()
    with pytest.warns(RuntimeWarning, match=r"gradient is not finite\. .* sqrt"):
        quiet(model, lambda model, step: (0 * model(X)).square().sum().sqrt(), 5)
    assert same(model, start)


def test_a_finite_loss_of_exploded_parameters_gives_the_last_good_ones_back():
    """The update makes the loss so large that its gradient overflows."""
    model = net()

    def loss(model, step):
        return (model(X) - 1).pow(4).mean() * 1e3

    sgd = torch.optim.SGD(model.parameters(), lr=1e3)
    with pytest.warns(RuntimeWarning, match="a smaller lr"):
        history = quiet(model, loss, 200, optimizer=sgd)
    assert loss(model, 0).item() == pytest.approx(history["loss"][-1])


def test_an_encoder_that_overflows_is_a_divergence():
    torch.manual_seed(0)
    ode = NeuralODE(VectorField(MLP(2, 8, 2)))
    model = nn.Sequential(nn.Linear(2, 2), ode)
    x, t = torch.randn(8, 2), torch.tensor([0.0, 1.0])

    def loss(model, step):
        scale = math.nan if step else 1.0  # as an encoder that has overflown
        return model[1](scale * model[0](x), t)[-1].square().mean()

    with pytest.warns(RuntimeWarning, match="y0 is not finite"):
        history = quiet(model, loss, 5)
    assert history.status == "diverged" and len(history) == 1


def test_lbfgs_is_refused_by_name():
    model = net()
    with pytest.raises(TypeError, match="LBFGS"):
        fit(model, lambda m, s: m(X).sum(), 3, optimizer=torch.optim.LBFGS(model.parameters()))


# ------------------------------------------------------------------ the average of the parameters


def test_the_average_is_its_formula_and_the_training_does_not_notice_it():
    plain, model = net(), net()
    newest = [net().state_dict()]
    quiet(
        plain,
        loss,
        30,
        lr=0.05,
        on_step=lambda model, history: newest.append(
            {name: p.clone() for name, p in model.state_dict().items()}
        ),
    )
    history = quiet(model, loss, 30, lr=0.05, average=0.7)
    assert history["loss"] == quiet(net(), loss, 30, lr=0.05)["loss"]
    for name, p in model.state_dict().items():
        average = newest[0][name]
        for k in range(30):
            d = min(0.7, (1 + k) / (10 + k))
            average = d * average + (1 - d) * newest[k + 1][name]
        assert torch.allclose(p, average, atol=1e-6)
    assert not same(model, plain)


def test_the_average_forgets_where_it_began():
    """With decay 0.999 alone, 0.82 of the start were left after 200 updates."""
    model = net()
    start = {name: torch.ones_like(p) for name, p in model.named_parameters()}
    average = start
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    for k in range(200):
        average = state.averaged(average, model, 0.999, k)
    assert max(float(p.max()) for p in average.values()) < 1e-7
    assert all((p == 1).all() for p in start.values())


def test_the_loss_and_on_step_see_the_newest_evaluate_and_the_end_the_average():
    seen = {"on_step": [], "evaluate": []}

    def weight(model):
        return model[0].weight[0, 0].item()

    model = net()
    quiet(
        model,
        loss,
        9,
        lr=0.1,
        average=0.9,
        on_step=lambda model, history: seen["on_step"].append(weight(model)),
        evaluate=lambda model: seen["evaluate"].append(weight(model)) or {"one": 1},
        evaluate_every=3,
    )
    average = [weight(net())]
    for k, newest in enumerate(seen["on_step"]):
        d = min(0.9, (1 + k) / (10 + k))
        average.append(d * average[-1] + (1 - d) * newest)
    assert seen["evaluate"] == pytest.approx([average[k] for k in (0, 3, 6, 9)], rel=1e-5)
    assert weight(model) == seen["evaluate"][-1] != seen["on_step"][-1]


def test_buffers_are_not_averaged():
    average, plain = noisy_net(0), noisy_net(0)
    settings = {**NOISY, "best": None}
    quiet(average, noisy_loss, 8, **settings, average=0.9)
    quiet(plain, noisy_loss, 8, **settings)
    assert all(torch.equal(a, b) for a, b in zip(average.buffers(), plain.buffers()))
    assert not same(average, plain)


def test_an_update_that_spoils_the_parameters_does_not_reach_the_average():
    def explode(model, step):
        return loss(model, step) * (1.0 if step < 3 else math.inf)

    expected, model = net(), net()
    quiet(expected, loss, 2, lr=0.5, average=0.9)
    with pytest.warns(RuntimeWarning, match="has the average of the parameters until step 2 again"):
        history = quiet(model, explode, 10, lr=0.5, average=0.9)
    assert history.status == "diverged" and same(model, expected)


def test_an_average_and_a_training_that_cannot_start_leave_the_model_as_it_was():
    model = net()
    with pytest.warns(RuntimeWarning, match="No update has been made"):
        quiet(model, lambda model, step: loss(model, step) * math.nan, 5, average=0.9)
    assert same(model, net())


def test_an_interruption_leaves_the_average_of_the_whole_steps():
    expected, model = noisy_net(0), noisy_net(0)
    settings = {**NOISY, "best": None, "average": 0.9}
    quiet(expected, noisy_loss, 5, **settings)
    with pytest.warns(RuntimeWarning, match="the model has the average of the parameters"):
        quiet(model, stop_at(5, KeyboardInterrupt()), 12, **settings)
    assert same(model, expected)


@pytest.mark.parametrize("during", ["start", "middle"])
def test_an_interrupted_evaluation_brings_the_newest_parameters_back(tmp_path, during):
    settings = {"lr": 0.1, "average": 0.9, "evaluate_every": 2, "checkpoint": tmp_path / "run.pt"}
    calls = []

    def evaluate(model):
        calls.append(len(calls))
        if len(calls) == (1 if during == "start" else 3):
            raise KeyboardInterrupt
        return {"one": 1}

    with pytest.warns(RuntimeWarning, match="interrupted"):
        quiet(net(), loss, 8, evaluate=evaluate, **settings)
    resumed, whole = net(), net()
    history = quiet(resumed, loss, 8, evaluate=lambda model: {"one": 1}, **settings)
    quiet(whole, loss, 8, lr=0.1, average=0.9)
    assert same(resumed, whole) and history.evaluations["step"] == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("step", [0, 1, 5, 11])
@pytest.mark.parametrize("how", [KeyboardInterrupt, OSError])
def test_an_averaged_training_resumes_bit_for_bit(tmp_path, step, how):
    settings = {**NOISY, "best": None, "average": 0.8}
    whole = noisy_net(0)
    quiet(whole, noisy_loss, 12, **settings)
    settings |= {"checkpoint": tmp_path / "run.pt", "save_every": 0}
    with pytest.raises(OSError) if how is OSError else pytest.warns(RuntimeWarning):
        quiet(noisy_net(0), stop_at(step, how()), 12, **settings)
    model = noisy_net(0 if step == 0 else 5)
    assert quiet(model, noisy_loss, 12, **settings).status == "finished"
    assert same(model, whole)
    longer, whole = noisy_net(5), noisy_net(0)
    quiet(longer, noisy_loss, 15, **settings)  # goes on from the newest, not from the average
    quiet(whole, noisy_loss, 15, **{**settings, "checkpoint": None})
    assert same(longer, whole)


def test_a_checkpoint_without_an_average_is_refused_where_one_is_wanted(tmp_path):
    file = tmp_path / "run.pt"
    quiet(net(), loss, 3, checkpoint=file)
    with pytest.raises(ValueError, match=r"made with average = None, now it is 0\.9; change that"):
        quiet(net(), loss, 3, checkpoint=file, average=0.9)


# ------------------------------------------------------------------ interruption and resumption


def noisy_loss(model, batch):
    """With everything that a resumption has to bring back: batches, dropout, random numbers,
    buffers.
    """
    x, y = batch
    value = (model(x) - y + 0.1 * torch.randn_like(y)).square().mean()
    return value, {"score": value.detach() + torch.rand(())}


def noisy_net(seed):
    return net(seed, nn.BatchNorm1d(8), nn.Dropout(0.2))


NOISY = {
    "batches": Minibatches(X, Y, size=6),
    "lr": 0.05,
    "schedule": lambda step: 0.9**step,
    "clip": 0.5,
    "seed": 7,
    "best": "score",
}


def stop_at(step, error):
    calls = iter(range(10**9))

    def stopping(model, batch):
        value = noisy_loss(model, batch)  # draws random numbers and moves buffers first
        if next(calls) == step:
            raise error
        return value

    return stopping


@pytest.fixture(scope="module")
def uninterrupted():
    model = noisy_net(0)
    return model, quiet(model, noisy_loss, 12, **NOISY)


@pytest.mark.parametrize("step", [0, 1, 5, 11])
@pytest.mark.parametrize("how", [KeyboardInterrupt, OSError])
def test_a_resumed_training_equals_an_uninterrupted_one_bit_for_bit(
    tmp_path, uninterrupted, step, how
):
    file, settings = (
        tmp_path / "run.pt",
        {**NOISY, "checkpoint": tmp_path / "run.pt", "save_every": 0},
    )
    first = noisy_net(0)
    if how is KeyboardInterrupt:
        with pytest.warns(
            RuntimeWarning, match=rf"interrupted after {step} of 12 steps.*same call goes on"
        ):
            history = quiet(first, stop_at(step, how()), 12, **settings)
        assert len(history) == step and file.exists()
    else:  # as if the machine had failed: what is on disk is all there is
        with pytest.raises(OSError):
            quiet(first, stop_at(step, how()), 12, **settings)
        assert file.exists() == (step > 0)
    torch.manual_seed(99)
    second = noisy_net(0 if step == 0 else 5)
    history = quiet(second, noisy_loss, 12, **settings)
    model, whole = uninterrupted
    assert (
        same(second, model)
        and history.status == "finished"
        and history.best_step == whole.best_step
    )
    for name in ("loss", "score", "gradient"):
        assert history[name] == whole[name]
    assert history["seconds"] == sorted(history["seconds"])


def test_an_interruption_leaves_the_parameters_of_the_last_whole_step():
    reference, model = net(), net()
    quiet(reference, loss, 4, lr=0.1)

    def interrupted(model, step):
        if step == 4:
            raise KeyboardInterrupt
        return loss(model, step)

    with pytest.warns(RuntimeWarning, match=r"interrupted after 4 of 9 steps.*fresh optimizer"):
        history = quiet(model, interrupted, 9, lr=0.1)
    assert same(model, reference) and history.status == "interrupted"


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ")
def test_a_key_press_within_an_update_waits_for_its_end():
    class Slow(torch.optim.SGD):
        def step(self, closure=None):
            os.kill(os.getpid(), signal.SIGINT)
            return super().step(closure)

    model, reference = net(), net()
    quiet(reference, loss, 1, optimizer=torch.optim.SGD(reference.parameters(), lr=0.1))
    handler = signal.default_int_handler
    before = signal.signal(signal.SIGINT, handler)  # a process of pytest-xdist ignores the key
    try:
        with pytest.warns(RuntimeWarning, match="interrupted after 1 of 5"):
            quiet(model, loss, 5, optimizer=Slow(model.parameters(), lr=0.1))
        assert same(model, reference) and signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_finished_checkpoint_is_not_trained_again_and_can_be_trained_further(tmp_path):
    file = tmp_path / "run.pt"
    quiet(net(), loss, 5, checkpoint=file)
    model = net(1)
    history = quiet(model, lambda model, step: pytest.fail("trained again"), 5, checkpoint=file)
    assert history.status == "finished" and len(history) == 5
    further, straight = net(2), net()
    assert len(quiet(further, loss, 8, checkpoint=file)) == 8
    quiet(straight, loss, 8)
    assert same(further, straight)
    with pytest.raises(ValueError, match="holds 8 steps, more than steps = 6; delete"):
        quiet(net(), loss, 6, checkpoint=file)


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    file = tmp_path / "run.pt"
    quiet(net(), loss, 2, checkpoint=file, lr=0.1)
    with pytest.raises(
        ValueError,
        match=r"made with lr of group 0 = 0\.1, now it is 0\.2; change that back, or delete",
    ):
        quiet(net(), loss, 2, checkpoint=file, lr=0.2)
    with pytest.raises(ValueError, match="made with another model"):
        quiet(MLP(1, 4, 1), loss, 2, checkpoint=file, lr=0.1)
    file.write_bytes(b"something else")
    with pytest.raises(ValueError, match="is no checkpoint of fit"):
        quiet(net(), loss, 2, checkpoint=file, lr=0.1)


def test_a_write_that_fails_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    file = tmp_path / "run.pt"
    quiet(net(), loss, 2, checkpoint=file)

    def fail(stored, out):
        out.write(b"half of")
        raise OSError("disk full")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="disk full"):
        patched.setattr(state.torch, "save", fail)
        quiet(net(), loss, 3, checkpoint=file)
    assert len(quiet(net(), loss, 2, checkpoint=file)) == 2


def test_a_diverged_training_is_not_stored(tmp_path):
    file = tmp_path / "run.pt"
    with pytest.warns(RuntimeWarning, match="diverged"):
        quiet(net(), lambda model, step: loss(model, step) * math.nan, 2, checkpoint=file)
    assert not file.exists()


# ------------------------------------------------------------------ bad arguments


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"model": lambda x: x}, TypeError, r"model must be an nn\.Module, got function"),
        ({"model": nn.Tanh()}, ValueError, "no parameter that requires a gradient"),
        (
            {"loss": torch.zeros(())},
            TypeError,
            r"loss must be a function loss\(model, batch\), got Tensor",
        ),
        (
            {"steps": 0},
            ValueError,
            "steps must be a positive integer, the number of updates, got 0",
        ),
        (
            {"steps": 1e3},
            ValueError,
            r"steps must be a positive integer, the number of updates, got 1000\.0",
        ),
        ({"steps": None}, ValueError, "give steps, .*, or seconds, .*; got neither"),
        ({"seconds": 3.0}, ValueError, r"got steps = 2 and seconds = 3\.0"),
        ({"steps": None, "seconds": 0}, ValueError, "seconds must be a positive number, .* got 0"),
        ({"evaluate": 3}, TypeError, r"a function evaluate\(model\), got int"),
        ({"evaluate_every": 3}, ValueError, "evaluate_every = 3 without evaluate"),
        (
            {"evaluate": lambda model: {}, "evaluate_every": 0},
            ValueError,
            "evaluate_every must be a positive integer, of steps, got 0",
        ),
        ({"evaluate": lambda model: 1.0}, TypeError, r"\{name: number\}.*got float"),
        ({"evaluate": lambda model: {"step": 1}}, ValueError, "none of them 'step'"),
        (
            {"evaluate": lambda model: {str(next(NAMES)): 1}, "evaluate_every": 1},
            ValueError,
            "same names every time",
        ),
        ({"average": 1.0}, ValueError, r"average must be a number between 0 and 1, .* got 1\.0"),
        ({"average": "on"}, ValueError, "average must be a number .* got 'on'; None for no"),
        (
            {"average": 0.9, "best": "loss"},
            ValueError,
            "best = 'loss' is measured of the newest .* average = 0.9 .* give one of the two",
        ),
        ({"lr": -1.0}, ValueError, r"lr must be a positive number, got -1\.0"),
        ({"clip": 0}, ValueError, "clip must be a positive number, got 0"),
        ({"save_every": "often"}, ValueError, "save_every must be seconds"),
        ({"optimizer": "Adam"}, TypeError, r"optimizer must be one of torch\.optim, .*got str"),
        (
            {"optimizer": torch.optim.SGD(net().parameters())},
            ValueError,
            "holds no parameter of model",
        ),
        (
            {"checkpoint": "no/such/folder/run.pt"},
            ValueError,
            "folder no.such.folder does not exist",
        ),
        (
            {"loss": lambda model, step: loss(model, step).item()},
            TypeError,
            r"got float.*without \.item\(\)",
        ),
        (
            {"loss": lambda model, step: (loss(model, step), 1.0)},
            TypeError,
            r"\{name: number\}\), got float",
        ),
        (
            {"loss": lambda model, step: model(X) - Y},
            ValueError,
            r"one number, got shape \(20, 1\); use \.mean",
        ),
        (
            {"loss": lambda model, step: loss(model, step).detach()},
            ValueError,
            r"does not depend .* \.detach",
        ),
        (
            {"loss": lambda model, step: loss(net(), step)},
            ValueError,
            "depends on no parameter of model",
        ),
        (
            {"loss": lambda model, step: (loss(model, step), {"seconds": 1})},
            ValueError,
            "returns 'seconds', a name that fit",
        ),
        (
            {"loss": lambda model, step: (loss(model, step), {"a": 1} if step else {})},
            ValueError,
            "same names at every step; step 1 records loss, a",
        ),
    ],
)
def test_what_cannot_be_right_is_refused_with_a_remedy(arguments, error, message):
    with pytest.raises(error, match=message):
        quiet(**{"model": net(), "loss": loss, "steps": 2, **arguments})


def test_a_learning_rate_and_an_optimizer_are_one_too_many():
    model = net()
    with pytest.raises(ValueError, match="give one of the two"):
        quiet(model, loss, 2, lr=0.1, optimizer=torch.optim.SGD(model.parameters()))


@pytest.mark.parametrize(
    "tensors, size, message",
    [
        ((), 2, "tensors of one length"),
        ((torch.zeros(3), torch.zeros(4)), 2, r"got lengths \[3, 4\]"),
        ((torch.zeros(0),), 2, r"got lengths \[0\]"),
        ((torch.zeros(3),), 0, "size must be a positive integer, such as 64, got 0"),
    ],
)
def test_bad_mini_batches_are_refused(tensors, size, message):
    with pytest.raises(ValueError, match=message):
        Minibatches(*tensors, size=size)


def test_a_history_refuses_a_row_with_other_columns():
    history = History(2)
    history.append({"loss": 1.0, "a": 2.0})
    with pytest.raises(ValueError, match="same names"):
        history.append({"loss": 1.0})
