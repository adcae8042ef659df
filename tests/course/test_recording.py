"""Explorables recorded for pages without a kernel: pictures, settings, what is stored."""

import gzip
import json
import random
import re
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import pytest

pytest.importorskip("ipywidgets")
from node_tutorial import explore
from node_tutorial.course import grids, player
from node_tutorial.course.named_settings import named_settings, numbers_for
from node_tutorial.course.operations import (
    IMAGE,
    LINES,
    MARKERS,
    PATH,
    SCATTER,
    TEXT,
    THINNED,
    Operations,
    Renderer,
)
from node_tutorial.course.recording import LIMIT, named_of, recording
from node_tutorial.course.syllabus import READY
from node_tutorial.explore import (
    LESSON_OF,
    Explorable,
    choice,
    explorable,
    int_slider,
    log_slider,
    play,
    slider,
    toggle,
)
from node_tutorial.plotting import blank

ROOT = Path(__file__).resolve().parents[2]
SITE_LIMIT = 15_000_000  # bytes of all recordings
PINNED = player.libraries(ROOT / "constraints.txt")
RECORDED = sorted(player.index())

# ------------------------------------------------------------------------------- what is drawn


def drawn(draw, size=(4, 3)):
    """The operations of a figure with one axes, and its frame."""
    figure = blank(size)
    figure.set_layout_engine("none")
    draw(figure.subplots())
    operations = Operations()
    return operations, Renderer(figure, operations).draw()


def of_kind(operations, kind):
    return [operation for operation in operations.operations if operation[0] == kind]


def points_of(pieces, unit=10):
    """The places to which a path goes."""
    steps = np.array([piece[-2:] for piece in pieces if len(piece) > 1 and piece[0] != 1])
    assert len(steps) == 1, "a path that moves once"
    line = [piece[1:] for piece in pieces if piece[0] == 1]
    steps = np.concatenate([steps, *(np.reshape(piece, (-1, 2)) for piece in line)])
    return np.cumsum(steps, axis=0) / unit


def test_a_line_is_where_matplotlib_has_it_within_the_thinning():
    x = np.linspace(0, 1, 400)
    place = []

    def draw(ax):
        ax.set(xlim=(0, 1), ylim=(-2, 2))
        ax.plot(x, np.sin(9 * x), color="#123456", linewidth=3)
        place.append((ax.transData.transform(np.stack([x, np.sin(9 * x)], 1)), ax.figure))

    operations, _ = drawn(draw)
    (path,) = (
        operation[2]
        for operation in of_kind(operations, PATH)
        if operations.styles[operation[1]].get("s") == "#123456"
    )
    points, figure = place[0]
    points[:, 1] = figure.bbox.height - points[:, 1]
    kept = points_of(path)
    assert len(kept) < 100
    assert np.abs(np.interp(points[:, 0], *kept.T) - points[:, 1]).max() < 4 * THINNED  # steep
    assert np.abs(kept[[0, -1]] - points[[0, -1]]).max() < 0.2


def test_equal_operations_glyphs_and_styles_are_stored_once():
    figure = blank((4, 3))
    operations = Operations()
    renderer = Renderer(figure, operations)
    frames = []
    for height in (1, 2, 1):
        figure.clear()
        ax = figure.subplots()
        ax.set(ylim=(0, 3))
        ax.plot([0, 1], [0, height])
        figure.set_layout_engine("none")
        frames.append(renderer.draw())
    assert frames[0] == frames[2] != frames[1]
    (_, *first), (_, *second) = frames[0][0], frames[1][0]
    assert len(set(first) ^ set(second)) == 2  # the two lines
    texts = of_kind(operations, TEXT)
    assert len(operations.glyphs) < sum(len(text[-1]) for text in texts)


