"""Lesson 23: an anomaly planted in a season with noise, and which detector sees it."""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import choice, int_slider, play
from ...course.explorables import explorable
from ...data.alarms import quantile_threshold
from ...plotting import BLUE, GRAY, ORANGE, REJECTED
from .alarms import DETECTORS, KINDS, PAST, plant, simulated

RATE = 1 / 120  # false alarms of each detector in the past: one in ten years of months
PLACES = 25  # of the anomaly, three months apart
FIRST_PLACE = 24  # months after the past
SHOWN = slice(PAST, PAST + 180)


class Track(NamedTuple):
    """The scores (180,) of a detector after the past, its threshold, and when it sees the anomaly.

    delay: months from the start of the anomaly to the first alarm while it lasts; -1 for none.
    false: alarms before the anomaly starts.
    """

    scores: Tensor
    threshold: float
    delay: int
    false: int


class PlantedAnomaly(NamedTuple):
    """A series (180,) after the past, without and with the anomaly, and what each detector says.

    first and last are months after the past.
    """

    kind: str
    size: int
    first: int
    last: int
    clean: Tensor
    x: Tensor
    tracks: dict[str, Track]


def compute(kind: str, size: int, noise: int, place: int) -> PlantedAnomaly:
    """The series and the tracks; `place` is the number of the place."""
    first = FIRST_PLACE + 3 * place
    made = plant(kind, size, PAST + first, noise)
    tracks = {}
    series = simulated(made.x)
    for name, detector in DETECTORS.items():
        scores = detector(series)
        past = scores[:PAST]
        threshold = float(quantile_threshold(past[~past.isnan()], RATE))
        seen = (scores[made.first : made.last + 1] > threshold).nonzero()[:, 0]
        false = int((scores[PAST : made.first] > threshold).sum())
        delay = int(seen[0]) if len(seen) else -1
        tracks[name] = Track(scores[SHOWN], threshold, delay, false)
    return PlantedAnomaly(
        kind=kind,
        size=size,
        first=first,
        last=made.last - PAST,
        clean=made.clean[SHOWN],
        x=made.x[SHOWN],
        tracks=tracks,
    )


def months_to_alarm(kind: str, size: int) -> dict[str, str]:
    """By detector: in how many of ten noises it has an alarm while the anomaly lasts, and after
    how many months in the median of these; the place is that of the panel.
    """
    tracks = [compute(kind, size, noise, place=8).tracks for noise in range(10)]
    said = {}
    for name in DETECTORS:
        delays = sorted(track[name].delay for track in tracks if track[name].delay >= 0)
        when = f" after {np.median(delays):g}" if delays else ""
        said[name] = f"{len(delays)} of 10{when}"
    return said


def draw(fig: Figure, data: PlantedAnomaly) -> None:
    """The series, and the scores of each detector over its threshold."""
    axes = fig.subplots(4, 1, sharex=True, height_ratios=[1.5, 1, 1, 1])
    month = np.arange(len(data.x))
    for ax in axes:
        ax.axvspan(data.first - 0.5, data.last + 0.5, color=ORANGE, alpha=0.25, linewidth=0)
        ax.set_xlim(-1, len(month))
    axes[0].plot(month, data.clean, color=GRAY, linewidth=0.8)
    axes[0].plot(month, data.x, color=BLUE, linewidth=1.3)
    axes[0].set(ylim=(-6, 8), yticks=[-5, 0, 5])
    years = f", {data.size} year{'s' * (data.size != 1)}" if data.kind == "flat" else ""
    axes[0].set_title(f"{data.kind}, size {data.size}{years}, at month {data.first}")
    for ax, (name, track) in zip(axes[1:], data.tracks.items()):
        over = track.scores > track.threshold
        ax.vlines(month, 0, track.scores.clamp(max=8), color=GRAY, linewidth=0.8)
        ax.vlines(month[over], 0, track.scores[over].clamp(max=8), color=REJECTED, linewidth=1.6)
        ax.axhline(track.threshold, color=REJECTED, linewidth=0.9)
        ax.set_ylim(0, 8)
        ax.set_title(
            f"{name}: {_verdict(track, data.size)}, {track.false} false before", fontsize=10
        )
    axes[-1].set_xlabel("months after the past (30 years, which set the thresholds)")


def _verdict(track: Track, size: int) -> str:
    if track.delay < 0:
        return "no alarm while it lasts"
    when = "at once" if track.delay == 0 else f"after {track.delay} months"
    return f"alarm {when}" if size else f"false alarm {when}"


def describe(data: PlantedAnomaly) -> str:
    """What was planted, and what each detector says while it lasts."""
    said = "; ".join(f"{name}, {_verdict(track, data.size)}" for name, track in data.tracks.items())
    return f"{data.kind} of size {data.size} at month {data.first}: {said}."


planted_anomaly = explorable(
    compute,
    draw,
    describe,
    question="Predict first, for each of the four kinds: which detector sees it, and how soon?",
    size=(8.4, 5.6),
    controls={
        "kind": choice("kind", KINDS, value="shift"),
        "size": int_slider("size", 0, 4, 3),
        "noise": int_slider("noise no.", 0, 9, 0),
        "place": play("place", PLACES, value=8, milliseconds=400),
    },
)
