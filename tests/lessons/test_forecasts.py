"""Facts that lesson 23 relies on: its series, what its forecasters may know, its exercises."""

import math

import numpy as np
import pytest
import torch

from node_tutorial import explore
from node_tutorial.course.exercises import EXERCISES
from node_tutorial.data import cut, el_nino, sunspots
from node_tutorial.data.forecast_scores import ahead, ar1_variance
from node_tutorial.lessons.forecasts import (
    baselines,
    exercises,
    figures,
    nets,
    rolling_origin,
    runs,
)
from node_tutorial.lessons.forecasts.baselines import (
    CANDIDATES,
    choose,
    climatology,
    naive,
    state_space,
)
from node_tutorial.lessons.forecasts.nets import NETS, Recurrent, Windows, past_origins, windows
from node_tutorial.lessons.forecasts.tasks import MASKS, TASKS, Task, rehearsal, task
from node_tutorial.plotting import text_problems

f64 = {"dtype": torch.float64}


def spoiled(todo: Task) -> Task:
    """The same task, with another future behind its last origin's place and before the end."""
    first = int(todo.origins[0])
    x = todo.seen.x.clone()
    x[first:] = torch.where(x[first:].isnan(), x[first:], 7 * torch.randn(len(x) - first, **f64))
    return todo._replace(seen=todo.seen._replace(x=x))


# -- the series ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TASKS)
def test_the_scale_of_a_task_is_that_of_what_was_observed_of_the_past(name):
    todo = task(name)
    past = todo.seen.x[: todo.seen.past]
    known = past[~past.isnan()]
    assert abs(float(known.mean())) < 1e-12 and float(known.square().mean()) == pytest.approx(1.0)
    x = (el_nino() if todo.seasonal else sunspots())[1]
    assert torch.allclose(todo.full * todo.seen.scale + todo.seen.center, x)
    there = ~todo.seen.x.isnan()
    assert torch.equal(todo.full[there], todo.seen.x[there])
    assert len(todo.origins) == len(x) - todo.seen.past - todo.horizon + 1
    assert torch.equal(todo.truth[-1], todo.full[-todo.horizon :])


def test_a_thinned_series_has_gaps_and_a_third_of_its_values():
    for name in ("El Nino, thinned", "sunspots, thinned"):
        x = task(name).seen.x
        there = (~x.isnan()).int()
        longest = max(len(run) for run in "".join(map(str, there.tolist())).split("1"))
        assert 0.3 < there.double().mean() < 0.38 and longest >= (18 if "Nino" in name else 11)


def test_the_rehearsal_knows_nothing_of_the_future_and_scales_by_its_own_past():
    for name in TASKS:
        todo = task(name)
        trial = rehearsal(todo)
        assert len(trial.full) == todo.seen.past and trial.t[-1] < todo.t[todo.seen.past]
        other = rehearsal(spoiled(todo)._replace(full=torch.zeros_like(todo.full)))
        assert torch.equal(trial.seen.x.nan_to_num(), other.seen.x.nan_to_num())
        known = trial.seen.x[: trial.seen.past]
        assert float(known[~known.isnan()].square().mean()) == pytest.approx(1.0)
        assert trial.truth.isnan().any() == ("thinned" in name)


# -- forecasters -----------------------------------------------------------------------------------

QUICK = ("climatology", "persistence", "seasonal naive", "damped persistence", "ETS")


@pytest.mark.parametrize("model", QUICK)
def test_a_forecast_depends_on_nothing_from_its_origin_on(model):
    todo = task("sunspots, thinned")
    make = next(iter(CANDIDATES[model].values()))
    torch.manual_seed(0)
    one = make(todo)
    other = make(spoiled(todo))
    assert torch.equal(one.mean[0], other.mean[0]) and torch.equal(one.std[0], other.std[0])
    if model != "climatology":
        assert not torch.equal(one.mean[-1], other.mean[-1])


