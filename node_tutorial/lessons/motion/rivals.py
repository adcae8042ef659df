"""Lesson 13: what fills in key frames without a latent that moves, from the same key frames.

    spline      scipy's cubic spline through the noisy key frames
    smooth      scipy's smoothing spline, its stiffness by generalized cross-validation
    Fourier     a mean and HARMONICS sines and cosines by least squares, for every angle by itself
    learned     the same, with a Gaussian prior of all 9 angles' coefficients together, which is
                learned from half of the training clips by EM
    templates   one walk for each of two styles, learned from 256 training clips; of a clip only
                its style and its phase are looked for

All but the splines have to know the period. It is found by least squares: for "Fourier, alone" from
the clip itself, for the others from 256 training clips. The splines end where the clip ends, and
say nothing of what comes; only the others are asked for it.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.interpolate import CubicSpline, make_smoothing_spline
from torch import Tensor

from ...data.gait import LEFT_SHOULDER
from .trainings import TRAIN, VALIDATION_SEED, Clips, clips, error

HARMONICS = (1, 2, 3)  # to choose from, by validation
OF_LEARNED = 4
OF_TEMPLATES = 8
ROUNDS = 4  # of walks and phases by turns
PHASES = 240  # that are tried
ITERATIONS = 15  # of EM
PERIODS = np.arange(0.9, 1.6001, 0.005)  # where the period is looked for, seconds


def spline(data: Clips, t: np.ndarray) -> np.ndarray:
    """Angles (B, T, 9) at times t (T,) within the clip."""
    return np.stack([CubicSpline(*keys)(t) for keys in _keys(data)])


def smooth(data: Clips, t: np.ndarray) -> np.ndarray:
    """As `spline`."""
    return np.stack(
        [
            np.stack([make_smoothing_spline(at, x)(t) for x in values.T], -1)
            for at, values in _keys(data)
        ]
    )


def fourier(data: Clips, t: np.ndarray, harmonics: int, period: float | None) -> np.ndarray:
    """As `spline`, at any times; period None: that of each clip by itself."""
    found = []
    for at, values in _keys(data):
        own = best_period([(at, values)], harmonics) if period is None else period
        weights = np.linalg.lstsq(design(at, harmonics, own), values, rcond=None)[0]
        found.append(design(t, harmonics, own) @ weights)
    return np.stack(found)


def design(t: np.ndarray, harmonics: int, period: float) -> np.ndarray:
    """1, cos, sin, cos of twice the angle, .. at times t (T,): (T, 2 harmonics + 1)."""
    angle = 2 * math.pi * t[:, None] / period * np.arange(1, harmonics + 1)
    both = np.stack([np.cos(angle), np.sin(angle)], -1).reshape(len(t), -1)
    return np.concatenate([np.ones((len(t), 1)), both], 1)


def best_period(keys: list[tuple[np.ndarray, np.ndarray]], harmonics: int) -> float:
    """The one of PERIODS that leaves the least squares, over all clips."""
    t = np.stack([at for at, _ in keys])
    x = np.stack([values for _, values in keys])
    left = []
    for period in PERIODS:
        rows = np.stack([design(at, harmonics, period) for at in t])
        q = np.linalg.qr(rows).Q
        left.append(np.square(x - q @ (q.transpose(0, 2, 1) @ x)).sum())
    return float(PERIODS[int(np.argmin(left))])


def common_period(seed: int) -> float:
    """That of 256 training clips."""
    return best_period(_keys(clips(TRAIN, seed))[:256], 3)


def cross_validation(data: Clips, harmonics: int, period: float | None) -> float:
    """The mean squared error of each key frame, predicted from the others of its clip."""
    total = []
    for at, values in _keys(data):
        own = best_period([(at, values)], harmonics) if period is None else period
        rows = design(at, harmonics, own)
        hat = rows @ np.linalg.pinv(rows)
        total.append(
            np.square((values - hat @ values) / np.maximum(1 - np.diag(hat), 1e-9)[:, None]).mean()
        )
    return float(np.mean(total))


class Prior(NamedTuple):
    """Attributes: mean (C,) and covariance (C, C) of a clip's coefficients; noise: variance."""

    mean: np.ndarray
    covariance: np.ndarray
    noise: float
    period: float