@pytest.mark.skipif(
    matplotlib.__version_info__ < (3, 11),
    reason="matplotlib 3.10 hands collections over in another way; it is not what records",
)
def test_markers_scatters_and_colored_lines_are_one_operation_each():
    from matplotlib.collections import LineCollection

    def draw(ax):
        ax.plot([0, 1, 2], [0, 1, 2], "o")
        ax.scatter([0, 1, 2, 3], [1, 1, 1, 1], c=["r", "g", "r", "b"])
        ax.scatter([0, 1, 2, 3], [2, 2, 2, 2], c="r")
        segments = [[(0, 0), (1, 1)], [(1, 1), (2, 1)], [(2, 1), (3, 0)]]
        ax.add_collection(LineCollection(segments, colors=["r", "r", "b"]))

    operations, _ = drawn(draw)
    assert [len(op[3]) for op in of_kind(operations, MARKERS)][-2:] == [8, 6]
    (scatter,) = of_kind(operations, SCATTER)
    assert len(set(scatter[1])) == 3 and len(scatter[3]) == 8
    (lines,) = of_kind(operations, LINES)
    red, red_path, blue, blue_path = lines[1]
    assert operations.styles[red]["s"] == "#ff0000" and operations.styles[blue]["s"] == "#0000ff"
    # Two segments are one line, and the third goes on where they end.
    assert [piece[0] for piece in red_path] == [0, 1] and len(red_path[1]) == 5
    assert [piece[0] for piece in blue_path] == [1]


def test_images_and_meshes_are_lossless_pictures():
    import base64
    import io

    from PIL import Image

    def draw(ax):
        ax.imshow([[0, 0], [0, 0], [0, 1]], cmap="gray", interpolation="nearest")

    def draw_mesh(ax):
        ax.pcolormesh([[0.0, 1.0], [0.0, 0.0], [0.0, 0.0]], cmap="gray")  # from below

    for how in (draw, draw_mesh):
        operations = drawn(how)[0]
        (image,) = of_kind(operations, IMAGE)
        assert operations.reach[0].right >= image[1] + image[3]
        _, _, _, width, height, address = image
        kind, data = address.split(",")
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("L"))
        assert kind == "data:image/webp;base64" and pixels.shape == (height, width)
        assert [pixels[y, x] for y in (5, -5) for x in (5, -5)] == [0, 0, 0, 255]


def test_a_text_has_its_place_and_its_glyphs():
    def draw(ax):
        ax.set_axis_off()
        ax.text(0.5, 0.5, "aba", fontsize=12)
        ax.text(0.5, 0.5, r"$\frac{a}{b}$", fontsize=12)

    operations, _ = drawn(draw)
    plain, formula = of_kind(operations, TEXT)
    (first, *_), _, (third, *_) = plain[-1]
    assert first == third and plain[2:4] == formula[2:4]
    assert len(of_kind(operations, PATH)) == 1, "the bar of the fraction"


# ------------------------------------------------------------------------------ which settings


def panel_of(connect=None, **controls):
    def draw(fig, data):
        fig.subplots().plot([0, 1], [0, float(data["n"] if "n" in data else data["a"])])

    make = explorable(
        lambda **values: values,
        draw,
        lambda data: ", ".join(f"{name} = {value}" for name, value in data.items()) + ".",
        question="Predict first: what changes?",
        controls=controls,
        connect=connect,
    )
    return make()


def test_few_settings_are_all_recorded():
    panel = panel_of(n=int_slider("n", 1, 6, 2), way=choice("way", ["a", "b"]), box=toggle("box"))
    grid = grids.grid_of(panel, [])
    assert len(grid.settings) == 6 * 2 * 2 and grid.note == ""
    assert grid.settings[0] == panel.defaults