@pytest.mark.parametrize("name", NETS)
def test_a_net_reads_and_learns_nothing_from_its_origin_on(name):
    todo = task("sunspots, thinned")
    for make in NETS[name].values():
        torch.manual_seed(0)
        net = make(todo)
        before = windows(todo, todo.origins[:1])
        after = windows(spoiled(todo), todo.origins[:1])
        assert not torch.equal(before.x, after.x)
        with torch.no_grad():
            assert torch.equal(net.means(before), net.means(after))
    assert int(past_origins(todo)[-1]) + todo.horizon == todo.seen.past
    assert torch.equal(
        windows(todo, past_origins(todo)).x, windows(spoiled(todo), past_origins(todo)).x
    )


@pytest.mark.parametrize("name", NETS)
def test_every_setting_of_a_net_learns(name):
    todo = task("sunspots, thinned")
    t, x, mask, window = windows(todo, past_origins(todo))
    data = Windows(t, x[:16], mask[:16], window)
    for setting, make in NETS[name].items():
        torch.manual_seed(0)
        net = make(todo)
        loss = net.loss(data)
        loss.backward()
        asleep = [n for n, p in net.named_parameters() if p.grad is None]
        assert loss.isfinite() and not asleep, (setting, asleep)
        if not isinstance(net, Recurrent):
            noise = getattr(net, "model", net).log_noise.exp().item()
            assert (net.own_band(data) > noise).all()


def test_the_forecasts_of_a_state_space_model_are_those_of_the_library():
    from statsmodels.tsa.api import SARIMAX

    todo = task("sunspots, thinned")
    x = todo.seen.x.numpy()
    fitted = SARIMAX(x[: todo.seen.past], order=(2, 0, 1)).fit(disp=0)
    found = state_space(fitted.apply(x), todo.origins, 11)
    for place in (0, 77):
        theirs = fitted.apply(x[: int(todo.origins[place])]).get_forecast(11)
        assert np.allclose(found.mean[place], theirs.predicted_mean, atol=1e-8)
        assert np.allclose(found.std[place], theirs.se_mean, atol=1e-8)


def test_damped_persistence_by_hand_is_the_ar1_of_the_library():
    todo = task("El Nino")
    past = todo.seen.x[:366]
    phi = float(past[1:] @ past[:-1] / (past[:-1] @ past[:-1]))
    assert phi == pytest.approx(0.892, abs=5e-4)
    steps = torch.arange(1, 13)
    found = CANDIDATES["damped persistence"][""](todo)
    by_hand = phi**steps * todo.seen.x[todo.origins - 1, None]
    assert torch.allclose(found.mean, by_hand, atol=0.01)
    std = ((1 - phi**2) * ar1_variance(phi, steps)).sqrt()
    assert torch.allclose(found.std, std.expand_as(found.std), atol=0.01)


def test_the_naive_forecasts_are_the_last_values_that_were_observed():
    todo = task("sunspots, thinned")
    for lag in (1, 11):
        mean = naive(todo, lag).mean
        for place in (0, 60, 144):
            n = int(todo.origins[place])
            for h in (1, 4, 11):
                k = n + h - 1 - lag * math.ceil(h / lag)
                while todo.seen.x[k].isnan():
                    k -= lag
                assert mean[place, h - 1] == todo.seen.x[k]
    assert climatology(todo).mean.abs().max() == 0


def test_the_season_of_exponential_smoothing_begins_in_phase():
    """The rehearsal of El Nino has 366 entries, no whole number of years."""
    trial = rehearsal(task("El Nino"))
    made = baselines.loss(trial, CANDIDATES["ETS"]["level"](trial))
    assert made < 1.02 * baselines.loss(trial, naive(trial, 1)) < 0.65  # out of phase: 0.70


def test_the_width_of_a_nets_band_comes_from_the_past_alone():
    todo = task("sunspots, thinned")
    torch.manual_seed(0)
    net = NETS["GRU"]["says all"](todo)
    one, other = nets.forecast(net, todo), nets.forecast(net, spoiled(todo))
    assert torch.equal(one.std[0], other.std[0]) and not torch.equal(one.mean, other.mean)
    past = past_origins(todo)
    with torch.no_grad():
        error = net.means(windows(todo, past)) - ahead(todo.seen.x, past, todo.horizon)
    assert torch.allclose(one.std[0], error.square().nanmean(0).sqrt())


