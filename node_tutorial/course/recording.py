"""An explorable recorded: its pictures and sentences at the settings of a grid, as data for a page.

    data = recording("euler_polygon", explore.euler_polygon(), named)

is gzipped JSON for player/player.js. Besides "name", "question", "note" and "size", that of the
picture in pixels, it has:

    controls    name, label, kind ("menu", "box", "range", "play"), values (texts), start (number),
                milliseconds (of an animation)
    free        numbers of the controls that are combined with every setting of the others
    settings    [number of the frame, number of the value of each control], the defaults first
    frames      [number of the text, group, ...]; a group is the number of an axes, or -1, and runs
                of operations, first and count
    columns     how a narrow screen may stack the picture: [numbers of axes, left, right]
    texts, operations, glyphs, styles
"""

import gzip
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .explorables import Explorable, Values
from .grids import FRAMES, Grid, grid_of
from .named_settings import named_settings, numbers_for, numbers_in_text
from .operations import Frame, Operations, Renderer

LIMIT = 250_000  # bytes of a recording
ROUND = 6  # pixels beside what an axes draws, where a narrow screen cuts the picture


class Shot(NamedTuple):
    """One recorded setting."""

    text: str
    frame: Frame


def named_of(name: str, panel: Explorable, lesson: Path) -> list[dict[str, Any]]:
    """The settings of the explorable `name` that its lesson names, in code, in prose, and in the
    question of the panel.
    """
    named = list(named_settings(lesson).get(name, []))
    words = {control: {control, widget.description} for control, widget in panel.controls.items()}
    for control, numbers in numbers_in_text(lesson, words).items():
        numbers |= numbers_for(panel.question, words[control])
        named += [{control: number} for number in sorted(numbers)]
    return named


def recording(
    name: str,
    panel: Explorable,
    named: Iterable[Mapping[str, Any]],
    after_frame: Callable[[int, int], Any] = lambda done, of: None,
) -> bytes:
    """Record an explorable: gzipped JSON of at most LIMIT bytes.

    Args:
        name, panel: the explorable.
        named: settings that the recording must hold.
        after_frame: called with the number of frames that are drawn, and of those to draw.

    Raises:
        ValueError: the settings that are named alone take more than LIMIT.
    """
    named = list(named)
    most = FRAMES
    camera = Camera(panel)
    size = LIMIT + 1
    while most >= 1:
        grid = grid_of(panel, named, most)
        shots = []
        for setting in grid.settings:
            shots.append(camera.shoot(setting))
            after_frame(len(shots), len(grid.settings))
        text = json.dumps(
            packed(name, panel, grid, shots, camera.operations),
            separators=(",", ":"),
            ensure_ascii=False,
        )
        data = gzip.compress(text.encode(), 9, mtime=0)
        size = len(data)
        if size <= LIMIT:
            return data
        most = int(most * min(0.9, 0.95 * LIMIT / size))
    raise ValueError(f"{name}: the settings that its lesson names take {size} bytes alone")


class Camera:
    """Takes the pictures of a panel, each setting once."""

    def __init__(self, panel: Explorable) -> None:
        self.panel = panel
        self.operations = Operations()
        self.renderer = Renderer(panel.figure, self.operations)
        self.shots: dict[tuple[Any, ...], Shot] = {}
        panel.redraw(**panel.defaults)  # the first picture lays out the axes

    def shoot(self, setting: Values) -> Shot:
        key = tuple(setting.values())
        if key not in self.shots:
            _, text = self.panel.redraw(**setting)
            self.shots[key] = Shot(text, self.renderer.draw())
        return self.shots[key]


def packed(
    name: str, panel: Explorable, grid: Grid, shots: list[Shot], operations: Operations
) -> dict[str, Any]:
    """The recording as JSON holds it; see the module's docstring."""
    texts = _Numbers()
    frames = _Numbers()
    used = _Numbers()  # numbers of operations, in the order in which the frames need them
    settings = []
    for setting, shot in zip(grid.settings, shots):
        groups = [
            [axes, *_runs([used.number(operation) for operation in drawn])]
            for axes, *drawn in shot.frame
        ]
        frame = frames.number(json.dumps([texts.number(shot.text), *groups]))
        settings.append([frame, *grid.places(setting)])
    controls = []
    for axis in grid.axes:
        widget = panel.controls[axis.name]
        control = {
            "name": axis.name,
            "label": widget.description,
            "kind": axis.kind,
            "values": axis.texts,
            "start": axis.place(panel.defaults[axis.name]),
        }
        if axis.kind == "play":
            skipped = (len(axis.positions) - 1) / (len(axis.kept) - 1)
            control["milliseconds"] = round(min(2, skipped) * widget.row.children[0].interval)
        controls.append(control)
    renderer = Renderer(panel.figure, operations)
    outside = any(group[0] < 0 for shot in shots for group in shot.frame)  # as a title of all axes
    return {
        "name": name,
        "question": panel.question,
        "note": grid.note,
        "size": [renderer.width, renderer.height],
        "columns": [] if outside else _columns(panel, operations, renderer.width),
        "controls": controls,
        "free": [k for k, axis in enumerate(grid.axes) if axis.name in grid.free],
        "settings": settings,
        "texts": texts.values,
        "styles": operations.styles,
        "glyphs": operations.glyphs,
        "operations": [operations.operations[number] for number in used.values],
        "frames": [json.loads(frame) for frame in frames.values],
    }


class _Numbers:
    """Numbers values in the order in which they are first seen."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[Any, int] = {}

    def number(self, value: Any) -> int:
        if value not in self._numbers:
            self._numbers[value] = len(self.values)
            self.values.append(value)
        return self._numbers[value]


def _runs(numbers: list[int]) -> list[int]:
    """Numbers that follow each other as first and count."""
    runs: list[int] = []
    for number in numbers:
        if runs and runs[-2] + runs[-1] == number:
            runs[-1] += 1
        else:
            runs += [number, 1]
    return runs


def _columns(panel: Explorable, operations: Operations, width: int) -> list[list[Any]]:
    """Columns of axes, each with its labels: (numbers, left, right); [] for a single one."""
    boxes = sorted(
        (ax.get_position().x0, ax.get_position().x1, number)
        for number, ax in enumerate(panel.figure.axes)
    )
    columns: list[list[int]] = []
    end = -1.0
    for left, right, number in boxes:
        if left < end:
            columns[-1].append(number)
        else:
            columns.append([number])
        end = max(end, right)
    found = []
    for numbers in columns:
        spans = [operations.reach[number] for number in numbers if number in operations.reach]
        if not spans:
            return []
        left = max(0, round(min(span.left for span in spans)) - ROUND)
        right = min(width, round(max(span.right for span in spans)) + ROUND)
        found.append([sorted(numbers), left, right])
    return found if len(found) > 1 else []
