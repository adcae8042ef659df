"""Where data lies, and which numbers it holds, when torch's default device is another.

"meta" stands in for a GPU: it refuses generators of the CPU in the same way.
"""

import pytest
import torch

from node_tutorial import data

MAKERS = {
    "two_spirals": lambda: data.two_spirals(4, points=5, later=3, total=40).x,
    "oscillations": lambda: data.oscillations(3)[0][1][1],
    "disk_in_annulus": lambda: data.disk_in_annulus(3, 4)[0],
    "digits": lambda: data.digits().images,
    "observe": lambda: data.observe(torch.cos, 5, end=3.0, noise=0.1)[1],
    "two_moons": lambda: data.two_moons().sample(7, torch.Generator("cpu").manual_seed(0)),
    "pinwheel": lambda: data.pinwheel().sample(7, torch.Generator("cpu").manual_seed(0)),
    "gaussians": lambda: data.gaussians().sample(7, torch.Generator("cpu").manual_seed(0)),
    "U1": lambda: data.target(1).sample(7, torch.Generator("cpu").manual_seed(0)),
}


@pytest.mark.parametrize("name", MAKERS)
def test_data_is_on_the_default_device(name):
    here = MAKERS[name]()
    with torch.device("meta"):
        there = MAKERS[name]()
    assert here.device.type == "cpu" and there.device.type == "meta"
    assert here.shape == there.shape and here.dtype == there.dtype


def test_densities_that_were_made_under_another_default_device_work_here():
    with torch.device("meta"):
        pinwheel = data.pinwheel()
    assert pinwheel.log_prob(torch.zeros(1, 2)).isfinite()


def test_thinned_series_stay_where_they_are():
    t = torch.arange(5.0)
    x = torch.randn(2, 5, 1)
    with torch.device("meta"):
        series = data.thin(t, x, 3)
    assert all(part.device.type == "cpu" for pair in series for part in pair)
