"""Which settings of an explorable are recorded: those that a page without a kernel can show.

All of them where they are few. Else sliders keep some of their positions, the values that the
lesson names among them; where even these make too many, one control moves at a time around the
defaults, for each choice of the lists and boxes if possible.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import ipywidgets as widgets

from .explorables import Explorable, Values

FRAMES = 200  # at most so many settings are recorded of an explorable, those that are named aside
LEAST = 5  # so many positions keep sliders that move together, or all
LEAST_OF_PLAY = 9  # and so many an animation
MANY_CHOICES = 12  # the lists and boxes that are combined with all others have so many at most

WHOLE = ""
COARSE = "Sliders have fewer positions here than in the lesson."
SINGLE = "Here one control moves at a time, and the others return{}. In the lesson all move freely."
KEPT = ", except for: {}"


class Position(NamedTuple):
    """Of a control: what is shown there, and the value."""

    text: str
    value: Any


@dataclass
class Axis:
    """A control of the grid.

    Attributes:
        kind: "menu", "box", "range" or "play".
        positions: all of them, by value.
        kept: the numbers of those that are recorded.
    """

    name: str
    kind: str
    positions: list[Position]
    kept: set[int]

    @property
    def slides(self) -> bool:
        return self.kind in ("range", "play")

    @property
    def whole(self) -> bool:
        return len(self.kept) == len(self.positions)

    @property
    def least(self) -> int:
        """So many positions tell something."""
        least = LEAST_OF_PLAY if self.kind == "play" else LEAST
        return min(least, len(self.positions))

    @property
    def values(self) -> list[Any]:
        return [self.positions[k].value for k in sorted(self.kept)]

    @property
    def texts(self) -> list[str]:
        return [self.positions[k].text for k in sorted(self.kept)]

    def text_of(self, value: Any) -> str:
        """What is shown where the control has this value."""
        number = _number_of(self.positions, value)
        if number is None:
            raise ValueError(f"{self.name} has no position {value!r}")
        return self.positions[number].text

    def place(self, value: Any) -> int:
        """The number of a value among the kept positions."""
        return [_key(own) for own in self.values].index(_key(value))

    def gap(self) -> tuple[int, int]:
        """The first of the widest gaps between kept positions."""
        pairs = itertools.pairwise(sorted(self.kept))
        return max(pairs, key=lambda pair: pair[1] - pair[0])

    def width(self) -> float:
        """Of the widest gap, as a share of the whole control; an animation asks for more."""
        left, right = self.gap()
        share = (right - left) / (len(self.positions) - 1)
        return share * (1.5 if self.kind == "play" else 1.0)


class Grid(NamedTuple):
    """The settings in the order in which they are recorded, the defaults first.

    Attributes:
        axes: the controls, with the positions that occur.
        free: the names of those that are combined with every setting of the others.
        note: what a page says of it.
    """

    settings: list[Values]
    axes: list[Axis]
    free: list[str]
    note: str

    def places(self, setting: Values) -> list[int]:
        """The numbers of the setting's values among the kept positions of each control."""
        return [axis.place(setting[axis.name]) for axis in self.axes]


def grid_of(panel: Explorable, named: Iterable[Mapping[str, Any]], most: int = FRAMES) -> Grid:
    """The settings of `panel` to record, about `most`, with those that are named.

    named: settings, each by name of control; the defaults stand for those left out.
    """
    possible = [_possible(panel, setting) for setting in named]
    axes = [_axis(panel, name, [s[name] for s in possible if name in s]) for name in panel.controls]
    if not panel.connected:
        _refine(axes, most, _product)
        if _product(axes) <= 1.5 * most and all(len(axis.kept) >= axis.least for axis in axes):
            settings = [
                dict(zip(panel.controls, values))
                for values in itertools.product(*(axis.values for axis in axes))
            ]
            first = _keys(panel.defaults)
            settings.sort(key=lambda setting: _keys(setting) != first)
            whole = all(axis.whole for axis in axes)
            return Grid(settings, axes, list(panel.controls), WHOLE if whole else COARSE)
    return _around_the_defaults(panel, possible, most)


