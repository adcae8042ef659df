"""The figures: style, display, and each axes-level function on small data."""

import ast
import base64
import io
import pathlib

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from PIL import Image

import node_tutorial.plotting as plotting
from node_tutorial.plotting import (
    ON_DARK,
    ON_WHITE,
    Picture,
    blank,
    draw_image_table,
    draw_ranges,
    drawn_texts,
    empty_axes,
    figure,
    label_line,
    montage,
    precision_and_recall,
    quality_over_cost,
    show,
    text_problems,
)

T = np.linspace(0, 6, 50)
CIRCLE = np.stack([np.cos(T), np.sin(T)], axis=1)


def turn(t, y):
    return torch.stack([y[:, 1], -y[:, 0]], dim=1)


def test_no_module_imports_pyplot_or_the_rest_of_the_package():
    for path in pathlib.Path(plotting.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, (ast.Import, ast.ImportFrom))
                else []
            )
            module = getattr(node, "module", None) or ""
            assert "pyplot" not in module and not any("pyplot" in name for name in names), path.name
            assert not (isinstance(node, ast.ImportFrom) and node.level > 1), (
                f"{path.name} imports from above plotting"
            )


def test_a_figure_displays_as_png_and_its_meaning():
    fig, ax = figure()
    ax.plot(T, CIRCLE)
    bundle = show(fig, "The orbit closes.")._repr_mimebundle_()
    assert bundle["text/plain"] == "The orbit closes." and base64.b64decode(
        bundle["image/png"]
    ).startswith(b"\x89PNG")
    assert fig.png() == fig.png()


def test_all_public_names_are_there_once():
    assert len(plotting.__all__) == len(set(plotting.__all__))
    assert all(hasattr(plotting, name) for name in plotting.__all__)


@pytest.mark.parametrize("meaning", ["", "  ", "two\nlines"])
def test_a_meaning_is_one_line(meaning):
    with pytest.raises(ValueError, match="one line"):
        show(figure()[0], meaning)


def test_pictures_are_light_white_and_images_keep_their_colors():
    fig, ax = figure()
    ax.plot(T, CIRCLE)
    picture = Image.open(io.BytesIO(fig.png()))
    assert picture.mode == "P" and picture.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
    assert len(fig.png()) < 20_000
    fig, ax = figure()
    ax.imshow(np.arange(10_000).reshape(100, 100))
    assert Image.open(io.BytesIO(fig.png())).mode == "RGB"


def test_a_figure_that_is_cleared_and_drawn_again_is_a_new_one():
    def draw(fig, text):
        one, two = fig.subplots(2, 1, sharex=True)
        one.plot([0, 1], [0, 1e-6])
        two.set(xscale="log", yscale="log", xlim=(1e-3, 1), title=text)
        fig.set_layout_engine("none")

    fig = blank()
    draw(fig, "another $x^2$")
    fig.png()
    fig.clear()
    assert fig.axes == [] and not fig.texts
    draw(fig, "one")
    new = blank()
    draw(new, "one")
    assert fig.png() == fig.png() == new.png()


def test_figure_gives_one_axes_or_an_array_in_the_style():
    fig, ax = figure()
    assert isinstance(fig, Picture) and fig.dpi == 96 and not ax.spines["top"].get_visible()
    fig, axes = figure(ncols=3, nrows=2, size=(9, 4), sharex=True)
    assert axes.shape == (2, 3) and tuple(fig.get_size_inches()) == (9, 4)


@pytest.mark.parametrize(
    "as_data",
    [np.asarray, torch.tensor, lambda x: x.tolist(), lambda x: torch.tensor(x, requires_grad=True)],
)
def test_arrays_tensors_and_lists_are_all_drawn(as_data):
    fig, (one, two) = figure(ncols=2)
    assert plotting.trajectory(as_data(CIRCLE), ax=one, label="orbit") is one
    assert plotting.exact_line(as_data(T), as_data(np.sin(T)), ax=two) is two
    fig.png()
    fig, ax = figure()
    assert plotting.loglog_slope(as_data(T[1:]), as_data(T[1:] ** 2), ax=ax) is ax
    fig.png()


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plotting.trajectory(CIRCLE),
        lambda: plotting.vector_field(turn),
        lambda: plotting.stability_region(np.eye(3)),
        lambda: plotting.exact_line(T, T),
        lambda: plotting.work_precision([10, 100], [1e-2, 1e-6], label="RK4"),
        lambda: plotting.step_rug([]),
    ],
)
def test_without_axes_a_new_styled_figure_is_made(draw):
    ax = draw()
    assert isinstance(ax.figure, Picture)
    ax.figure.png()


def test_the_fitted_slope_is_the_order():
    h = np.array([0.1, 0.05, 0.025, 0.0125])
    errors = 3 * h**4
    errors[-1] = 1e-3  # a rounding floor
    assert plotting.fitted_slope(h, errors, slice(0, 3)) == pytest.approx(4)
    ax = plotting.loglog_slope(h, errors, label="RK4", fit=slice(0, 3))
    assert ax.texts[0].get_text() == "RK4, order 4.00"