def test_the_interval_of_a_ratio_holds_it_and_is_that_of_equals_for_equals():
    for name, model in (("El Nino", "latent ODE"), ("sunspots", "AR")):
        low, high = runs.interval(name, model)
        ratio = sum(runs.skill(name, model)) / len(runs.skill(name, model))
        assert low < ratio < high < low + 0.4
    assert runs.interval("sunspots", "AR", rival="AR") == (1.0, 1.0)


def test_a_thinning_is_another_mask_of_the_same_series():
    first, second = (task("sunspots, thinned", mask) for mask in MASKS[:2])
    assert not torch.equal(first.seen.x.isnan(), second.seen.x.isnan())
    for name, model in (("sunspots, thinned", "AR"), ("El Nino, thinned", "seasonal naive")):
        ratios = runs.by_mask(name, model)
        assert len(ratios) == len(MASKS)
        assert ratios[0] == pytest.approx(runs.skill(name, model)[0], rel=2e-3)
    todo = task("sunspots, thinned", MASKS[1])
    pair = [CANDIDATES["seasonal naive"][""], CANDIDATES["damped persistence"][""]]
    again = [baselines.loss(todo, make(todo)) for make in pair]
    kept = runs.by_mask("sunspots, thinned", "seasonal naive")[1]
    assert again[0] / again[1] == pytest.approx(kept, rel=5e-3)


def test_what_is_chosen_is_best_in_the_rehearsal():
    todo = task("sunspots")
    candidates = {name: CANDIDATES["AR"][name] for name in ("p = 1", "p = 2", "p = 9")}
    assert choose(todo, candidates) == "p = 9"


# -- measured before, by one AR(1) and the first half ----------------------------------------------


def test_el_nino_has_the_values_that_the_lesson_begins_with():
    scores = {
        name: runs.scores(task("El Nino"), next(iter(CANDIDATES[name].values()))(task("El Nino")))
        for name in ("climatology", "persistence", "damped persistence")
    }
    last = [scores[name]["rmse"][-1] for name in scores]
    assert last == pytest.approx([1.27, 1.66, 1.27], abs=0.01)
    growing = [scores["damped persistence"]["coverage"][h - 1] for h in (1, 3, 6, 12)]
    assert growing == pytest.approx([0.93, 0.88, 0.90, 0.90], abs=0.006)
    narrow = explore.rolling_origin(band="of one width").data.coverage[[0, 2, 5, 11]]
    assert narrow.tolist() == pytest.approx([0.93, 0.72, 0.64, 0.62], abs=0.006)


def test_arma_fails_on_el_nino_by_the_mean_of_the_second_half():
    """Its order and its moving average are good for anomalies whose mean is zero: roots of it lie
    on the unit circle, so that no innovation is forgotten.
    """
    from statsmodels.tsa.api import SARIMAX

    choice = runs.setting_of("El Nino", "ARMA")
    p, q = (int(part.split("=")[1]) for part in choice.split(","))
    x = task("El Nino").seen.x[: task("El Nino").seen.past].numpy()
    fitted = baselines._fit(SARIMAX(x, order=(p, 0, q)))
    assert abs(fitted.maroots).min() == pytest.approx(1, abs=0.01)
    assert runs.found("El Nino", "ARMA", "rmse")[-1] > 4 > 2 * 1.5 > 2 * runs.arma_without_shift()


# -- stored runs -----------------------------------------------------------------------------------


def test_the_stored_forecasts_are_those_that_were_scored():
    checks = list(runs.verify())
    assert len(checks) == len(TASKS) * len(runs.MODELS)
    for check in checks:
        assert check.again == pytest.approx(check.stored, abs=check.within), check.what


def test_the_stored_scores_of_quick_baselines_are_made_again():
    for name in ("El Nino, thinned", "sunspots"):
        for model in ("climatology", "persistence", "seasonal naive", "damped persistence"):
            again = runs.scores(task(name), next(iter(CANDIDATES[model].values()))(task(name)))
            assert again["crps"] == pytest.approx(
                runs.found(name, model, "crps").tolist(), rel=5e-3
            )


