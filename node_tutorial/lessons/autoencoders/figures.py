"""Lesson 10: figures."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from torch import Tensor

from ...models.vae import VAE, Autoencoder
from ...plotting import (
    BLUE,
    EXACT,
    GRAY,
    GREEN,
    ORANGE,
    TEN,
    VERMILLION,
    Picture,
    blank,
    draw_images,
    exact_line,
    figure,
    label_line,
)
from ...training import History
from ...training.precision import default_dtype
from .runs import (
    BETAS,
    Coder,
    Images,
    ink_digits,
    latent_rates,
    no_digits,
    to_training_images,
)

Net = VAE | Autoencoder  # of the latter, one that decodes to probabilities
DRAWS = 2000  # decoded to see how many are strange
STRANGE = 6  # an image is strange if every training image differs from it in more pixels


def draw_codes(
    codes: Tensor, label: Tensor, *, ax: Axes, reach: float | None = None, size: float = 5
) -> None:
    """Codes (N, 2), a color for each digit of label (N,), its name at the median if there is room;
    circles of p(z). The axes go from -reach to reach, by default as far as the codes.
    """
    points = codes.detach().numpy()
    digits = label.numpy()
    reach = reach or max(2.6, 1.05 * float(np.abs(points).max()))
    colors = [TEN[k] for k in digits]
    ax.scatter(points[:, 0], points[:, 1], c=colors, s=size, linewidths=0, alpha=0.6)
    named: list[np.ndarray] = []
    for k in range(10):
        place = np.median(points[digits == k], axis=0)
        if all(np.abs(place - other).max() > 0.16 * reach for other in named):
            named.append(place)
            _draw_name(k, place, ax)
    angle = np.linspace(0, 2 * math.pi, 100)
    for radius in (1, 2):
        circle = radius * np.cos(angle), radius * np.sin(angle)
        ax.plot(*circle, color=EXACT, linewidth=1, linestyle=(0, (5, 3)))
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")


def _draw_name(digit: int, place: np.ndarray, ax: Axes) -> None:
    x, y = place
    ax.plot(x, y, "o", color="white", markersize=11, alpha=0.8, zorder=3)
    name = ax.text(x, y, str(digit), color=TEN[digit], ha="center", va="center", zorder=4)
    name.set(fontsize=10, weight="bold")


def report(net: Net, history: History, images: Images) -> Picture:
    """A figure of four panels for any net of the lesson: images and what becomes of them, draws,
    codes, and the loss.
    """
    fig = blank((9.2, 2.9))
    _draw_report(fig, net, history, images)
    return fig


def reports(nets: Mapping[str, tuple[Net, History]], images: Images) -> Picture:
    """The same for several nets by name, one below the other."""
    fig = blank((9.2, 3.05 * len(nets)))
    rows = fig.subfigures(len(nets), 1, squeeze=False)[:, 0]
    for row, (name, (net, history)) in zip(rows, nets.items()):
        _draw_report(row, net, history, images, name)
    return fig


@torch.no_grad()
def _draw_report(
    fig: Figure | SubFigure, net: Net, history: History, images: Images, name: str = ""
) -> None:
    torch.manual_seed(0)
    some = images.test[[10, 1, 4, 29, 2, 5]]
    rows = [some]
    title = "rows: image,\ndecoded from its code"
    if isinstance(net, VAE):
        mean, std = net.encode(some)
        rows += [net.decode(mean), net.decode(mean + std * torch.randn_like(std))]
        title += ",\ndecoded from a draw of q"
        codes = net.encode(images.test).mean
    else:
        rows += [net.decode(net.encode(some))]
        codes = net.encode(images.test)
    pictures, drawn, plane, loss = fig.subplots(1, 4, width_ratios=[1.15, 1.15, 1.1, 1.1])
    draw_images(torch.cat(rows), 6, ax=pictures)
    pictures.set_title(f"net {name}\n\n{title}" if name else title, fontsize=10)
    draw_images(net.decode(torch.randn(36, codes.shape[1], dtype=codes.dtype)), 6, ax=drawn)
    share = strange_share(net, images)
    drawn.set_title(f"decoded from N(0, I):\n{share:.0%} are strange", fontsize=10)
    widest = codes.var(0).argsort(descending=True)[:2].sort().values
    draw_codes(codes[:, widest], images.test_label, ax=plane)
    plane.set_title("codes, widest two entries\n(circles: N(0, I))", fontsize=10)
    loss.plot(history["loss"], color=BLUE, linewidth=1)
    loss.set(ylim=(0, 60), xlim=(0, len(history)), xlabel="step")
    end = np.mean(history["loss"][-50:])
    loss.set_title(f"its own loss (nats)\nends at {end:.1f}", fontsize=10)


@torch.no_grad()
def strange_share(net: Net, images: Images, z: Tensor | None = None) -> float:
    """The share of decoded z (N, L), set to ink or paper, that differ from every training image in
    more than STRANGE pixels; by default of DRAWS draws from N(0, I).
    """
    torch.manual_seed(0)
    if z is None:
        code = net.encode(images.x[:1])
        latent = (code.mean if isinstance(code, tuple) else code).shape[-1]
        z = torch.randn(DRAWS, latent, dtype=torch.float64)
    ink = (net.decode(z) > 0.5).double()
    return (to_training_images(ink, images) > STRANGE).float().mean().item()


def gradient_figure(estimates: Mapping[str, Tensor], exact: float) -> Picture:
    """A figure: histograms of estimates of d/dmean E[z^2] from one draw each; name -> (N,)."""
    fig, axes = figure(ncols=len(estimates), size=(9.2, 2.7), sharey=True)
    for ax, (name, estimate), color in zip(axes, estimates.items(), (VERMILLION, ORANGE, BLUE)):
        values = estimate.numpy()
        ax.hist(values, bins=np.linspace(-10, 30, 121), color=color, density=True)
        exact_line([exact, exact], [0, 0.45], ax=ax, label=None)
        ax.set(xlim=(-10, 30), ylim=(0, 0.45), xlabel="estimate from one draw")
        ax.set_title(f"{name}: variance {values.var():.1f}")
    axes[0].text(exact + 0.8, 0.41, f"exact: {exact:.0f}", color=EXACT)
    return fig


@torch.no_grad()
def sizes_figure(nets: Mapping[int, VAE], images: Images) -> Picture:
    """A figure: test images and two that are no digits, as VAEs with so many latents return them;
    and how many nats each latent says, the KL of its entry, from the most to the least.
    """
    fig, (pictures, units) = figure(ncols=2, size=(9.2, 2.9), width_ratios=[3.4, 3.6])
    shown = torch.cat([images.test[[10, 1, 4, 29, 2, 5]], no_digits()])
    rows = [shown, *(net.decode(net.encode(shown).mean) for net in nets.values())]
    draw_images(torch.cat(rows), len(shown), ax=pictures)
    height = len(rows) * 9
    for i, name in enumerate(["image", *(f"{size} latents" for size in nets)]):
        pictures.text(-2, height - 9 * i - 5, name, ha="right", va="center", fontsize=10)
    pictures.set_title("two of these are no digits", fontsize=10.5)
    for (size, net), color in zip(nets.items(), (GRAY, BLUE, VERMILLION)):
        rates = latent_rates(net, images.test).sort(descending=True).values
        numbers = range(1, len(rates) + 1)
        units.plot(numbers, rates, ".-", color=color, linewidth=1.2, markersize=5)
        place = {2: (2.6, 1.55), 16: (9, 0.55), 64: (30, 0.08)}.get(size, (size, 0.1))
        units.text(*place, f"{size} latents", color=color)
    units.set(xlabel="latents, from the most to the least used", ylabel="KL (nats)")
    units.set(xlim=(0, 66), ylim=(-0.04, 2.0))
    return fig


def bounds_figure(
    bounds: Mapping[int, float], exact: float, baselines: Mapping[str, float]
) -> Picture:
    """A figure: the bounds L_k over k, log p(x), and baselines by name; all in nats."""
    fig, ax = figure(size=(7.6, 3.3))
    ks = list(bounds)
    last = ks[-1]
    ax.plot(ks, list(bounds.values()), "o-", color=BLUE)
    low = min([*bounds.values(), *baselines.values()])
    high = max(exact, *baselines.values())
    ax.set(xscale="log", xlabel="draws k in the bound", ylabel="nats per test image")
    ax.set(xlim=(0.8, 30 * last), ylim=(low - 0.2, high + 0.25))
    ax.set_xticks(ks, [str(k) for k in ks])
    ax.minorticks_off()
    ax.annotate("ELBO", (1, bounds[1]), (12, -4), textcoords="offset points", color=BLUE)
    exact_line([0.8, last], [exact, exact], ax=ax, label=None)
    label_line((last, exact), "log p(x), integrated", ax=ax, color=EXACT)
    for (name, value), color in zip(baselines.items(), (GREEN, ORANGE, GRAY)):
        ax.plot([0.8, last], [value, value], color=color, linewidth=1.4)
        label_line((last, value), name, ax=ax, color=color)
    ax.annotate("L_k", (ks[-2], bounds[ks[-2]]), (0, -16), textcoords="offset points", color=BLUE)
    return fig


def rate_figure(table: Mapping[float, Mapping[str, float]], independent: float) -> Picture:
    """A figure: distortion over rate; ELBO and log p(x) over beta.

    table: beta -> what `terms` of the lesson's runs returns, and "exact", log p(x).
    independent: log p(x) of independent pixels.
    """
    fig, (plane, curves) = figure(ncols=2, size=(8.8, 3.3))
    rate, distortion, elbo, exact = (
        [row[key] for row in table.values()] for key in ("rate", "distortion", "elbo", "exact")
    )
    plane.plot(rate, distortion, "o-", color=BLUE)
    for beta, point in zip(table, zip(rate, distortion)):
        name = f"β = {beta:g}"
        plane.annotate(name, point, (7, 5), textcoords="offset points", color=BLUE, fontsize=9.5)
    level = -max(elbo)
    plane.plot([0, 6], [level, level - 6], color=GRAY, linewidth=1, linestyle=(0, (2, 2)))
    plane.text(1.4, level - 4.6, "equal ELBO", color=GRAY, fontsize=9.5, va="top")
    plane.set(xlim=(-0.3, 9.4), xlabel="rate: KL (nats)")
    plane.set(ylim=(14.5, 27), ylabel="distortion (nats)")
    curves.set(xscale="log", xlim=(0.08, 110), xlabel="β")
    curves.set(ylim=(-26.2, -19), ylabel="nats per test image")
    curves.set_xticks([0.1, 1, 10], ["0.1", "1", "10"])
    curves.minorticks_off()
    for values, name, color, offset in (
        (exact, "log p(x)", EXACT, (-4, 8)),
        (elbo, "ELBO", VERMILLION, (20, -16)),
    ):
        curves.plot(list(table), values, "o-", color=color)
        label = curves.annotate(name, (0.3, values[1]), offset, textcoords="offset points")
        label.set(color=color, ha="center")
    curves.plot([0.08, 10], [independent, independent], color=GREEN, linewidth=1.2)
    label_line((10, independent), "independent\npixels", ax=curves, color=GREEN)
    return fig


def _history() -> History:
    history = History(60)
    for step in range(60):
        history.append({"loss": 20 + math.exp(-step / 60)})
    return history


def _report() -> Picture:
    with default_dtype(torch.float64):
        return report(Coder(64, 16), _history(), ink_digits())


def _reports() -> Picture:
    with default_dtype(torch.float64):
        net = VAE(64, 16)
        return reports({"A": (net, _history()), "B": (net, _history())}, ink_digits())


def _sizes() -> Picture:
    with default_dtype(torch.float64):
        return sizes_figure({size: VAE(64, size) for size in (2, 16, 64)}, ink_digits())


def _rate() -> Picture:
    table = {}
    for i, beta in enumerate(BETAS):
        terms = {"rate": 7 / (1 + 2 * i), "distortion": 16 + 2.3 * i, "elbo": -20.0}
        table[beta] = {**terms, "exact": -19.5}
    return rate_figure(table, -25.2)


# A picture of each kind, for the test that all of them can be read.
EXAMPLES: dict[str, Callable[[], Picture]] = {
    "report": _report,
    "reports": _reports,
    "gradient_figure": lambda: gradient_figure(
        {"a": torch.randn(100), "b": torch.randn(100)}, exact=4.0
    ),
    "bounds_figure": lambda: bounds_figure(
        {1: -20.5, 5: -20.2, 50: -20.1, 500: -20.05}, -20.0, {"plain": -19.6}
    ),
    "rate_figure": _rate,
    "sizes_figure": _sizes,
}