def _around_the_defaults(panel: Explorable, named: list[Values], most: int) -> Grid:
    axes = [_axis(panel, name, [s[name] for s in named if name in s]) for name in panel.controls]
    free = _free(panel, axes, most)
    sliders = [axis for axis in axes if axis not in free]
    combinations = math.prod(len(axis.positions) for axis in free)
    _refine(sliders, most // combinations, _sum)

    settings: list[Values] = []
    for values in itertools.product(*(_default_first(panel, axis) for axis in free)):
        center = _moved(panel, dict(zip([axis.name for axis in free], values)))
        settings.append(center)
        for axis in sliders:
            settings += [{**center, axis.name: value} for value in axis.values]
    for setting in named:
        center = _moved(panel, {axis.name: setting.get(axis.name, ...) for axis in free})
        apart = {n: value for n, value in setting.items() if _key(center[n]) != _key(value)}
        # With what lies on the way to it, one control after the other.
        for number in range(1, len(apart) + 1):
            for names in itertools.combinations(apart, number):
                settings.append({**center, **{name: apart[name] for name in names}})
    settings = _distinct(settings)
    for axis in axes:
        occurring = {_key(setting[axis.name]) for setting in settings}
        axis.kept = {k for k, p in enumerate(axis.positions) if _key(p.value) in occurring}
    labels = " and ".join(panel.controls[axis.name].description for axis in free)
    kept = KEPT.format(labels) if free else ""
    return Grid(settings, axes, [axis.name for axis in free], SINGLE.format(kept))


def _free(panel: Explorable, axes: list[Axis], most: int) -> list[Axis]:
    """The lists and boxes that are combined with all others: the first, as many as there is room.

    Where one control moves the others, it is that one, the first of the lists.
    """
    free: list[Axis] = []
    for axis in axes:
        if axis.slides or len(axis.positions) > MANY_CHOICES:
            continue
        combinations = math.prod(len(other.positions) for other in [*free, axis])
        rest = [other.least - 1 for other in axes if other not in free and other is not axis]
        if combinations * (1 + sum(rest)) <= most and not (panel.connected and free):
            free.append(axis)
    return free


def complete(panel: Explorable, setting: Mapping[str, Any]) -> Values:
    """A named setting with the values of the controls that it leaves out."""
    possible = _possible(panel, setting)
    return {**_moved(panel, possible), **possible}


def _moved(panel: Explorable, values: Mapping[str, Any]) -> Values:
    """The setting after these controls have been moved away from the defaults, by hand."""
    known = {name: value for name, value in values.items() if value is not ...}
    if not panel.connected:
        return {**panel.defaults, **known}
    defaults = panel.defaults
    for name, value in known.items():
        panel.controls[name].value = value
    moved = panel.values
    for name, value in defaults.items():
        panel.controls[name].value = value
    panel.defaults = defaults
    return moved


def _default_first(panel: Explorable, axis: Axis) -> list[Any]:
    first = _key(panel.defaults[axis.name])
    return sorted(axis.values, key=lambda value: _key(value) != first)


# ---------------------------------------------------------------------------------- positions


def _axis(panel: Explorable, name: str, named: Sequence[Any]) -> Axis:
    control = panel.controls[name]
    kind, positions = _positions(control)
    wanted = [panel.defaults[name], *named]
    for value in wanted:
        if _number_of(positions, value) is None:  # between the steps of a slider
            positions.append(Position(_readout(control, value), value))
            positions.sort(key=lambda position: position.value)
    kept = {0, len(positions) - 1}
    if kind not in ("range", "play"):
        kept = set(range(len(positions)))
    kept |= {k for value in wanted if (k := _number_of(positions, value)) is not None}
    return Axis(name, kind, positions, kept)


def _positions(control: Any) -> tuple[str, list[Position]]:
    """The kind of a control and its positions."""
    if isinstance(control, widgets.Checkbox):
        return "box", [Position("off", False), Position("on", True)]
    if isinstance(control, (widgets.Dropdown, widgets.SelectionSlider)):
        pairs = [o if isinstance(o, tuple) else (str(o), o) for o in control.options]
        kind = "menu" if isinstance(control, widgets.Dropdown) else "range"
        return kind, [Position(str(text), value) for text, value in pairs]
    if isinstance(control, widgets.IntSlider):
        whole = range(control.min, control.max + 1, control.step)
        kind = "play" if hasattr(control, "row") else "range"
        return kind, [Position(str(value), value) for value in whole]
    number = round((control.max - control.min) / control.step) + 1
    values = [round(control.min + k * control.step, 10) for k in range(number)]
    if isinstance(control, widgets.FloatLogSlider):
        values = [control.base**value for value in values]
    return "range", [Position(_readout(control, value), value) for value in values]


def _readout(control: Any, value: Any) -> str:
    return format(value, getattr(control, "readout_format", ""))


def _number_of(positions: list[Position], value: Any) -> int | None:
    """The number of the position with this value; numbers may differ by rounding."""
    for number, position in enumerate(positions):
        if _key(position.value) == _key(value):
            return number
    return None


def _key(value: Any) -> Any:
    """Equal for values that are equal but for rounding."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    return value


def _keys(setting: Values) -> tuple[Any, ...]:
    return tuple(_key(value) for value in setting.values())


def _possible(panel: Explorable, setting: Mapping[str, Any]) -> Values:
    """The part of a setting that the controls can take, with the values of their positions."""
    possible = {}
    for name, value in setting.items():
        control = panel.controls.get(name)
        if control is None:
            continue
        number = _number_of(_positions(control)[1], value)
        if number is not None:
            possible[name] = _positions(control)[1][number].value
        elif isinstance(control, widgets.FloatLogSlider):
            if control.base**control.min <= value <= control.base**control.max:
                possible[name] = float(value)
        elif isinstance(control, widgets.FloatSlider) and control.min <= value <= control.max:
            possible[name] = float(value)
    return possible


# ---------------------------------------------------------------------------------- refinement


def _product(axes: Iterable[Axis]) -> int:
    return math.prod(len(axis.kept) for axis in axes)


def _sum(axes: Iterable[Axis]) -> int:
    return 1 + sum(len(axis.kept) - 1 for axis in axes)


def _refine(axes: list[Axis], most: int, size: Callable[[Iterable[Axis]], int]) -> None:
    """Keep more positions while `size` allows it, always in the widest gap of all."""
    full: set[str] = set()
    while True:
        open_axes = [axis for axis in axes if not axis.whole and axis.name not in full]
        if not open_axes:
            return
        widest = max(open_axes, key=Axis.width)
        left, right = widest.gap()
        if right - left < 2:
            full.add(widest.name)
            continue
        middle = (left + right) // 2
        widest.kept.add(middle)
        if size(axes) > most:
            widest.kept.remove(middle)
            full.add(widest.name)


def _distinct(settings: list[Values]) -> list[Values]:
    found: dict[tuple[Any, ...], Values] = {}
    for setting in settings:
        found.setdefault(_keys(setting), setting)
    return list(found.values())
