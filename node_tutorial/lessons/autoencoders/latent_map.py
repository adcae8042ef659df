"""Lesson 10: what a latent point decodes to, and the straight way from one digit to another."""

from functools import lru_cache

import torch

from ...course.controls import choice, slider
from ...course.explorables import Explorable, explorable
from ...data.digits import a_digit
from ...plotting import BLUE, GRAY, VERMILLION
from .figures import draw_codes, draw_images, draw_page, montage
from .runs import BETAS, ink_digits, to_training_images, trained, trained_coder

REACH, CELLS = (
    3.9,
    13,
)  # the map shows the square from -REACH to REACH as so many decoded images a side
NETS = {"VAE, 16 latents": True, "plain, 16 latents": False}
STEPS = 11


@explorable("10", "latent_map")
def latent_map():
    """A point of the latent plane and the image that it decodes to, between the map and the codes
    of test images.
    """

    def compute(z1, z2, beta):
        page, codes, elbo = _map(beta)
        z = torch.tensor([[z1, z2]], dtype=torch.float64)
        image = trained(2, beta)[0].decode(z)
        nearest = int(torch.cdist(z, codes).argmin())
        sure = int(((image < 0.1) | (image > 0.9)).sum())
        return {
            "z": (z1, z2),
            "beta": beta,
            "page": page,
            "codes": codes,
            "image": image,
            "nearest": nearest,
            "sure": sure,
            "elbo": elbo,
        }

    def draw(fig, data):
        left, middle, right = fig.subplots(1, 3, width_ratios=[1.2, 1.2, 0.62])
        images = ink_digits()
        draw_page(data["page"], (-REACH, REACH, -REACH, REACH), ax=left)
        draw_codes(data["codes"], images.test_label, ax=middle, reach=REACH, size=9)
        for ax in (left, middle):
            ax.plot(
                *data["z"],
                "o",
                color=VERMILLION,
                markersize=9,
                markerfacecolor="none",
                markeredgewidth=2.2,
            )
            ax.set(xlabel="z₁", xlim=(-REACH, REACH), ylim=(-REACH, REACH))
            ax.grid(visible=False)
        left.set_ylabel("z₂")
        left.set_title(
            f"the plane, decoded\nz = ({data['z'][0]:.1f}, {data['z'][1]:.1f})", fontsize=10.5
        )
        middle.set_title(
            f"codes of test images\nβ = {data['beta']:g}: ELBO {data['elbo']:.1f} nats",
            fontsize=10.5,
        )
        pair = torch.cat([data["image"], images.test[data["nearest"]][None]])
        draw_images(pair, 1, ax=right)
        right.set_title(
            f"z decoded: {data['sure']} of\n64 pixels are sure;\nbelow, the test image\nof "
            "nearest code",
            fontsize=10,
        )

    def describe(data):
        label = int(ink_digits().test_label[data["nearest"]])
        z1, z2 = data["z"]
        return (
            f"β = {data['beta']:g}, z = ({z1:.1f}, {z2:.1f}): {data['sure']} of 64 pixels are "
            "sure; "
            f"the test image of nearest code is {a_digit(label)}."
        )

    return Explorable(
        compute,
        draw,
        describe,
        size=(9.0, 3.7),
        question="Predict first: with a larger β, do the codes of two images move apart, or together?",
        controls={
            "z1": slider("z₁", -3.8, 3.8, value=1.0, step=0.1, format=".1f"),
            "z2": slider("z₂", -3.8, 3.8, value=-1.0, step=0.1, format=".1f"),
            "beta": choice("β", {f"{beta:g}": beta for beta in BETAS}, value=1.0),
        },
    )


@lru_cache(maxsize=8)
@torch.no_grad()
def _map(beta):
    """The decoded plane as one picture, top row first; codes of the test images; their mean ELBO,
    in nats.
    """
    model, images = trained(2, beta)[0], ink_digits()
    centers = (torch.arange(CELLS, dtype=torch.float64) + 0.5) * (2 * REACH / CELLS) - REACH
    z2, z1 = torch.meshgrid(centers.flip(0), centers, indexing="ij")
    torch.manual_seed(0)
    elbo = model.elbo(images.test, 20).total.mean().item()
    return (
        montage(model.decode(torch.stack([z1, z2], -1).reshape(-1, 2)), CELLS, gap=0),
        model.encode(images.test).mean,
        elbo,
    )


@explorable("10", "interpolation")
def interpolation():
    """Straight lines from one test image to another: of pixels, and of codes, decoded."""

    def compute(first, second, net):
        images = ink_digits()
        ends = images.test[[_image(first, 0), _image(second, int(first == second))]]
        model = (trained(16) if NETS[net] else trained_coder(16))[0]
        codes = model.encode(ends).mean if NETS[net] else model.encode(ends)
        s = torch.linspace(0, 1, STEPS, dtype=torch.float64)[:, None]
        rows = {
            "pixels": ends[0] * (1 - s) + ends[1] * s,
            "codes": model.decode(codes[0] * (1 - s) + codes[1] * s),
        }
        away = {name: to_training_images(row, images) for name, row in rows.items()}
        return {"ends": (first, second), "net": net, "s": s[:, 0], "rows": rows, "away": away}

    def draw(fig, data):
        left, right = fig.subplots(1, 2, width_ratios=[1.75, 1])
        draw_images(torch.cat(list(data["rows"].values())), STEPS, ax=left)
        first, second = data["ends"]
        left.set_title(
            f"from {a_digit(first)} to {a_digit(second)}; {data['net']}\n"
            "above: a line of pixels; below: of codes, decoded"
        )
        for place, (name, color) in enumerate((("pixels", GRAY), ("codes", BLUE))):
            right.plot(data["s"], data["away"][name], color=color)
            right.text(0.03 + 0.3 * place, 0.9, name, color=color, transform=right.transAxes)
        right.set(xlim=(0, 1), ylim=(0, 16), xlabel="place on the line", ylabel="pixels")
        right.set_title("expected distance from\nthe nearest training image")

    def describe(data):
        first, second = data["ends"]
        pixels, codes = (data["away"][name][STEPS // 2] for name in ("pixels", "codes"))
        return (
            f"From {a_digit(first)} to {a_digit(second)}, {data['net']}: half-way, the image is "
            f"{pixels:.0f} pixels "
            f"from the nearest training image on the line of pixels, {codes:.0f} on that of codes."
        )

    return Explorable(
        compute,
        draw,
        describe,
        size=(9.0, 2.9),
        question="Predict first: half-way between a 3 and an 8 in pixels, and half-way in codes: what do you see?",
        controls={
            "first": choice("from", list(range(10)), value=3),
            "second": choice("to", list(range(10)), value=6),
            "net": choice("net", list(NETS)),
        },
    )


def _image(digit, which):
    """The index of a test image of that digit."""
    return int((ink_digits().test_label == digit).nonzero()[which, 0])