def test_every_net_had_three_seeds_and_chose_from_its_settings():
    for name in TASKS:
        for model, settings in NETS.items():
            row = runs.RUNS.numbers()[f"{name}/{model}"]
            assert runs.setting_of(name, model) in settings and row["rate"] in nets.RATES
            assert 0 < row["steps"] <= nets.MOST_STEPS and len(row["rmse"]) == len(runs.SEEDS) == 3


# -- exercises -------------------------------------------------------------------------------------


def _from_the_limit(phi, h):
    std = math.sqrt((1 - phi ** (2 * h)) / (1 - phi**2))
    return torch.erf(torch.tensor(1.96 / std / 2**0.5))


def _by_numpy(phi, h):
    return np.float32(math.erf(1.96 / np.sqrt(2 * (phi ** (2 * np.arange(h))).sum())))


def _by_the_package(phi, h):
    normal = torch.distributions.Normal(0.0, float(ar1_variance(phi, h)) ** 0.5)
    return 2 * normal.cdf(torch.tensor(1.96)) - 1


def _by_equal(f, x, n):
    return not torch.equal(f(torch.cat([x[:n], -9 * torch.rand(len(x) - n)]), n), f(x, n))


def _by_any(f, x, n):
    other = torch.cat([x[:n], x[n:].flip(0) * 3 + 1])
    return np.any(f(other, n).numpy() != f(x, n).numpy())


def _by_distance(f, x, n):
    return (f(torch.cat([x[:n], torch.randn(len(x) - n)]), n) - f(x, n)).abs().max() > 0


def _by_zeros(f, x, n):
    return int((f(torch.cat([x[:n], torch.zeros(len(x) - n)]), n) != f(x, n)).any())


RIGHT = {
    "23.2": [_from_the_limit, _by_numpy, _by_the_package],
    "23.4": [_by_equal, _by_any, _by_distance, _by_zeros],
    "23.5": [
        lambda history: [0.85**h * float(history[-1]) for h in range(1, 13)],
        lambda history: np.exp(-np.arange(1, 13) / 8) * history[-1].numpy(),
        lambda history: (history[-1] * 0.9 ** torch.arange(1, 13)).float(),
        lambda history: history[-1] * (1 - torch.arange(1, 13) / 13),
        lambda history: 0.892 ** np.arange(1, 13) * float(history[-1]),
    ],
}

WRONG = {
    "23.2": [
        lambda phi, h: 0.95,
        lambda phi, h: 0.95**h,
        lambda phi, h: 100 * exercises.coverage(phi, h),
    ],
    "23.4": [
        lambda f, x, n: torch.equal(f(torch.cat([x[:n], torch.rand(len(x) - n)]), n), f(x, n)),
        lambda f, x, n: (f(x, n) == x[n : n + 12]).any(),
        lambda f, x, n: (f(torch.cat([torch.rand(n), x[n:]]), n) != f(x, n)).any(),
    ],
    "23.5": [
        lambda history: [float(history[-1])] * 12,
        lambda history: torch.zeros(12),
        lambda history: 0.9 * history[-1] * torch.ones(12),
        lambda history: torch.full((12,), math.inf),
        lambda history: torch.cat([history[-1].repeat(5), torch.zeros(7)]),
        lambda history: history[-1] * 0.8 ** torch.arange(1, 13),
        lambda history: history[-1] * 0.95 ** torch.arange(1, 13),
    ],
}


@pytest.mark.parametrize("number", RIGHT)
def test_every_right_form_is_accepted(number):
    for answer in RIGHT[number]:
        assert EXERCISES[number].assess(answer).state == "correct"


@pytest.mark.parametrize("number", WRONG)
def test_other_wrong_answers_are_not_accepted(number):
    for answer in WRONG[number]:
        assert EXERCISES[number].assess(answer).state != "correct"


def test_who_loses_at_some_horizons_hears_at_which():
    message = EXERCISES["23.5"].assess(lambda history: 0.5 * history[-1].repeat(12)).message
    assert "to persistence at 1, 2; to climatology at 12 months" in message
    switch = EXERCISES["23.5"].assess(
        lambda history: torch.cat([history[-1].repeat(5), torch.zeros(7)])
    )
    assert "the mean ratio is 1.002" in switch.message