def test_of_many_settings_those_that_are_named_remain():
    panel = panel_of(
        n=int_slider("n", 1, 100, 2), h=log_slider("h", 1e-6, 1.0, 1e-2, per_decade=10)
    )
    named = [{"n": 77}, {"n": 13, "h": 0.0123}, {"h": 2.0}, {"m": 1}, {"n": 1000}]
    grid = grids.grid_of(panel, named)
    assert 100 < len(grid.settings) <= 1.5 * grids.FRAMES and grid.note == grids.COARSE
    for setting in ({"n": 77, "h": 1e-2}, {"n": 13, "h": 0.0123}):
        assert setting in grid.settings
    for name, low, high in (("n", 1, 100), ("h", 1e-6, 1.0)):
        values = {setting[name] for setting in grid.settings}
        assert min(values) == pytest.approx(low) and max(values) == pytest.approx(high)


def test_too_many_controls_move_one_at_a_time_for_each_choice():
    sliders = {name: slider(name, 0.0, 1.0, 0.5, 0.05) for name in "abcd"}
    panel = panel_of(way=choice("way", ["x", "y", "z"]), **sliders)
    named = [{"way": "z", "a": 0.25, "b": 0.75}]
    grid = grids.grid_of(panel, named)
    assert len(grid.settings) <= grids.FRAMES + 3 and grid.free == ["way"]
    assert "way" in grid.note and "one control moves at a time" in grid.note
    corner = {"way": "z", "a": 0.25, "b": 0.75, "c": 0.5, "d": 0.5}
    assert corner in grid.settings
    moved = [
        sum(setting[name] != 0.5 for name in "abcd")
        for setting in grid.settings
        if setting != corner
    ]
    assert max(moved) == 1
    for way in "xyz":
        assert {s["a"] for s in grid.settings if s["way"] == way} >= {0.0, 0.5, 1.0}


def test_an_animation_keeps_more_positions_than_a_slider():
    panel = panel_of(a=slider("a", 0.0, 1.0, 0.5, 0.01), frame=play("frame", 101, 100))
    a, frame = grids.grid_of(panel, []).axes
    assert len(frame.kept) > len(a.kept) >= grids.LEAST
    assert frame.kind == "play" and {0, 100} <= frame.kept


def test_a_control_that_moves_others_takes_them_along():
    def connect(panel):
        def follow(change):
            panel.start_at(n=10 if change["new"] == "far" else 1)

        panel.controls["way"].observe(follow, names="value")

    panel = panel_of(
        connect, way=choice("way", ["near", "far"]), n=int_slider("n", 0, 20, 1), box=toggle("box")
    )
    before = panel.defaults
    grid = grids.grid_of(panel, [])
    assert grid.settings[0] == before and grid.free == ["way"]
    assert {"way": "far", "n": 10, "box": True} in grid.settings
    assert {"way": "far", "n": 1, "box": True} not in grid.settings
    assert panel.defaults == before and panel.values == before


def test_settings_are_read_from_cells(tmp_path):
    cells = [
        "%matplotlib inline\npanel = explore.crossing()\npanel",
        'panel.controls["n"].value = 3\npanel.controls["k"].value = 2 * x',
        "panel.reset()\nfor k, n in [(2.0, 2), (-8.0, 5)]:\n    panel.evaluate(k=k, n=n)",
        "ways = {'a': 1, 'b': 2}\ngot = {way: panel.evaluate(n=n).data for way, n in ways.items()}",
        "for n in range(2):\n    for k in unknown:\n        panel.evaluate(n=n, k=k)",
        "for case in ({}, {'k': 9}):\n    explore.crossing(n=1)\n    panel.evaluate(**case)",
        "explore.crossing().evaluate(k=1 / 2)",
    ]
    notebook = {"cells": [{"cell_type": "code", "source": source} for source in cells]}
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(notebook))
    found = named_settings(path)["crossing"]
    expected = [
        {"n": 3},
        {"k": 2.0, "n": 2},
        {"k": -8.0, "n": 5},
        {"n": 1},
        {"n": 2},
        {"n": 0},
        {"k": 9},
        {"k": 0.5},
    ]
    for setting in expected:
        assert setting in found, setting
    assert all("k" not in s for s in found if s.get("n") == 0)


