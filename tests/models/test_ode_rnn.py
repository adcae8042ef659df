"""GRUWithGaps and ODERNN: against torch's GRU and closed forms; masks, padding, forecasts."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from node_tutorial.data import collate
from node_tutorial.models import MLP, ODERNN, GRUWithGaps, NeuralODE, VectorField, clocks

f64 = {"dtype": torch.float64}


class Field(nn.Module):
    """Any function of (t, h) as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, t, h):
        return self.function(t, h)


def net(kind, **keywords):
    torch.manual_seed(0)
    if kind == "gru":
        return GRUWithGaps(2, 5, **keywords).double()
    return ODERNN(2, 5, method=kind, **keywords).double()


def ragged():
    """Series of 4, 7 and 2 times, as a list, with values that were not observed."""
    chance = torch.Generator().manual_seed(0)
    series = []
    for n in (4, 7, 2):
        t = (3 * torch.rand(n, generator=chance, **f64)).sort().values
        series.append((t, torch.randn(n, 2, generator=chance, **f64)))
    series[1][1][0], series[1][1][3], series[1][1][5, 0] = torch.nan, torch.nan, torch.nan
    return series


KINDS = ["gru", "rk4", "dopri5"]


def test_with_a_field_of_zero_it_is_torchs_gru():
    model = net("dopri5", func=Field(lambda t, h: 0 * h))
    gru = nn.GRU(4, 5, batch_first=True).double()
    with torch.no_grad():
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(gru, f"{name}_l0").copy_(getattr(model.cell, name))
    t = torch.rand(3, 6, **f64).sort().values
    x = torch.randn(3, 6, 2, **f64)
    expected = gru(torch.cat([x, torch.ones_like(x)], -1))[0]
    assert torch.allclose(model(t, x).state, expected, atol=1e-14)


class LastSeen(nn.Module):
    """A cell that remembers the last value read, whatever the state was."""

    def __init__(self, size, hidden):
        super().__init__()
        self.size = size

    def forward(self, read, h):
        return read[:, : h.shape[1]]


@pytest.mark.parametrize(
    "solver", [{"method": "dopri5", "rtol": 1e-9, "atol": 1e-9}, {"options": {"step_size": 0.02}}]
)
def test_the_state_moves_by_the_field_in_its_own_time(solver):
    rate = torch.tensor([0.5, -1.0], **f64)
    model = ODERNN(
        2, 2, Field(lambda t, h: rate * h + torch.cos(t)), cell=LastSeen, **solver
    ).double()
    model.output = nn.Identity()
    t = torch.tensor([[0.0, 0.3, 2.0], [1.0, 1.1, 1.2]], **f64)
    x = torch.randn(2, 3, 2, **f64)
    found = model(t, x).prediction[:, 1:]

    def particular(t):  # of dh/dt = rate h + cos t
        return (torch.sin(t) - rate * torch.cos(t)) / (1 + rate**2)

    begin, end = t[:, :-1, None], t[:, 1:, None]
    expected = particular(end) + (x[:, :-1] - particular(begin)) * torch.exp(rate * (end - begin))
    assert torch.allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_a_time_without_observation_changes_no_state(kind):
    model = net(kind)
    t = torch.tensor([0.0, 0.4, 1.0, 1.7], **f64)
    x = torch.randn(3, 4, 2, **f64)
    mask = torch.ones_like(x, dtype=torch.bool)
    mask[:, 2] = False
    with_it, without = model(t, x, mask), model(t[[0, 1, 3]], x[:, [0, 1, 3]])
    assert torch.equal(with_it.state[:, 2], with_it.state[:, 1])
    assert torch.allclose(with_it.state[:, [0, 1, 3]], without.state, atol=1e-14)
    assert torch.allclose(with_it.prediction[:, 3], without.prediction[:, 2], atol=1e-14)
    assert (
        with_it.prediction[:, 2] - with_it.prediction[:, 3]
    ).abs().min() > 0  # but it is predicted, at its time
    mask[:, 0] = False  # nor does anything move before the first observation
    assert torch.allclose(
        model(t, x, mask).state[:, [1, 3]], model(t[[1, 3]], x[:, [1, 3]]).state, atol=1e-14
    )