def learned_prior(seed: int, period: float) -> Prior:
    """By EM, from half of the training clips."""
    keys = _keys(clips(TRAIN, seed))[: TRAIN // 2]
    rows = np.stack([design(at, OF_LEARNED, period) for at, _ in keys])
    x = np.stack([values for _, values in keys])
    n, _, d = rows.shape
    size = d * x.shape[2]
    prior = Prior(np.zeros(size), np.eye(size), 0.01, period)
    for _ in range(ITERATIONS):
        means, covariances = _posterior(prior, rows, x)
        mean = means.mean(0)
        off = means - mean
        covariance = covariances.mean(0) + off.T @ off / n + 1e-9 * np.eye(size)
        fits = np.einsum("bkd,bda->bka", rows, means.reshape(n, d, -1))
        spread = covariances.reshape(n, d, x.shape[2], d, x.shape[2])
        rest = np.einsum("bkd,bdaea,bke->", rows, spread, rows, optimize=True)
        noise = (np.square(x - fits).sum() + rest) / x.size
        prior = Prior(mean, covariance, float(noise), period)
    return prior


def _posterior(prior: Prior, rows: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means (B, C) and covariances (B, C, C) of coefficients, given key frames x (B, K, 9)."""
    angles = x.shape[2]
    precision = np.linalg.inv(prior.covariance)
    gram = np.einsum("bkd,bke->bde", rows, rows)
    full = np.einsum("bde,ac->bdaec", gram, np.eye(angles)).reshape(len(x), len(precision), -1)
    covariance = np.linalg.inv(precision + full / prior.noise)
    seen = np.einsum("bkd,bka->bda", rows, x).reshape(len(x), -1)
    pull = precision @ prior.mean + seen / prior.noise
    return np.einsum("bij,bj->bi", covariance, pull), covariance


def learned(data: Clips, t: np.ndarray, prior: Prior) -> np.ndarray:
    """As `fourier`, by the posterior mean under a prior."""
    keys = _keys(data)
    rows = np.stack([design(at, OF_LEARNED, prior.period) for at, _ in keys])
    x = np.stack([values for _, values in keys])
    means, _ = _posterior(prior, rows, x)
    weights = means.reshape(len(x), rows.shape[2], x.shape[2])
    return design(t, OF_LEARNED, prior.period) @ weights


def learned_templates(seed: int, period: float) -> np.ndarray:
    """The coefficients (2, C, 9) of one walk for each of two styles: walks, and the clips' styles
    and phases, are found by turns. They begin with the first harmonic of the left shoulder,
    a walk's simplest angle.
    """
    t, x = map(np.stack, zip(*_keys(clips(TRAIN, seed))[:256], strict=True))
    arms = [
        np.linalg.lstsq(design(at, 1, period), arm, rcond=None)[0]
        for at, arm in zip(t, x[..., LEFT_SHOULDER], strict=True)
    ]
    _, cos, sin = np.stack(arms, 1)
    swing = np.hypot(cos, sin)
    style = (swing > (swing.min() + swing.max()) / 2).astype(int)
    shift = np.arctan2(-sin, cos) * period / (2 * math.pi)
    for _ in range(ROUNDS):
        walks = []
        for k in (0, 1):
            rows = design((t + shift[:, None])[style == k].ravel(), OF_TEMPLATES, period)
            walks.append(np.linalg.lstsq(rows, x[style == k].reshape(len(rows), -1), rcond=None)[0])
        style, shift = _placed(np.stack(walks), t, x, period)
    return np.stack(walks)


def _placed(
    walks: np.ndarray, t: np.ndarray, x: np.ndarray, period: float
) -> tuple[np.ndarray, np.ndarray]:
    """Of clips with key frames x (B, K, 9) at t (B, K), style and phase (B,), the phase in seconds,
    that leave the least squares.
    """
    shifts = period * np.arange(PHASES) / PHASES
    off = []
    for shift in shifts:
        rows = design((t + shift).ravel(), OF_TEMPLATES, period).reshape(*t.shape, -1)
        off.append([np.square(x - rows @ walk).sum((1, 2)) for walk in walks])
    best = np.array(off).reshape(-1, len(x)).argmin(0)
    return best % len(walks), shifts[best // len(walks)]


def templates(data: Clips, t: np.ndarray, walks: np.ndarray, period: float) -> np.ndarray:
    """As `fourier`, by the nearest of `learned_templates`."""
    keys, x = map(np.stack, zip(*_keys(data), strict=True))
    style, shift = _placed(walks, keys, x, period)
    return np.stack(
        [design(t + s, OF_TEMPLATES, period) @ walks[k] for k, s in zip(style, shift, strict=True)]
    )


def filled(data: Clips, t: Tensor, seed: int) -> dict[str, Tensor]:
    """All of them: angles (B, T, 9) at times t (T,); of the splines, those within the clip. `seed`
    says from which training clips period and prior are.
    """
    fine = t.numpy()
    inside = fine[fine <= float(data.t[-1]) + 1e-6]
    common = common_period(seed)
    others = clips(64, VALIDATION_SEED)
    best = {p: min(HARMONICS, key=lambda k: cross_validation(others, k, p)) for p in (common, None)}
    found = {
        "cubic spline": spline(data, inside),
        "smoothing spline": smooth(data, inside),
        "Fourier, alone": fourier(data, fine, best[None], None),
        "Fourier, common period": fourier(data, fine, best[common], common),
        "learned Fourier": learned(data, fine, learned_prior(seed, common)),
        "two walks, a phase": templates(data, fine, learned_templates(seed, common), common),
    }
    return {name: torch.from_numpy(x) for name, x in found.items()}


def errors(filled: dict[str, Tensor], true: Tensor) -> dict[str, list[float]]:
    """In the clip and later; of what ends with the clip, in the clip."""
    end = filled["cubic spline"].shape[1]
    found = {}
    for name, x in filled.items():
        later = [] if x.shape[1] == end else [error(x[:, end:], true[:, end:])]
        found[name] = [error(x[:, :end], true[:, :end]), *later]
    return found


def _keys(data: Clips) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each clip, the times (K,) and the values (K, 9) of its key frames."""
    t = data.t.double().numpy()
    x = data.x.double().numpy()
    seen = data.mask[..., 0].numpy()
    return [(t[rows], values[rows]) for rows, values in zip(seen, x, strict=True)]