def test_who_cuts_the_future_off_hears_what_to_do_instead():
    cut_off = EXERCISES["23.4"].assess(lambda f, x, n: bool((f(x[:n], n) != f(x, n)).any()))
    assert "keep the length of x" in cut_off.message

    def slightly(f, x, n):
        other = x.clone()
        other[n:] += 1e-3 * torch.randn(len(x) - n)
        return bool((f(other, n) != f(x, n)).any())

    assert "too little" in EXERCISES["23.4"].assess(slightly).message
    same = EXERCISES["23.4"].assess(lambda f, x, n: torch.equal(f(x, n), x[n : n + 12]))
    assert "need not give that back" in same.message


# -- the explorable and the figures ----------------------------------------------------------------


def test_the_panel_counts_bands_that_held_until_the_origin():
    panel = explore.rolling_origin(model="climatology", horizon=3)
    todo = task("El Nino")
    for frame in (0, 40, 70):
        data = panel.evaluate(frame=frame).data
        truth = ahead(todo.full, todo.origins[: data.judged], 3)[:, 2]
        assert data.judged == 5 * frame + 1 and data.held == int((truth.abs() < 1.959964).sum())
    assert panel.evaluate(name="sunspots", horizon=12).data.horizon == 11
    eve = panel.evaluate(frame=40).data
    assert rolling_origin._date(eve) == "Mar 1997" and len(eve.seen) == 72
    assert rolling_origin._date(panel.evaluate(name="sunspots", frame=0).data) == "1854"


def test_figures_are_readable():
    std = (0.2 * ar1_variance(0.89, torch.arange(1, 13))).sqrt()
    share = torch.linspace(0.9, 0.6, 12)
    for fig in (
        figures.growing_figure({"one": share, "growing": share + 0.1}, std),
        figures.crps_figure(1.0, [(0, 1), (1, 1), (1, 0.3)]),
        figures.horizon_figure(),
        figures.calibration_figure("El Nino", ["damped persistence", "AR", "latent ODE"], [1, 12]),
    ):
        fig.png()
        assert not text_problems(fig)
    assert figures.line_of("sunspots", "AR").count(",") == 3


def test_the_cut_refuses_what_no_forecast_can_use():
    t, x = el_nino()
    with pytest.raises(ValueError, match="increasing"):
        cut(t.flip(0), x, 1980.5, 12)
    with pytest.raises(ValueError, match="constant"):
        cut(t, torch.ones_like(x), 1980.5, 12)
    with pytest.raises(ValueError, match="beyond the data, which has 732"):
        ahead(x, [721], 12)


def test_the_library_takes_a_variance_from_all_that_it_is_applied_to():
    """The leak that lesson 23 tells of: exponential smoothing with its default, and `apply`."""
    from statsmodels.tsa.statespace.exponential_smoothing import ExponentialSmoothing

    x = torch.randn(80, generator=torch.Generator().manual_seed(0), **f64)
    later = torch.cat([x, 10 * x])
    fitted = ExponentialSmoothing(x.numpy()).fit(disp=0)
    origin = torch.tensor([80])
    one = state_space(fitted.apply(torch.cat([x, x]).numpy()), origin, 1)
    other = state_space(fitted.apply(later.numpy()), origin, 1)
    assert one.mean.item() == pytest.approx(other.mean.item())
    assert other.std.item() > 3 * one.std.item()


def test_the_oscillators_find_a_sine_from_a_third_of_its_values():
    """Lesson 11's encoder by formula: exact where the model is."""
    net = nets.Oscillators(1.0)
    with torch.no_grad():
        net.each[0].damping.zero_()
        net.decoder.weight.copy_(torch.tensor([[1.0, 0.0]]))
        net.decoder.bias.zero_()
        net.log_noise.fill_(-6.0)
    t = torch.arange(36) / 12
    x = torch.sin(2 * math.pi * t + 0.7)[None, :, None]
    mask = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) < 0.33
    mask[:, 24:] = False
    mean, std = net.predict(Windows(t, torch.where(mask, x, 0.0), mask, 24))
    assert torch.allclose(mean, x[:, 24:, 0], atol=0.01) and (std < 0.01).all()