@pytest.mark.parametrize("kind", KINDS)
def test_masked_values_never_count(kind):
    model = net(kind)
    (t, x, mask) = collate(ragged())
    assert 0 < mask.sum() < mask.numel()
    x.requires_grad_()
    states = model(t, x, mask).state
    summary = model.summary(t, x, mask, -1.0)
    (gradient,) = torch.autograd.grad(states.square().sum() + summary.square().sum(), x)
    assert (gradient[~mask] == 0).all() and (gradient[mask] != 0).any()
    for other in (7.0, torch.nan):
        changed = torch.where(mask, x, other)
        assert torch.equal(model(t, changed, mask).state, states)
        assert torch.equal(model.summary(t, changed, mask, -1.0), summary)
        (again,) = torch.autograd.grad(model.summary(t, changed, mask, -1.0).sum(), x)
        assert again.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_series_alone_is_the_series_in_a_padded_batch(kind):
    model = net(kind)
    series = ragged()
    t, x, mask = collate(series)
    states = model(t, x, mask).state
    summary = model.summary(t, x, mask, -1.0)
    for i, one in enumerate(series):
        alone = collate([one])
        assert torch.allclose(
            states[i : i + 1, : len(one[0])], model(*alone).state, rtol=0, atol=1e-12
        )
        assert torch.allclose(summary[i : i + 1], model.summary(*alone, -1.0), rtol=0, atol=1e-12)
    order = [2, 0, 1]
    assert torch.allclose(
        model(t[order], x[order], mask[order]).state, states[order], rtol=0, atol=1e-12
    )


def test_a_summary_reads_backwards():
    torch.manual_seed(0)
    f = MLP(5, 8, 5).double()
    backwards = ODERNN(2, 5, VectorField(f), method="dopri5", rtol=1e-9, atol=1e-9).double()
    mirrored = ODERNN(
        2, 5, Field(lambda t, h: -f(h)), method="dopri5", rtol=1e-9, atol=1e-9
    ).double()
    mirrored.cell = backwards.cell
    t = torch.rand(3, 6, **f64).sort().values
    x = torch.randn(3, 6, 2, **f64)
    state = mirrored(-t.flip(1), x.flip(1)).state[:, -1]
    expected = mirrored.move(state, -t[:, 0], torch.full_like(t[:, 0], 0.5))
    assert torch.allclose(backwards.summary(t, x, None, -0.5), expected, atol=1e-7)
    gaps = net("gru")
    assert torch.allclose(
        gaps.summary(t, x, None, -0.5)[:, -1], -0.5 - t[:, 0]
    )  # the last gap stands at the end


def test_a_series_without_any_observation_has_the_state_zero():
    model = net("rk4")
    t = torch.rand(3, 6, **f64).sort().values
    x = torch.randn(3, 6, 2, **f64)
    mask = torch.ones_like(x, dtype=torch.bool)
    mask[1] = False
    assert (model(t, x, mask).state[1] == 0).all() and (
        model.summary(t, x, mask, 0.0)[1] == 0
    ).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_forecast_reads_its_own_predictions(kind):
    model = net(kind)
    t = torch.tensor([0.0, 0.4, 1.0], **f64)
    x = torch.randn(3, 3, 2, **f64)
    later = torch.tensor([1.5, 1.8], **f64)
    forecast = model.forecast(t, x, None, later)
    assert forecast.shape == (3, 2, 2)
    whole = model(torch.cat([t, later]), torch.cat([x, forecast], 1)).prediction
    assert torch.allclose(whole[:, 3:], forecast, atol=1e-14)


