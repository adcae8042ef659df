"""Lesson 20: two public programs in our words, for D^alpha y = -y, y(0) = 1, with N steps to t = 1.

They were read in November 2026: torchfde at 021ddc0, its method gl; neuralFDE at cc9c9c4, its file
PECE.py. What they return for alpha = 1/2 was computed with the programs themselves: 0.0393, 0.0135
at N = 10, 100; 0.5181, 0.4711, 0.4486 at N = 10, 40, 160.
"""

import math

import numpy as np

from ...solvers.fractional import gl_weights


def gl_of_all(alpha: float, N: int) -> float:
    """The backward difference of y, where Caputo's derivative needs that of y - y(0)."""
    w = gl_weights(alpha, N).numpy()
    y = [1.0]
    for n in range(1, N + 1):
        y.append(-y[-1] / N**alpha - float(w[1 : n + 1][::-1] @ y))
    return y[-1]


def shifted_adams(alpha: float, N: int) -> float:
    """Adams' prediction and correction with three faults: the prediction lacks 1/Gamma(alpha), the
    newest slope is f(0) where it should be f(y_n), and y_n stands in the place of y_(n-1).
    """
    c = 1 / N**alpha
    p = alpha + 1
    y: list[float] = []
    for n in range(N + 1):
        slopes = -np.array([*y, 0.0])
        back = np.arange(n + 1, 0, -1.0)
        guess = 1 + c / alpha * (back**alpha - (back - 1) ** alpha) @ slopes
        weights = (back + 1) ** p + (back - 1) ** p - 2 * back**p
        weights[0] = n**p - (n - alpha) * (n + 1) ** alpha
        y.append(1 + c / math.gamma(alpha + 2) * (weights @ slopes - guess))
    return float(y[-1])
