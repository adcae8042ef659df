"""Data for the lessons: simulated, with the exact answer beside them."""

from .spirals import cubic_spiral, exact_spiral, observe, spiral