def test_a_plain_recurrent_cell_can_be_chosen():
    model = net("gru", cell=nn.RNNCell)
    assert isinstance(model.cell, nn.RNNCell) and model(
        torch.arange(3.0).double(), torch.randn(1, 3, 2, **f64)
    )


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"x": torch.zeros(3, 4)}, ValueError, r"x must be series \(B, T, D\).*x\[\.\.\., None\]"),
        ({"t": torch.zeros(5)}, ValueError, r"t must have shape \(4,\) or \(3, 4\).*got \(5,\)"),
        (
            {"t": torch.tensor([0.0, 1.0, 1.0, 2.0])},
            ValueError,
            "t must be strictly increasing.*row 0",
        ),
        ({"mask": torch.ones(3, 4, 2)}, TypeError, r"mask must be boolean.*mask\.bool\(\)"),
        (
            {"mask": torch.ones(3, 4).bool()},
            ValueError,
            r"mask must have the shape of x, \(3, 4, 2\), got \(3, 4\)",
        ),
        ({"t": [0.0, 1.0, 2.0, 3.0]}, TypeError, "t must be a tensor, got list.*as_tensor"),
        ({"x": torch.zeros(3, 4, 2).numpy()}, TypeError, "x must be a tensor, got ndarray"),
        (
            {"mask": torch.ones(3, 4, 2).bool().numpy()},
            TypeError,
            "mask must be a tensor, got ndarray",
        ),
        ({"x": torch.zeros(3, 4, 3)}, ValueError, "x must have 2 entries at each time.*4, 3"),
        ({"x": torch.zeros(3, 0, 2), "t": torch.zeros(0)}, ValueError, "one time or more"),
        ({"x": torch.full((3, 4, 2), torch.nan)}, ValueError, "x holds NaN.*mask=~x.isnan"),
        *(
            ({"given": given}, ValueError, "given must be an integer from 0 to 4")
            for given in (-1, 5, 99, 2.5, True)
        ),
    ],
)
def test_what_is_no_series_is_refused(change, error, message):
    given = {"t": torch.arange(4.0), "x": torch.zeros(3, 4, 2), "mask": None}
    with pytest.raises(error, match=message):
        GRUWithGaps(2, 5)(**(given | change))


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="unknown method 'dopri6'"):
        ODERNN(2, 5, method="dopri6")


class NoDouble(TorchDispatchMode):
    """Stands in for Apple's GPUs: refuses every float64 tensor of one or more dimensions."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and made.dtype == torch.float64 and made.dim():
            raise TypeError("this device has no float64")
        return made


def test_without_double_precision_on_the_device_an_ode_rnn_reads_series():
    model = ODERNN(2, 5)
    t, x = torch.rand(3, 4).sort().values, torch.randn(3, 4, 2)
    expected = model(t, x)
    with NoDouble():
        found = model(t, x)
    assert torch.equal(expected.state, found.state)


def test_without_double_precision_on_the_device_rows_have_clocks_in_the_one_it_has(monkeypatch):
    seen = []
    solved = clocks.solve

    def watched(func, y0, t, **options):
        seen.append(t)
        return solved(func, y0, t.double(), **options)

    monkeypatch.setattr(clocks, "solve", watched)
    ode = NeuralODE(VectorField(MLP(2, 8, 2)), rtol=1e-6, atol=1e-6)
    t = torch.tensor([[0.0, 1.0], [0.5, 2.0]])  # the first row begins at t0, the other after it
    expected = clocks.states_at(ode, torch.ones(2, 2), t, 0.0)
    monkeypatch.setattr(torch.Tensor, "double", no_double)
    monkeypatch.setattr(clocks, "solve", lambda *args, **options: seen.append(args[2]) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        clocks.states_at(ode, torch.ones(2, 2), t, 0.0)
    assert [grid.dtype for grid in seen] == [torch.float64, torch.float32]
    assert (seen[1].diff(dim=1) > 0).all() and expected.isfinite().all()


def no_double(tensor):
    raise TypeError("this device has no float64")
