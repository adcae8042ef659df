"""Lesson 11: what observations say about the latent start, exactly, for a known frequency."""

import numpy as np

from ...course.controls import int_slider, slider
from ...course.explorables import Explorable, explorable
from ...plotting import BLUE, ORANGE, SKY, VERMILLION, exact_line
from .physics import TRUE, position_weights, start_posterior

_END, START = 10.0, np.array([0.9, 1.4])
_FINE = np.linspace(0, _END, 300)
_CIRCLE = np.stack(
    [np.cos(np.linspace(0, 2 * np.pi, 120)), np.sin(np.linspace(0, 2 * np.pi, 120))], axis=1
)


def draws(mean, covariance, normals):
    """Points (N, 2) of a Gaussian, from standard normal ones."""
    return mean + normals @ np.linalg.cholesky(covariance).T


@explorable("11", "what_is_known")
def what_is_known():
    """The exact posterior of the start, and the paths that it leaves possible."""
    chance = np.random.default_rng(4)
    errors, normals = chance.standard_normal(20), chance.standard_normal((400, 2))

    def compute(points, window, noise):
        t = np.linspace(0, window, points) if points > 1 else np.zeros(1)
        x = position_weights(t, TRUE) @ START + noise * errors[:points]
        mean, covariance = start_posterior(t, x, TRUE, noise)
        possible = draws(mean, covariance, normals)
        paths = position_weights(_FINE, TRUE) @ possible.T
        return {
            "setting": f"{points} point{'s' * (points > 1)} up to t = {t[-1]:.2f}, noise {noise:.2f}",
            "observed": (t, x),
            "std": np.sqrt(np.diag(covariance)),
            "ellipses": [draws(mean, covariance, r * _CIRCLE) for r in (1, 2)],
            "paths": paths[:, :30],
            "band": np.quantile(paths, (0.05, 0.95), axis=1),
            "wrong_way": float((possible[:, 1] < 0).mean()),
        }

    def draw(fig, data):
        left, right = fig.subplots(1, 2, width_ratios=[3, 5])
        for radius, ellipse in zip((1, 2), data["ellipses"]):
            left.plot(*(radius * _CIRCLE).T, color="#CFCFCF", linewidth=1.0)
            left.plot(*ellipse.T, color=BLUE, linewidth=1.6)
        left.plot(*START, "*", color=VERMILLION, markersize=11)
        left.set(xlim=(-3.2, 3.2), ylim=(-3.2, 3.2), xlabel="q at t = 0", ylabel="v at t = 0")
        left.set_title(
            f"q known to ± {data['std'][0]:.2f}, v to ± {data['std'][1]:.2f}\ngray: before, N(0, I)"
        )
        right.fill_between(_FINE, *data["band"], color=SKY, alpha=0.25, linewidth=0)
        right.plot(_FINE, data["paths"], color=BLUE, linewidth=0.5, alpha=0.35)
        exact_line(_FINE, position_weights(_FINE, TRUE) @ START, ax=right, label=None)
        right.plot(*data["observed"], "o", color=ORANGE, markersize=6)
        right.set(xlim=(-0.2, _END), ylim=(-3.2, 3.2), xlabel="t", ylabel="q")
        right.set_title(
            f"{data['setting']}\n{100 * data['wrong_way']:.0f} % of the paths start with v < 0 "
            "(truth: v > 0)"
        )

    def describe(data):
        return (
            f"{data['setting']}: q at t = 0 is known to ± {data['std'][0]:.2f}, v to ± "
            f"{data['std'][1]:.2f}; "
            f"{100 * data['wrong_way']:.0f} % of the possible paths start the wrong way."
        )

    return Explorable(
        compute,
        draw,
        describe,
        size=(8.8, 3.9),
        question="Predict first: a second observation comes in. At which time would it teach nothing about v?",
        controls={
            "points": int_slider("points", 1, 20, value=1),
            "window": slider("time of the last", 0.05, 8.0, value=1.85, step=0.05),
            "noise": slider("noise", 0.05, 1.0, value=0.2, step=0.05),
        },
    )
