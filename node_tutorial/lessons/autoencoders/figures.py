"""Lesson 10: figures."""

import math

import numpy as np
import torch
from matplotlib.colors import Normalize
from matplotlib.image import BboxImage
from matplotlib.transforms import Bbox, TransformedBbox

from ...plotting import (
    BLUE,
    EXACT,
    GRAY,
    GREEN,
    ORANGE,
    TEN,
    VERMILLION,
    blank,
    exact_line,
    figure,
    label_line,
)
from .runs import to_training_images


def montage(images, columns, gap=1):
    """Images (N, 64) in rows, ink dark on light, as one array of gray values; gaps are white."""
    images = np.asarray(images.detach()).reshape(-1, 8, 8)
    rows = math.ceil(len(images) / columns)
    page = np.zeros((rows * (8 + gap) - gap, columns * (8 + gap) - gap))
    for i, image in enumerate(images):
        row, column = divmod(i, columns)
        page[row * (8 + gap) :, column * (8 + gap) :][:8, :8] = 0.1 + 0.9 * image
    return 1 - np.round(16 * page) / 16  # few levels of gray make small files


def draw_images(images, columns, *, ax):
    """Images (N, 64) with entries in [0, 1], so many to a row."""
    page = montage(images.clamp(0, 1), columns)
    draw_page(page, (0, page.shape[1], 0, page.shape[0]), ax=ax)
    ax.set_axis_off()
    return ax


def draw_page(page, extent, *, ax):
    """Gray values as an image that fills extent (left, right, bottom, top).

    Not by `imshow`: with its kind of image a picture is stored in full color, three times as large.
    """
    left, right, bottom, top = extent
    box = TransformedBbox(Bbox.from_extents(left, bottom, right, top), ax.transData)
    image = BboxImage(box, cmap="gray", norm=Normalize(0, 1), interpolation="nearest", zorder=0.5)
    image.set_data(page)
    ax.add_artist(image)
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    return ax


def draw_codes(codes, label, *, ax, reach=None, size=5):
    """Two entries of codes (N, 2), a color for each digit, its name at the median if there is room;
    circles of p(z).
    """
    codes, label = codes.detach().numpy(), label.numpy()
    reach = reach or max(2.6, 1.05 * float(np.abs(codes).max()))
    ax.scatter(codes[:, 0], codes[:, 1], c=[TEN[k] for k in label], s=size, linewidths=0, alpha=0.6)
    named: list[np.ndarray] = []
    for k in range(10):
        place = np.median(codes[label == k], axis=0)
        if all(np.abs(place - other).max() > 0.16 * reach for other in named):
            named.append(place)
            ax.plot(*place, "o", color="white", markersize=11, alpha=0.8, zorder=3)
            ax.text(
                *place,
                str(k),
                color=TEN[k],
                ha="center",
                va="center",
                fontsize=10,
                weight="bold",
                zorder=4,
            )
    angle = np.linspace(0, 2 * math.pi, 100)
    for radius in (1, 2):
        ax.plot(
            radius * np.cos(angle),
            radius * np.sin(angle),
            color=EXACT,
            linewidth=1,
            linestyle=(0, (5, 3)),
        )
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    return ax


def report(net, history, images):
    """A figure of four panels for any net of the lesson: images and what becomes of them, draws,
    codes, and the loss.

    net: has `encode`, and `decode` to probabilities; encode returns codes, or (mean, std).
    """
    fig = blank((9.2, 2.9))
    _draw_report(fig, net, history, images)
    return fig


def reports(nets, images):
    """The same for several nets, one below the other; nets: name -> (net, history)."""
    fig = blank((9.2, 3.05 * len(nets)))
    for row, (name, (net, history)) in zip(
        fig.subfigures(len(nets), 1, squeeze=False)[:, 0], nets.items()
    ):
        _draw_report(row, net, history, images, name)
    return fig


@torch.no_grad()
def _draw_report(fig, net, history, images, name=None):
    torch.manual_seed(0)
    some = images.test[[10, 1, 4, 29, 2, 5]]
    code, codes = net.encode(some), net.encode(images.test)
    known = isinstance(code, tuple)
    rows = [some, net.decode(code[0] if known else code)]
    if known:
        rows.append(net.decode(code[0] + code[1] * torch.randn_like(code[1])))
        codes = codes[0]
    pictures, drawn, plane, loss = fig.subplots(1, 4, width_ratios=[1.15, 1.15, 1.1, 1.1])
    draw_images(torch.cat(rows), 6, ax=pictures)
    title = "rows: image,\ndecoded from its code" + (",\ndecoded from a draw of q" if known else "")
    pictures.set_title(f"net {name}\n\n{title}" if name else title, fontsize=10)
    draw_images(net.decode(torch.randn(36, codes.shape[1], dtype=codes.dtype)), 6, ax=drawn)
    drawn.set_title(
        f"decoded from N(0, I):\n{strange_share(net, images):.0%} are strange", fontsize=10
    )
    spread = codes.var(0).argsort(descending=True)[:2].sort().values
    draw_codes(codes[:, spread], images.test_label, ax=plane)
    plane.set_title("codes, widest two entries\n(circles: N(0, I))", fontsize=10)
    loss.plot(history["loss"], color=BLUE, linewidth=1)
    loss.set(ylim=(0, 60), xlim=(0, len(history)), xlabel="step")
    loss.set_title(
        f"its own loss (nats)\nends at {np.mean(history['loss'][-50:]):.1f}", fontsize=10
    )


