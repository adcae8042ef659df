"""Lesson 15: two stored fields under many solvers: what likelihood they report, and what a tight
solver says.
"""

import numpy as np

from ...course.controls import choice, log_slider, toggle
from ...course.explorables import Explorable, explorable
from ...data.densities import two_moons
from ...plotting import EXACT, GRAY, REJECTED, VERMILLION
from .figures import draw_density, no_ticks
from .runs import EULER, SWEEP, arrays, table

NETS = {"trained through 5 Euler steps": "trapped", "trained with an adaptive solver": "honest"}
_OWN = len(SWEEP) + EULER.index(5)


@explorable("15", "likelihood_check")
def likelihood_check():
    """NLL on the moons, mass and picture of a stored field, for a tolerance, or for five steps of
    Euler's method.
    """

    def compute(net, tolerance, euler):
        row = table()[f"sweep/{net}"]
        index = _OWN if euler else int(np.argmin(np.abs(np.log(SWEEP) - np.log(tolerance))))
        return {
            "net": net,
            "entropy": table()["data/moons/CNF/0"]["entropy"],
            "tolerance": SWEEP[index] if index < len(SWEEP) else 0.0,
            "index": index,
            "picture": arrays()[f"sweep/{net}/picture"][index] / 255,
            **{name: np.array(row[name]) for name in ("nll", "mass", "nfe")},
        }

    def draw(fig, data):
        left, right = fig.subplots(1, 2, width_ratios=[1.1, 1])
        index, n = data["index"], len(SWEEP)
        nll, nfe = data["nll"], data["nfe"]
        draw_density(data["picture"], two_moons().bounds, ax=left, top=1)
        no_ticks(left)
        how = f"tolerance {data['tolerance']:.0e}" if index < n else "5 Euler steps"
        left.set_title(
            f"{how}: NLL {nll[index]:.2f} nats,\nmass {data['mass'][index]:.2f}, NFE "
            f"{nfe[index]:.0f}"
        )
        low, high = 0.9, 4.6
        right.axhspan(low, data["entropy"], color=REJECTED, alpha=0.09, linewidth=0)
        right.axhline(data["entropy"], color=EXACT, linewidth=1.2, linestyle=(0, (5, 3)))
        right.plot(nfe[:n], nll[:n].clip(low, high), "o-", color=GRAY, markersize=4)
        right.plot(nfe[n:], nll[n:].clip(low, high), "s:", color=GRAY, markersize=4)
        right.plot(nfe[index], nll[index].clip(low, high), "o", color=VERMILLION, markersize=10)
        right.set(
            xscale="log",
            xlim=(0.8, 600),
            ylim=(low, high),
            xlabel="NFE of a density",
            ylabel="reported NLL, in nats",
        )
        right.minorticks_off()
        right.set_title("dots: adaptive; squares: Euler;\nred: below the entropy, impossible")

    def describe(data):
        index, n = data["index"], len(SWEEP)
        how = f"tolerance {data['tolerance']:.0e}" if index < n else "5 Euler steps"
        nll = data["nll"][index]
        verdict = "below" if nll < data["entropy"] else "above"
        return (
            f"The {data['net']} net, {how}: NLL {nll:.2f}, {verdict} the entropy "
            f"{data['entropy']:.2f}; mass "
            f"{data['mass'][index]:.2f}, {data['nfe'][index]:.0f} evaluations."
        )

    return Explorable(
        compute,
        draw,
        describe,
        size=(8.4, 3.9),
        question="Predict first: as the tolerance gets tighter, does the reported NLL go up, or down? For which net?",
        controls={
            "net": choice("net", NETS),
            "tolerance": log_slider("tolerance", 1e-6, 1e-1, 1e-3),
            "euler": toggle("5 Euler steps instead"),
        },
    )
