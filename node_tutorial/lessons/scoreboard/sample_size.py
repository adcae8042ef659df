"""Lesson 19: from how many samples on a measure sees a fault."""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from ...course.controls import choice
from ...course.explorables import explorable
from ...plotting import EXACT, GRAY, VERMILLION
from .runs import table
from .sizes import FAULTS, MEASURES, NUMBERS

BEYOND = 3.0  # standard deviations of the null, from which on a fault is seen
SENTENCES = {
    "blur": "blur: noise 0.25 in place of 0.2",
    "strays": "one in a hundred is a stray",
    "lopsided": "one half has 60 % in place of 50 %",
}
assert {"none", *SENTENCES} == set(FAULTS)


class SampleSize(NamedTuple):
    """mean, std of null and fault (4,), at NUMBERS; gap is the exact KL(q || p) of the fault."""

    fault: str
    measure: str
    null: np.ndarray
    null_std: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    gap: float
    seen: int | None


def compute(fault: str, measure: str) -> SampleSize:
    """From what is stored."""
    null = table()["sizes/none"][measure]
    found = table()[f"sizes/{fault}"][measure]
    mean = np.array(found["mean"])
    away = (mean - null["mean"]) / np.array(null["std"])
    places = np.flatnonzero(np.abs(away) > BEYOND)
    return SampleSize(
        fault=fault,
        measure=measure,
        null=np.array(null["mean"]),
        null_std=np.array(null["std"]),
        mean=mean,
        std=np.array(found["std"]),
        gap=table()[f"sizes/{fault}"]["gap"],
        seen=NUMBERS[places[0]] if len(places) else None,
    )


def draw(fig: Figure, data: SampleSize) -> None:
    """The measure over the number of samples: what honest sets give, and the fault."""
    ax = fig.subplots()
    n = np.array(NUMBERS)
    up = 7 if data.mean[-1] >= data.null[-1] else -7  # the names at the ends, apart
    for mean, std, color, name, shift in (
        (data.null, data.null_std, GRAY, "two sets of real points", -up),
        (data.mean, data.std, VERMILLION, data.fault, up),
    ):
        ax.fill_between(n, mean - 2 * std, mean + 2 * std, color=color, alpha=0.18, linewidth=0)
        ax.plot(n, mean, "o-", color=color)
        ax.annotate(
            name, (n[-1], mean[-1]), (8, shift - 3), textcoords="offset points", color=color
        )
    if data.measure == "KL(q || p)":
        ax.axhline(data.gap, color=EXACT, linewidth=1, linestyle=":")
        ax.annotate("exact", (n[0], data.gap), (2, 3), textcoords="offset points", color=EXACT)
    ax.set(xscale="log", xlabel="samples", ylabel=data.measure, xlim=(85, 12_000))
    ax.set_xticks(n, [str(k) for k in n])
    ax.minorticks_off()
    verdict = "never seen here" if data.seen is None else f"seen from {data.seen} on"
    ax.set_title(f"{SENTENCES[data.fault]}, {data.gap:.2f} nats: {verdict}")


def describe(data: SampleSize) -> str:
    """From when on."""
    verdict = f"not with {NUMBERS[-1]}" if data.seen is None else f"with {data.seen} samples"
    return f"{SENTENCES[data.fault]} ({data.gap:.2f} nats), by {data.measure}: seen {verdict}."


sample_size = explorable(
    compute,
    draw,
    describe,
    question="Predict first: how many samples does the energy distance need to see the blur?",
    size=(8.2, 3.6),
    controls={
        "fault": choice("fault", list(SENTENCES)),
        "measure": choice("measure", list(MEASURES)),
    },
)