@torch.no_grad()
def strange_share(net, images, z=None, draws=2000, seed=0):
    """The share of decoded draws, set to ink or paper, that differ from every training image in
    more than 6 pixels.
    """
    torch.manual_seed(seed)
    if z is None:
        code = net.encode(images.x[:1])
        z = torch.randn(
            draws, (code[0] if isinstance(code, tuple) else code).shape[-1], dtype=torch.float64
        )
    ink = (net.decode(z) > 0.5).double()
    return (to_training_images(ink, images) > 6).float().mean().item()


def gradient_figure(estimates, exact):
    """A figure: histograms of estimates of d/dmean E[z^2] from one draw each; name -> (N,)."""
    fig, axes = figure(ncols=len(estimates), size=(8.6, 2.7), sharey=True)
    for ax, (name, values), color in zip(axes, estimates.items(), (VERMILLION, BLUE)):
        values = values.numpy()
        ax.hist(values, bins=np.linspace(-10, 30, 121), color=color, density=True)
        exact_line([exact, exact], [0, 0.45], ax=ax, label=None)
        ax.set(xlim=(-10, 30), ylim=(0, 0.45), xlabel="estimate from one draw")
        ax.set_title(f"{name}: variance {values.var():.1f}")
    axes[0].text(exact + 0.8, 0.41, f"exact: {exact:.0f}", color=EXACT)
    return fig


def bounds_figure(bounds, exact, baselines):
    """A figure: L_k over k, with log p(x) and baselines as lines."""
    fig, ax = figure(size=(7.6, 3.3))
    ks = list(bounds)
    ax.plot(ks, list(bounds.values()), "o-", color=BLUE)
    low = min([*bounds.values(), *baselines.values()])
    ax.set(
        xscale="log",
        xlabel="draws k in the bound",
        ylabel="nats per test image",
        xlim=(0.8, 30 * ks[-1]),
    )
    ax.set(ylim=(low - 0.2, max(exact, *baselines.values()) + 0.25))
    ax.set_xticks(ks, [str(k) for k in ks])
    ax.minorticks_off()
    ax.annotate("ELBO", (1, bounds[1]), (12, -4), textcoords="offset points", color=BLUE)
    exact_line([0.8, ks[-1]], [exact, exact], ax=ax, label=None)
    label_line((ks[-1], exact), "log p(x), integrated", ax=ax, color=EXACT)
    for (name, value), color in zip(baselines.items(), (GREEN, ORANGE, GRAY)):
        ax.plot([0.8, ks[-1]], [value, value], color=color, linewidth=1.4)
        label_line((ks[-1], value), name, ax=ax, color=color)
    ax.annotate("L_k", (ks[-2], bounds[ks[-2]]), (0, -16), textcoords="offset points", color=BLUE)
    return fig


def rate_figure(table, independent):
    """A figure: distortion over rate; ELBO and log p(x) over beta. table: beta -> {rate,
    distortion, elbo, exact}.
    """
    fig, (plane, curves) = figure(ncols=2, size=(8.8, 3.3))
    rate, distortion, elbo, exact = (
        [row[key] for row in table.values()] for key in ("rate", "distortion", "elbo", "exact")
    )
    plane.plot(rate, distortion, "o-", color=BLUE)
    for beta, r, d in zip(table, rate, distortion):
        plane.annotate(
            f"β = {beta:g}", (r, d), (7, 5), textcoords="offset points", color=BLUE, fontsize=9.5
        )
    level = -max(elbo)
    plane.plot([0, 6], [level, level - 6], color=GRAY, linewidth=1, linestyle=(0, (2, 2)))
    plane.text(1.4, level - 4.6, "equal ELBO", color=GRAY, fontsize=9.5, va="top")
    plane.set(
        xlim=(-0.3, 9.4), ylim=(14.5, 27), xlabel="rate: KL (nats)", ylabel="distortion (nats)"
    )
    curves.set(
        xscale="log", xlim=(0.08, 110), ylim=(-26.2, -19), xlabel="β", ylabel="nats per test image"
    )
    curves.set_xticks([0.1, 1, 10], ["0.1", "1", "10"])
    curves.minorticks_off()
    for values, name, color, offset in (
        (exact, "log p(x)", EXACT, (-4, 8)),
        (elbo, "ELBO", VERMILLION, (20, -16)),
    ):
        curves.plot(list(table), values, "o-", color=color)
        curves.annotate(
            name, (0.3, values[1]), offset, color=color, textcoords="offset points", ha="center"
        )
    curves.plot([0.08, 10], [independent, independent], color=GREEN, linewidth=1.2)
    label_line((10, independent), "independent\npixels", ax=curves, color=GREEN)
    return fig