def test_labels_at_line_ends_have_the_lines_color_and_do_not_cover_each_other():
    fig, ax = figure()
    lines = [ax.plot(T, np.sin(T) + 0.01 * k)[0] for k in range(5)]
    plotting.room_for_labels(ax)
    for k, line in enumerate(lines):
        label_line(line, f"line {k}")
    assert [text.get_color() for text in ax.texts] == [line.get_color() for line in lines]
    fig.png()
    assert not text_problems(fig)


def test_labels_survive_nan_ends_and_logarithmic_axes():
    fig, ax = figure()
    (line,) = ax.loglog([1, 10, 100], [1, 0.1, np.nan])
    plotting.room_for_labels(ax)
    label_line(line, "diverges")
    (empty,) = ax.plot([np.nan], [np.nan])
    label_line(empty, "nothing")
    assert ax.texts[0].xy == pytest.approx((10, 0.1)) and len(ax.texts) == 1
    fig.png()


def test_a_line_that_leaves_the_axes_is_labeled_where_it_is_last_seen():
    _, ax = figure()
    (line,) = ax.plot([0, 1, 2, 3], [0, 1, 200, 1e9])
    ax.set(xlim=(0, 4), ylim=(-2, 2))
    label_line(line, "diverges")
    assert ax.texts[0].xy == pytest.approx((1, 1))


def test_rejected_steps_are_red_and_accepted_ones_are_not():
    steps = [
        {"t": 0.0, "h": 0.1, "accepted": True},
        {"t": 0.1, "h": 0.5, "accepted": False},
        {"t": 0.1, "h": 0.2, "accepted": True},
    ]
    ax = plotting.step_rug(steps)
    accepted, rejected = ax.collections
    assert [segment[0, 0] for segment in accepted.get_segments()] == pytest.approx([0.1, 0.3])
    assert [segment[0, 0] for segment in rejected.get_segments()] == pytest.approx([0.6])
    assert tuple(rejected.get_color()[0][:3]) == pytest.approx(to_rgb(plotting.REJECTED))


def test_the_stability_region_of_euler_is_the_disk_around_minus_one():
    x, y = np.meshgrid(np.linspace(-5, 2, 401), np.linspace(-4, 4, 401))
    ax = plotting.stability_region(np.abs(1 + x + 1j * y))
    edge = ax.collections[1].get_paths()[0].vertices
    assert np.abs(np.hypot(edge[:, 0] + 1, edge[:, 1]) - 1).max() < 1e-2


def test_an_axes_without_visible_data_is_found():
    fig, axes = figure(ncols=3, nrows=2)
    axes[0, 0].plot(T, np.full(50, np.nan))
    axes[0, 1].plot(T, T + 100)
    axes[0, 1].set(ylim=(0, 1), title="outside")
    axes[0, 2].set_axis_off()
    axes[1, 0].plot(T, T)
    axes[1, 1].imshow(np.eye(3))
    axes[1, 2].hist(T)
    assert empty_axes(fig) == ["axes 0", "outside"]
    axes[0, 0].plot(T, T)
    axes[0, 1].plot(T, T)
    assert not empty_axes(fig)
    assert all(line.get_visible() for ax in axes.flat for line in ax.lines)


def test_labels_are_placed_anew_when_the_axes_are_cleared():
    _, ax = figure()
    for _ in range(2):
        ax.clear()
        (line,) = ax.plot(T, T)
        label_line(line, "the same")
    assert ax.texts[0].xyann == (5, 0)


BUMP = np.exp(-np.add.outer(np.linspace(-2, 2, 30) ** 2, np.linspace(-2, 2, 40) ** 2))


@pytest.mark.parametrize("shades", [ON_WHITE, ON_DARK])
def test_the_colors_of_a_density_are_shares_of_its_largest_value(shades):
    pictures = []
    for scale in (1.0, 2.0):
        fig, ax = figure()
        assert plotting.draw_density(scale * BUMP, (-1, 1, -2, 2), ax=ax, shades=shades) is ax
        assert ax.get_xlim() == (-1, 1) and ax.get_ylim() == (-2, 2) and not empty_axes(fig)
        pictures.append(fig.png())
    assert pictures[0] == pictures[1]


