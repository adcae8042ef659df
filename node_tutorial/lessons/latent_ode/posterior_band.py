"""Lesson 12: what a trained latent ODE says of a spiral from a few of its points, with three
encoders.
"""

from functools import lru_cache

import torch

from ...course.controls import choice, int_slider, slider
from ...course.explorables import Explorable, explorable
from ...data import Batch, two_spirals
from ...plotting import BLUE, GRAY, ORANGE, exact_line
from . import runs
from .figures import plane

DRAWS, SHOWN, SERIES = 200, 12, 3


def kept(number, gap):
    """Which of the 100 points are observed: `number` of those outside a gap of `gap` points about
    the middle.

    Always in the same order: a larger number adds points, and takes none away.
    """
    order = torch.randperm(100, generator=torch.Generator().manual_seed(5))
    return order[(order - 49.5).abs() > gap / 2][:number].sort().values


@torch.no_grad()
def band(model, t, x, times, draws=DRAWS):
    """Paths (draws, S, 2) at times (S,) from the points x (n, 2) at t (n,); the same draws each
    time.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return model.paths(t[None], x[None], None, times, draws)[:, 0]


@lru_cache(maxsize=1)
def _spirals():
    return two_spirals(8, noise=runs.NOISE, seed=20_000)


@explorable("12", "posterior_band")
def posterior_band():
    """Observations, truth, and the posterior of a latent ODE, in the plane and over time."""
    ends = torch.tensor([0.05, 0.95])

    def compute(number, gap, encoder, horizon):
        spirals, places = _spirals(), kept(number, gap)
        t, x = spirals.t[places], spirals.x[SERIES, places]
        shown = round(100 * horizon)
        times, clean = torch.cat([spirals.t, spirals.later])[:shown], spirals.clean[SERIES, :shown]
        paths = band(runs.stored(encoder), t, x, times)
        low, high = paths.quantile(ends, dim=0)
        middle = paths.mean(0)
        square = (middle - clean).square().mean(1)
        return {
            "t": t,
            "x": x,
            "times": times,
            "clean": clean,
            "paths": paths[:SHOWN],
            "band": (low, middle, high),
            "width": float((high - low)[:100].mean() / 2),
            "within": float(square[:100].mean().sqrt()),
            "beyond": float(square[100:].mean().sqrt()) if len(times) > 100 else None,
            "encoder": encoder,
        }

    def draw(fig, data):
        left, right = fig.subplots(1, 2, width_ratios=(1, 1.5))
        plane(left)
        for path in data["paths"]:
            left.plot(*path.T.clamp(-5.9, 5.9), color=BLUE, linewidth=0.8, alpha=0.5)
        low, middle, high = (part[:, 0] for part in data["band"])
        right.fill_between(data["times"], low, high, color=BLUE, alpha=0.22, linewidth=0)
        right.plot(data["times"], middle, color=BLUE, linewidth=1.5)
        exact_line(*data["clean"].T, ax=left, label=None)
        exact_line(data["times"], data["clean"][:, 0], ax=right, label=None)
        left.plot(*data["x"].T, ".", color=ORANGE, markersize=7)
        right.plot(data["t"], data["x"][:, 0], ".", color=ORANGE, markersize=7)
        right.axvline(float(_spirals().t[-1]), color=GRAY, linewidth=0.8)
        left.set(xlabel="x₁", ylabel="x₂")
        right.set(xlabel="t", ylabel="x₁", xlim=(0, 3.8), ylim=(-5.9, 5.9))
        left.set_title(f"{len(data['t'])} points, {data['encoder']}")
        beyond = "" if data["beyond"] is None else f", beyond {data['beyond']:.2f}"
        right.set_title(
            f"RMSE to the line {data['within']:.2f}{beyond}; half width {data['width']:.2f}"
        )

    def describe(data):
        within, beyond = (_bound(data[key]) for key in ("within", "beyond"))
        after = f", and by {beyond} beyond" if beyond else ""
        return (
            f"{data['encoder']}, from {len(data['t'])} points: off by {within} where they were "
            f"taken{after}; the 90 % "
            f"band is on average {'narrower' if data['width'] < 0.3 else 'wider'} than the noise "
            "of a point."
        )

    return Explorable(
        compute,
        draw,
        describe,
        size=(9.0, 3.7),
        question="Predict first: with 3 points instead of 30, where does the band become wide: at the start, or late?",
        controls={
            "number": int_slider("points", 2, 40, value=20),
            "gap": int_slider("gap (of 100)", 0, 60, value=0, step=10),
            "encoder": choice("encoder", list(runs.ENCODERS)),
            "horizon": slider("horizon (times the observed)", 1.0, 2.0, value=2.0, step=0.25),
        },
    )


def _bound(value):
    if value is None:
        return None
    limit = next((limit for limit in (0.25, 0.5, 1.0, 2.0, 4.0) if value < limit), None)
    return f"less than {limit:g}" if limit else "more than 4"


@torch.no_grad()
def by_number(model, counts, rows=100):
    """Half widths of the 90 % band, and the share of the truth in it, for numbers of random points
    of `rows` spirals.

    Returns two dicts with keys "between" (the observed time) and "beyond": lists, one entry per
    number.
    """
    spirals = two_spirals(rows, noise=runs.NOISE, seed=30_000)
    times = torch.cat([spirals.t, spirals.later])
    width: dict[str, list[float]] = {"between": [], "beyond": []}
    covered: dict[str, list[float]] = {"between": [], "beyond": []}
    for number in counts:
        places = kept(number, 0)
        batch = Batch(
            spirals.t[places], spirals.x[:, places], torch.ones(rows, number, 2, dtype=torch.bool)
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            low, high = model.paths(*batch, times, DRAWS).quantile(
                torch.tensor([0.05, 0.95]), dim=0
            )
        inside = ((low < spirals.clean) & (spirals.clean < high)).double()
        for key, part in (("between", slice(0, 100)), ("beyond", slice(100, 200))):
            width[key].append(float((high - low)[:, part].mean() / 2))
            covered[key].append(float(inside[:, part].mean()))
    return width, covered