def test_numbers_are_read_from_prose():
    prose = "With n = 16 steps, or n=4. Where h = 1e-3, kn = 5 and n = 7.5.2 are no numbers of n."
    assert numbers_for(prose, {"n", "steps"}) == {16.0, 4.0}
    assert numbers_for(prose, {"h"}) == {1e-3}


# ------------------------------------------------------------------------------- one recording


def unpacked(data):
    return json.loads(gzip.decompress(data))


def sentence(recording, places):
    """The recorded sentence where the controls have the values of these numbers."""
    (frame,) = (number for number, *at in recording["settings"] if at == list(places))
    return recording["texts"][recording["frames"][frame][0]]


def test_a_recording_has_what_the_panel_says_and_draws():
    panel = panel_of(n=int_slider("n", 1, 3, 2), way=choice("way", ["a", "b"]))
    counted = []
    data = recording("made_up", panel, [], lambda done, of: counted.append((done, of)))
    assert counted == [(k + 1, 6) for k in range(6)]
    found = unpacked(data)
    assert found["question"] == panel.question and found["size"] == [768, 345]
    n, way = found["controls"]
    assert (n["label"], n["kind"], n["values"], n["start"]) == ("n", "range", ["1", "2", "3"], 1)
    assert (way["kind"], way["values"], way["start"]) == ("menu", ["a", "b"], 0)
    assert sentence(found, (2, 1)) == "n = 3, way = b." == panel.evaluate(n=3, way="b").text
    # Nothing but the sentence depends on the way: a frame for each n shares its operations.
    pictures = {json.dumps(frame[1:]) for frame in found["frames"]}
    assert len(pictures) == 3 and len(found["frames"]) == 6
    assert data == recording("made_up", panel, []), "the same bytes again"


def test_a_recording_that_is_too_large_has_fewer_positions(monkeypatch):
    panel = panel_of(n=int_slider("n", 1, 60, 2), a=slider("a", 0.0, 1.0, 0.5, 0.05))
    whole = recording("made_up", panel, [{"n": 37}])
    limit = 2 * len(whole) // 3
    monkeypatch.setattr("node_tutorial.course.recording.LIMIT", limit)
    small = recording("made_up", panel, [{"n": 37}])
    assert len(small) <= limit
    assert "37" in unpacked(small)["controls"][0]["values"]
    monkeypatch.setattr("node_tutorial.course.recording.LIMIT", 100)
    with pytest.raises(ValueError, match="made_up: the settings that its lesson names take"):
        recording("made_up", panel, [])


# --------------------------------------------------------------------------- what is out of date


PACKAGE = {
    "__init__.py": "",
    "lessons/one/panel.py": "from ...data import field\nfrom ...plotting import style\n"
    "from . import other\n\n\ndef draw():\n    return style.BLUE, field(), other.used\n",
    "lessons/one/other.py": "used = 1\nunused = 1\n",
    "lessons/one/stored.json": "{}",
    "data/__init__.py": "from .fields import field\nfrom .sets import far\n",
    "data/fields.py": '"""Fields."""\n\n\ndef field():\n    """A field."""\n    return _one()\n\n\n'
    "def _one():\n    return TABLE[1]\n\n\nTABLE = {}\nTABLE[1] = 1\n",
    "data/sets.py": "far = 2\n",
    "plotting/__init__.py": "",
    "plotting/style.py": 'BLUE = "blue"\nRED = "red"\n',
    **{f"course/{name}": "x = 1\n" for name in player.RECORDERS},
}