def test_densities_with_one_top_have_equal_colors_where_they_are_equal():
    def pixel(p, top):
        fig, ax = figure(size=(3, 3))
        plotting.no_ticks(plotting.draw_density(p, (-1, 1, -1, 1), ax=ax, top=top))
        picture = Image.open(io.BytesIO(fig.png())).convert("RGB")
        return picture.getpixel((picture.width // 2, picture.height // 2))

    flat = np.ones((20, 20))
    assert pixel(0.5 * flat, 1.0) == pixel(flat, 2.0) != pixel(flat, 1.0)
    assert pixel(5 * flat, 1.0) == pixel(flat, 1.0)  # above the last level nothing changes
    assert pixel(0.005 * flat, 1.0) == (255, 255, 255)


def test_arrows_need_a_field_or_its_values():
    points = plotting.mesh((-2, 2), (-2, 2), 20)
    assert points.shape == (400, 2) and points[0].tolist() == [-2, -2] and points[1, 1] == -2
    ax = plotting.vector_field(None, values=points)
    assert len(ax.collections[0].U) == 400
    with pytest.raises(ValueError, match="f and values are both None"):
        plotting.vector_field(None)


def test_cut_and_covered_texts_are_found():
    fig, ax = figure()
    fig.set_layout_engine("none")
    ax.text(0.5, 0.5, "one")
    ax.text(0.5, 0.5, "two")
    ax.text(1.05, 0.5, "far too long to be read at the right edge of the picture")
    fig.png()
    assert len(text_problems(fig)) == 2 and len(drawn_texts(fig)) > 10


# ------------------------------------------------------------------ images, and quality over cost


def test_a_montage_has_the_images_in_their_places_and_few_grays():
    images = torch.zeros(3, 1, 4, 4)
    images[2] = 1
    page = montage(images, 2)
    assert page.shape == (9, 9) and page[5:, :4].max() == 0  # the third image: row 2, column 1
    assert page[:4, 4].min() == 1 and page[5:, 5:].min() == 1  # a gap, and no fourth image
    assert np.array_equal(np.round(16 * page), 16 * page)


def test_a_table_of_images_names_its_rows_and_columns_beside_them():
    fig, ax = figure()
    rows = {"one": np.zeros((4, 8, 8)), "two": torch.ones(4, 64)}
    draw_image_table(rows, ["a", "b"], across=2, ax=ax)
    places = {text.get_text(): text.get_position() for text in ax.texts}
    assert places["one"][1] > places["two"][1] and places["one"][0] < 0
    assert places["a"][0] < places["b"][0] and places["a"][1] > places["one"][1]
    fig.png()
    assert not text_problems(fig)
    with pytest.raises(ValueError, match=r"2 for each column; got \[4, 4\] images for 3 columns"):
        draw_image_table(rows, ["a", "b", "c"], across=2)
    with pytest.raises(ValueError, match="equally many images"):
        draw_image_table({"one": np.zeros((4, 8, 8)), "two": np.zeros((3, 8, 8))})


def test_labels_that_come_sorted_keep_their_order_if_they_move_down_only():
    _, ax = figure()
    ax.set(xlim=(0, 1), ylim=(0, 1))
    for k, y in enumerate((0.5, 0.49, 0.48, 0.47, 0.2)):
        label_line((1.0, y), f"line {k}", ax=ax, color="black", down=True)
    points = ax.bbox.height * 72 / ax.figure.dpi
    heights = [text.xy[1] * points + text.xyann[1] for text in ax.texts]
    assert heights == sorted(heights, reverse=True)
    assert ax.texts[0].xyann[1] == ax.texts[-1].xyann[1] == 0


def test_quality_over_cost_shows_median_range_and_floor():
    fig, ax = figure()
    nfe = [1, 2, 4]
    values = np.array([[9, 1, -0.1], [9, 2, 0.2], [9, 4, 0.1]])
    curves = {"Euler": (nfe, values), "Heun": ([[2, 4], [4, 4]], [[3, 1], [2, 2]])}
    quality_over_cost(curves, floor=(0.0, 0.04), ax=ax)
    euler, heun = ax.lines[:2]
    assert euler.get_ydata().tolist() == [9, 2, 0.1]
    assert heun.get_xdata().tolist() == [3, 4] and heun.get_ydata().tolist() == [2.5, 1.5]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2", "4"]
    assert {"Euler", "Heun", "two sets of real images"} <= {text.get_text() for text in ax.texts}
    fig.png()
    assert not text_problems(fig)


def test_precision_and_recall_are_paths_in_the_plane():
    _, ax = figure()
    points = {"DDIM": ([0.1, 0.5, 0.8], [0.9, 0.9, 0.8]), "MLP": ([0.2], [0.6])}
    precision_and_recall(points, real=(0.9, 0.9), ax=ax, labels=["1", "4", "16"])
    texts = {text.get_text() for text in ax.texts}
    assert texts == {"DDIM", "MLP", "real images", "1", "4", "16"}
    assert ax.lines[0].get_xdata().tolist() == [0.1, 0.5, 0.8]


def test_ranges_have_a_dot_for_each_value_and_room_for_every_name():
    gaps = {"moons": {"a": [0.1, 0.3, 0.2], "b": [0.02]}, "circles": {"a": [1, 2], "b": [3, 4]}}
    fig, ax = figure()
    ax.set(xscale="log", xlim=(0.01, 20))
    draw_ranges(gaps, ax=ax)
    assert [len(line.get_xdata()) for line in ax.lines if line.get_marker() == "o"] == [3, 1, 2, 2]
    bars = [float(line.get_xdata()[0]) for line in ax.lines if line.get_marker() == "|"]
    assert bars == pytest.approx([0.2, 0.02, 1.5, 3.5])
    assert [text.get_text() for text in ax.get_yticklabels()] == list(gaps)
    fig.draw_without_rendering()
    assert not text_problems(fig)
