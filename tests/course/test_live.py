"""The picture that follows a training."""

import warnings

import pytest
import torch

from node_tutorial.course.live import Live
from node_tutorial.training import fit


@pytest.mark.parametrize(("shift", "scale"), [(1.0, "log"), (-5.0, "linear"), (-0.5, "linear")])
def test_the_losses_are_within_the_picture_whatever_their_sign(shift, scale):
    torch.manual_seed(0)
    live = Live(every=0.0)
    x = torch.ones(4, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib's "Data has no positive values"
        history = fit(
            torch.nn.Linear(1, 1),
            lambda model, step: model(x).square().mean() + shift,
            5,
            lr=0.3,
            progress=False,
            on_step=live,
        )
    [ax] = live.figure.axes
    low, high = ax.get_ylim()
    assert ax.get_yscale() == scale
    assert all(low < loss < high for loss in history["loss"])