@pytest.mark.parametrize(
    "file, old, new, counts",
    [
        ("lessons/one/panel.py", "style.BLUE, ", "", True),
        ("lessons/one/other.py", "used = 1\nun", "used = 2\nun", True),
        ("lessons/one/other.py", "unused = 1", "unused = 2", False),
        ("lessons/one/stored.json", "{}", "[]", True),
        ("data/fields.py", "TABLE[1]\n", "TABLE[2]\n", True),
        ("data/fields.py", "TABLE[1] = 1", "TABLE[1] = 2", True),
        ("data/fields.py", '"""A field."""', '"""A field of the plane."""\n    # why', False),
        ("data/fields.py", '"""Fields."""', "def added():\n    return 1", False),
        ("data/sets.py", "2", "3", False),
        ("plotting/style.py", "blue", "navy", True),
        ("plotting/style.py", "red", "pink", False),
        ("plotting/__init__.py", "", "print()\n", True),
        ("course/grids.py", "1", "2", True),
    ],
)
def test_a_fingerprint_depends_on_what_is_reached(tmp_path, monkeypatch, file, old, new, counts):
    for name, text in PACKAGE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(player, "PACKAGE", tmp_path)
    before = player.fingerprint("panel", "one")
    text = PACKAGE[file]
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1))
    player.forget()
    assert (player.fingerprint("panel", "one") != before) == counts


def test_what_is_shown_was_recorded_from_what_there_is_now(tmp_path, monkeypatch):
    monkeypatch.setattr(player, "RECORDINGS", tmp_path)
    versions = {"torch": "1"}
    assert player.stale("crossing", "limits_of_flows") == "not recorded"
    player.store("crossing", "limits_of_flows", b"data", versions)
    player.store("tunnel", "limits_of_flows", b"others", versions)
    assert player.stale("crossing", "limits_of_flows") == ""
    assert player.stale("crossing", "limits_of_flows", versions) == ""
    assert "other versions" in player.stale("crossing", "limits_of_flows", {"torch": "2"})
    (tmp_path / "crossing.json.gz").write_bytes(b"changed")
    assert player.stale("crossing", "limits_of_flows") == "not what was recorded"
    assert len((tmp_path / player.INDEX).read_text().splitlines()) == 4
    monkeypatch.setattr(player, "_hash", lambda data: "")
    monkeypatch.setattr(player, "fingerprint", lambda name, stem: "new")
    player.store("tunnel", "limits_of_flows", b"", versions)
    monkeypatch.setattr(player, "fingerprint", lambda name, stem: "newer")
    assert "have changed" in player.stale("tunnel", "limits_of_flows")


def test_the_cells_that_show_an_explorable_are_found():
    sources = [
        "",
        "panel = explore.crossing()\npanel",
        "panel.reset()",
        "explore.tunnel(extra=1)",
        "%time\nother = explore.tunnel()\nother.evaluate().text",
        "other",
        "for x in",
    ]
    assert player.panels_of(sources) == [(1, "crossing"), (3, "tunnel"), (5, "tunnel")]


def executed(sentence):
    """The cells of a lesson that shows `crossing` with this sentence."""
    data = {"image/png": "iVBO\n", "text/plain": [sentence]}
    shown = {"output_type": "execute_result", "data": data, "execution_count": 1, "metadata": {}}
    code = {"cell_type": "code", "metadata": {}, "execution_count": 1}
    return [
        {"cell_type": "markdown", "source": "explore.crossing()", "metadata": {}},
        {**code, "source": ["panel = explore.crossing()\n", "panel"], "outputs": [shown]},
        {**code, "source": "panel", "outputs": []},
    ]


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """A folder with one recording, of an explorable named `crossing`."""
    monkeypatch.setattr(player, "RECORDINGS", tmp_path)
    panel = panel_of(n=int_slider("n", 1, 3, 2))
    player.store("crossing", "limits_of_flows", recording("crossing", panel, []), {})


def test_an_executed_lesson_plays_from_where_its_picture_was(stored):
    cells = executed("n = 3.")
    assert player.let_play(cells, "limits_of_flows", "<style></style>") == []
    html = cells[1]["outputs"][0]["data"]["text/html"]
    assert html.startswith("<style></style>\n<figure") and 'data-start="2"' in html
    assert 'src="data:image/png;base64,iVBO" alt="n = 3."' in html
    assert '<script>explorable("crossing", "H4sI' in html

    cells = executed("n = 2.")
    player.let_play(cells, "limits_of_flows", "", lambda name: f"there/{name}.js")
    html = cells[1]["outputs"][0]["data"]["text/html"]
    assert 'data-source="there/crossing.js"' in html and "<script>" not in html


def test_what_cannot_play_stays_a_picture(stored, monkeypatch):
    cells = executed("n = 77.")
    (problem,) = player.let_play(cells, "limits_of_flows", "")
    assert "crossing is a picture only" in problem and "the picture that the lesson" in problem
    assert cells == executed("n = 77.")
    monkeypatch.setattr(player, "fingerprint", lambda name, stem: "new")
    (problem,) = player.let_play(cells, "limits_of_flows", "")
    assert "its code or its stored results have changed" in problem


# ------------------------------------------------------------------------------- what is stored


def lesson_of(name):
    (lesson,) = (lesson for lesson in READY.values() if lesson.stem == LESSON_OF[name])
    return ROOT / "notebooks" / lesson.notebook


def test_every_explorable_has_a_recording_of_what_it_is_now():
    found = {name: player.stale(name, stem, PINNED) for name, stem in LESSON_OF.items()}
    wrong = [f"{name}: {reason}" for name, reason in found.items() if reason]
    assert not wrong, "\n".join(["type: python docs/build.py --record", *wrong])
    assert set(RECORDED) == set(LESSON_OF)


def test_recordings_are_small():
    sizes = {name: len((player.RECORDINGS / f"{name}.json.gz").read_bytes()) for name in RECORDED}
    assert max(sizes.values(), default=0) <= LIMIT and sum(sizes.values()) <= SITE_LIMIT


class Case(NamedTuple):
    """An explorable and its recording, with all positions of its controls, recorded or not."""

    panel: Explorable
    recording: dict
    named: list
    axes: list


@pytest.fixture(scope="module", params=sorted(LESSON_OF))
def case(request):
    name = request.param
    reason = player.stale(name, LESSON_OF[name])
    if reason:
        pytest.skip(reason)
    panel = explore.EXPLORABLES[name]()
    named = named_of(name, panel, lesson_of(name))
    return Case(panel, player.recording_of(name), named, grids.grid_of(panel, named, 1).axes)


def same(one, other):
    """Equal sentences; on another processor a number may differ in its last digits."""
    number = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
    words = re.sub(number, "#", one) == re.sub(number, "#", other)
    pairs = zip(re.findall(number, one), re.findall(number, other))
    return words and all(abs(float(a) - float(b)) <= 0.02 * abs(float(b)) + 0.02 for a, b in pairs)


def test_recorded_sentences_are_those_of_the_explorable(case):
    found = case.recording
    by_text = [{p.text: p.value for p in axis.positions} for axis in case.axes]
    for number, *places in random.Random(found["name"]).sample(found["settings"], 3):
        texts = [control["values"][k] for control, k in zip(found["controls"], places)]
        values = {axis.name: by[text] for axis, by, text in zip(case.axes, by_text, texts)}
        said = case.panel.evaluate(**values).text
        assert same(found["texts"][found["frames"][number][0]], said), values


def test_what_a_lesson_names_is_recorded(case):
    controls = case.recording["controls"]
    settings = {tuple(places) for _, *places in case.recording["settings"]}
    for setting in case.named:
        values = grids.complete(case.panel, setting)
        texts = [axis.text_of(values[axis.name]) for axis in case.axes]
        for control, text in zip(controls, texts):
            assert text in control["values"], f"{control['label']}: {setting}"
        places = tuple(control["values"].index(text) for control, text in zip(controls, texts))
        assert places in settings, setting
