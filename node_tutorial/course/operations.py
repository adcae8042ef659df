"""What a figure draws, written down as operations that a web page can repeat on a canvas.

    operations = Operations()
    renderer = Renderer(figure, operations)
    frame = renderer.draw()      # numbers of operations, in groups: what belongs to one axes

`Operations` holds every distinct operation, glyph and style once for all frames. Coordinates are
whole tenths of a pixel from the upper left corner, each as the difference to the one before. An
operation is a list, its first entry one of the constants below; course/player/player.js draws them.

    [PATH, style, path]
    [MARKERS, style, path, places]      one path at many places
    [SCATTER, styles, path, places]     the same, a style for each place
    [LINES, [style, path, ...]]         many paths, each with its style, from the last one's end on
    [TEXT, style, x, y, angle, size, [[glyph, x, y, size], ...]]
    [IMAGE, x, y, width, height, "data:..."]

A path is a list of pieces [code, dx, dy, dx, dy, ...]: 0 move, 1 lines, 2 quadratic, 3 cubic, 4
close.
"""

import base64
import io
import itertools
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backend_bases import GraphicsContextBase, RendererBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager, get_font
from matplotlib.path import Path
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Affine2D, Transform
from PIL import Image

PATH, MARKERS, SCATTER, LINES, TEXT, IMAGE = range(6)
SCALE = 10  # coordinates are tenths of a pixel
FINE = 100  # those of markers and glyphs, which are small, are hundredths
THINNED = 0.15  # pixels: so far may a curve be from what is stored,
THINNED_MANY = 0.5  # and those of a collection with many points
MANY = 1500
FEW_COLORS = 64  # a collection with more has each channel of a color rounded
LEVELS = 8  # to so many steps
FAR = 3000.0  # pixels: a place that is farther out is moved to there
_CODES = {Path.MOVETO: 0, Path.LINETO: 1, Path.CURVE3: 2, Path.CURVE4: 3, Path.CLOSEPOLY: 4}
_POINTS = {Path.CURVE3: 2, Path.CURVE4: 3}

Operation = list[Any]
Pieces = list[list[int]]  # of a path
Frame = list[list[int]]  # groups: the number of an axes, or -1, and the operations drawn there


class Span(NamedTuple):
    """From where to where something reaches on the page, in pixels."""

    left: float
    right: float


class Operations:
    """Every distinct operation, glyph and style of an explorable, and how far each axes reaches."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.glyphs: list[Pieces] = []
        self.styles: list[dict[str, Any]] = []
        self.reach: dict[int, Span] = {}  # number of an axes -> with its labels, in all frames
        self._numbers: dict[tuple[str, str], int] = {}

    def number(self, kind: str, value: Any, key: str = "") -> int:
        """The number of `value` in one of the lists above; it is appended if it is new."""
        key = key or json.dumps(value, separators=(",", ":"))
        if (kind, key) not in self._numbers:
            values = getattr(self, kind)
            self._numbers[kind, key] = len(values)
            values.append(value)
        return self._numbers[kind, key]


class Renderer(RendererBase):
    """Draws a figure by writing down what is to be drawn."""

    def __init__(self, figure: Figure, operations: Operations) -> None:
        super().__init__()
        self.figure = figure
        self.operations = operations
        self.dpi = figure.dpi
        self.width = int(figure.bbox.width)  # as the PNG has
        self.height = int(figure.bbox.height)
        self.frame: Frame = []
        self._open: list[int] = []  # axes inside of each other
        self._agg = RendererAgg(self.width, self.height, self.dpi)  # for the sizes of texts
        self._flip = Affine2D().scale(1, -1).translate(0, self.height)
        self._glyphs: dict[Any, Any] = {}

    def draw(self) -> Frame:
        """The figure's operations, without its background."""
        self.frame = [[-1]]
        for number, ax in enumerate(self.figure.axes):
            ax.set_gid(str(number))
        self.figure.patch.set_visible(False)
        self.figure.draw(self)
        return [group for group in self.frame if len(group) > 1]

    # -- what matplotlib asks ----------------------------------------------------------------------

    def get_canvas_width_height(self) -> tuple[float, float]:
        return self.width, self.height

    def points_to_pixels(self, points: Any) -> Any:
        return points * self.dpi / 72

    def flipy(self) -> bool:
        return True

    def get_text_width_height_descent(
        self, s: str, prop: FontProperties, ismath: Any
    ) -> tuple[float, float, float]:
        return self._agg.get_text_width_height_descent(s, prop, ismath)

    def open_group(self, s: str, gid: str | None = None) -> None:
        if s == "axes":
            self._open.append(int(gid) if gid else -1)
            if len(self._open) == 1:
                self.frame.append([self._open[0]])

    def close_group(self, s: str) -> None:
        if s == "axes":
            self._open.pop()
            if not self._open:
                self.frame.append([-1])

    # -- what it draws -----------------------------------------------------------------------------

    def draw_path(
        self,
        gc: GraphicsContextBase,
        path: Path,
        transform: Transform,
        rgbFace: Any = None,
    ) -> None:
        style = self._style(gc, rgbFace)
        if style is None:
            return
        clip = (-50, -50, self.width + 50, self.height + 50) if rgbFace is None else None
        drawn = path.cleaned(
            transform + self._flip,
            remove_nans=True,
            clip=clip,
            simplify=bool(path.should_simplify and rgbFace is None),
            curves=True,
            stroke_width=self.points_to_pixels(gc.get_linewidth()),
            snap=gc.get_snap(),
        )
        pieces = _pieces(_thinned(drawn))
        if pieces:
            points, codes = _points(drawn)
            placed = (codes != Path.STOP) & (codes != Path.CLOSEPOLY)
            self._reach(gc, points[placed, 0])
            self._add([PATH, style, pieces])

    def draw_markers(
        self,
        gc: GraphicsContextBase,
        marker_path: Path,
        marker_trans: Transform,
        path: Path,
        trans: Transform,
        rgbFace: Any = None,
    ) -> None:
        style = self._style(gc, rgbFace)
        points = [point[-2:] for point, _ in path.iter_segments(trans, simplify=False)]
        if style is None or not points:
            return
        marker = _pieces(marker_path.transformed(marker_trans + Affine2D().scale(1, -1)), FINE)
        places = np.array(points)
        self._reach(gc, places[:, 0])
        self._add([MARKERS, style, marker, self._places(places)])

    def draw_path_collection(
        self,
        gc: GraphicsContextBase,
        master_transform: Transform,
        paths: Any,
        all_transforms: Any,
        offsets: Any,
        *rest: Any,
        **more: Any,
    ) -> None:
        if not len(paths):
            return
        more.setdefault("hatchcolors", [])
        base: Any = self  # of RendererBase; matplotlib's own renderers use these two
        raw = list(base._iter_collection_raw_paths(master_transform, paths, all_transforms))
        items = base._iter_collection(gc, raw, offsets, *rest, **more)  # changes one gc as it goes
        _, faces, edges = rest[:3]
        self._coarse = max(len(faces), len(edges)) > FEW_COLORS
        try:
            if len(paths) == 1 and len(offsets) >= 4 and len(all_transforms) <= 1:
                self._draw_scatter(gc, raw[0], items)
            else:
                self._draw_many(items)
        finally:
            self._coarse = False

    def _draw_scatter(
        self, gc: GraphicsContextBase, raw: tuple[Path, Any], items: Iterator[Any]
    ) -> None:
        path, transform = raw
        styles = []
        places = []
        for x, y, _, own, face in items:
            style = self._style(own, face)
            if style is not None:
                styles.append(style)
                places.append((x, y))
        if not styles:
            return
        marker = _pieces(path.transformed(transform + Affine2D().scale(1, -1)), FINE)
        at = np.array(places)
        self._reach(gc, at[:, 0])
        if len(set(styles)) == 1:
            self._add([MARKERS, styles[0], marker, self._places(at)])
        else:
            self._add([SCATTER, styles, marker, self._places(at)])

    def _draw_many(self, items: Iterator[Any]) -> None:
        """Paths that follow each other in one style are one; lines that go on are joined."""
        runs: list[tuple[int, list[Path]]] = []
        for x, y, (path, transform), gc, face in items:
            style = self._style(gc, face)
            if style is None:
                continue
            moved = path.transformed(transform + Affine2D().translate(x, y) + self._flip)
            self._reach(gc, _points(moved)[0][:, 0])
            if runs and runs[-1][0] == style:
                runs[-1][1].append(moved)
            else:
                runs.append((style, [moved]))
        parts: list[Any] = []
        at = (0, 0)
        points = sum(len(_points(path)[0]) for _, paths in runs for path in paths)
        for style, paths in runs:
            thin = _thinned(_joined(paths), THINNED_MANY if points > MANY else THINNED)
            pieces, at = _pieces_from(at, thin)
            parts += [style, pieces]
        if parts:
            self._add([PATH, *parts] if len(runs) == 1 else [LINES, parts])

    def draw_quad_mesh(self, gc: GraphicsContextBase, *rest: Any, **more: Any) -> None:
        """A mesh of cells becomes an image: drawn by Agg, cut to the axes."""
        agg = RendererAgg(self.width, self.height, self.dpi)
        agg.draw_quad_mesh(gc, *rest, **more)
        box = gc.get_clip_rectangle()
        assert box is not None  # a mesh belongs to axes
        x0, y0, x1, y1 = (round(value) for value in box.extents)
        pixels = np.asarray(agg.buffer_rgba())[self.height - y1 : self.height - y0, x0:x1]
        self._reach(gc, np.array([x0, x1]))
        self._add([IMAGE, x0, self.height - y1, x1 - x0, y1 - y0, _image(pixels)])

    def draw_image(
        self, gc: GraphicsContextBase, x: float, y: float, im: Any, transform: Any = None
    ) -> None:
        height, width = im.shape[:2]
        top = round(self.height - y - height, 1)
        self._reach(gc, np.array([x, x + width]))
        self._add([IMAGE, round(x, 1), top, width, height, _image(np.asarray(im)[::-1])])

    def draw_text(
        self,
        gc: GraphicsContextBase,
        x: float,
        y: float,
        s: str,
        prop: FontProperties,
        angle: float,
        ismath: Any = False,
        mtext: Any = None,
    ) -> None:
        size = self.points_to_pixels(prop.get_size_in_points())
        style: dict[str, Any] = {"f": to_hex(gc.get_rgb())}
        if gc.get_alpha() is not None and gc.get_alpha() < 1:
            style["g"] = round(gc.get_alpha(), 3)
        number = self.operations.number("styles", style)
        glyphs, rectangles = self._glyphs_of(s, prop, ismath)
        placed = []
        for glyph, gx, gy, own in glyphs:
            place = [glyph, round(gx * size * SCALE), round(gy * size * SCALE), own]
            # Most glyphs of a text have its size and stand on its line.
            placed.append(place if own != 1 else place[:3] if place[2] else place[:2])
        if angle == 0:
            width = self._agg.get_text_width_height_descent(s, prop, ismath)[0]
            self._reach(None, np.array([x, x + width]))
        else:
            self._reach(None, np.array([x - size, x + size / 2]))
        place = [round(x * SCALE), round(y * SCALE), round(angle, 1), round(size, 2)]
        self._add([TEXT, number, *place, placed])
        for vertices, codes in rectangles:
            turn = Affine2D().scale(size, -size).rotate_deg(-angle).translate(x, y)
            bar = Path(vertices, codes).transformed(turn)
            self._add([PATH, number, _pieces(bar)])

    def _glyphs_of(self, s: str, prop: FontProperties, ismath: Any) -> tuple[list[Any], list[Any]]:
        """The glyphs of a text as (number, x, y, size), and its bars (of fractions and roots).

        Lengths are in sizes of the font.
        """
        key = (s, hash(prop), bool(ismath))
        if key not in self._glyphs:
            if ismath:
                info, shapes, bars = text_to_path.get_glyphs_mathtext(prop, s)
            else:
                font = get_font(fontManager.findfont(prop))
                font.set_size(text_to_path.FONT_SCALE, text_to_path.DPI)
                info, shapes, bars = text_to_path.get_glyphs_with_font(font, s)
            unit = text_to_path.FONT_SCALE
            glyphs = []
            for name, x, y, own in info:
                vertices, codes = shapes[name]
                shape = Path(np.asarray(vertices) * FINE / unit, codes)
                number = self.operations.number("glyphs", _pieces(shape, SCALE), str(name))
                glyphs.append((number, x / unit, y / unit, round(float(own), 3)))
            scaled = [(np.asarray(vertices) / unit, codes) for vertices, codes in bars]
            self._glyphs[key] = (glyphs, scaled)
        return self._glyphs[key]

    # -- parts -------------------------------------------------------------------------------------

    _coarse = False  # are colors rounded?

    def _add(self, operation: Operation) -> None:
        self.frame[-1].append(self.operations.number("operations", operation))

    def _places(self, places: np.ndarray) -> list[int]:
        """Places (N, 2) from the lower left corner as differences from the upper left one."""
        flipped = np.stack([places[:, 0], self.height - places[:, 1]], axis=1)
        whole = np.rint(np.nan_to_num(flipped, nan=-FAR).clip(-FAR, FAR) * SCALE).astype(int)
        return np.diff(whole, axis=0, prepend=[[0, 0]]).ravel().tolist()

    def _reach(self, gc: GraphicsContextBase | None, x: np.ndarray) -> None:
        """The open axes reaches at least to these places, as far as they are not cut off."""
        x = x[np.isfinite(x)]
        if not self._open or not len(x):
            return
        left = 0.0
        right = float(self.width)
        box = None if gc is None else gc.get_clip_rectangle()
        if box is not None:
            left = box.x0
            right = box.x1
        at = x.clip(left, right)
        before = self.operations.reach.get(self._open[0], Span(right, left))
        self.operations.reach[self._open[0]] = Span(
            min(before.left, float(at.min())), max(before.right, float(at.max()))
        )

    def _style(self, gc: GraphicsContextBase, face: Any) -> int | None:
        """The number of a style; None for one that shows nothing.

        s, w, a, d, c, j: of a line, its color, width, alpha, dashes, ends and corners; f, g: of a
        face, its color and alpha; k: the rectangle (x, y, width, height) that it is cut to.
        """
        style: dict[str, Any] = {}
        width = self.points_to_pixels(gc.get_linewidth())
        color = gc.get_rgb()
        alpha = color[3] if len(color) > 3 else 1
        if width > 0 and alpha > 0:
            style["s"] = self._hex(color)
            style["w"] = round(width, 2)
            if alpha < 1:
                style["a"] = round(alpha, 3)
            dashes: Any = gc.get_dashes()[1]
            if dashes is not None:
                style["d"] = [round(self.points_to_pixels(dash), 2) for dash in dashes]
            if gc.get_capstyle() != "butt":
                style["c"] = str(gc.get_capstyle()).replace("projecting", "square")
            if gc.get_joinstyle() != "miter":
                style["j"] = str(gc.get_joinstyle())
        if face is not None and (len(face) < 4 or face[3] > 0):
            style["f"] = self._hex(face)
            own = face[3] if len(face) > 3 else 1
            alpha = gc.get_alpha() if gc.get_forced_alpha() else own
            if alpha is not None and alpha < 1:
                style["g"] = round(alpha, 3)
        if not style:
            return None
        box = gc.get_clip_rectangle()
        if box is not None:
            x0, y0, x1, y1 = np.asarray(box.extents, dtype=float).tolist()
            corner = (x0, self.height - y1, x1 - x0, y1 - y0)
            style["k"] = [round(value, 1) for value in corner]
        return self.operations.number("styles", style)

    def _hex(self, color: Any) -> str:
        red, green, blue = color[:3]
        if self._coarse:
            red, green, blue = (round(part * LEVELS) / LEVELS for part in (red, green, blue))
        return to_hex((red, green, blue))


# ----------------------------------------------------------------------------------------- paths


def _points(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The vertices (N, 2) of a path and their codes (N,)."""
    vertices = np.asarray(path.vertices, dtype=float)
    if path.codes is not None:
        return vertices, np.asarray(path.codes)
    codes = np.full(len(vertices), Path.LINETO, dtype=np.uint8)
    codes[:1] = Path.MOVETO
    return vertices, codes


def _pieces(path: Path, scale: int = SCALE) -> Pieces:
    """A path as its pieces, see the module's docstring."""
    return _pieces_from((0, 0), path, scale)[0]


def _pieces_from(
    start: tuple[int, int], path: Path, scale: int = SCALE
) -> tuple[Pieces, tuple[int, int]]:
    """The pieces of a path that is drawn after one that ended at `start`, and where it ends.

    Where it begins at `start`, there is no move to it.
    """
    vertices, codes = _points(path)
    pieces: Pieces = []
    x, y = start
    more = 0  # points of a curve that are still to come
    for point, code in zip(np.rint(vertices * scale).astype(int).tolist(), codes.tolist()):
        if code == Path.STOP:
            break
        if code == Path.CLOSEPOLY:
            pieces.append([4])
            continue
        step = [point[0] - x, point[1] - y]
        x, y = point
        if more:
            pieces[-1] += step
            more -= 1
        elif code == Path.LINETO and pieces and pieces[-1][0] == 1:
            if step != [0, 0]:
                pieces[-1] += step
        elif code != Path.MOVETO or step != [0, 0] or not pieces:
            pieces.append([_CODES[code], *step])
            more = _POINTS.get(code, 1) - 1
    if start != (0, 0) and pieces and pieces[0] == [0, 0, 0]:
        del pieces[0]
    return pieces, (x, y)


def _joined(paths: list[Path]) -> Path:
    """The paths as one; a line that begins where the last one has ended goes on."""
    vertices: list[np.ndarray] = []
    codes: list[np.ndarray] = []
    for path in paths:
        points, own = _points(path)
        goes_on = bool(
            vertices
            and set(own.tolist()) == {Path.MOVETO, Path.LINETO}
            and codes[-1][-1] != Path.CLOSEPOLY
            and np.abs(vertices[-1][-1] - points[0]).max() < 1e-6
        )
        vertices.append(points[1:] if goes_on else points)
        codes.append(own[1:] if goes_on else own)
    return Path(np.concatenate(vertices), np.concatenate(codes))


def _thinned(path: Path, within: float = THINNED) -> Path:
    """Without the points of lines that are closer than so many pixels to that between neighbors.

    Ramer (1972) and Douglas and Peucker (1973). Paths with curves stay as they are.
    """
    vertices, codes = _points(path)
    straight = {Path.MOVETO, Path.LINETO, Path.CLOSEPOLY, Path.STOP}
    if len(vertices) <= 4 or set(codes.tolist()) - straight:
        return path
    ends = (codes == Path.CLOSEPOLY) | (codes == Path.STOP)  # their points have no place
    keep = ends.copy()
    starts = [*np.flatnonzero(codes == Path.MOVETO).tolist(), len(vertices)]
    for first, after in itertools.pairwise(starts):
        last = after - 1
        while last > first and ends[last]:
            last -= 1
        keep[first] = True
        keep[last] = True
        stack = [(first, last)]
        while stack:
            i, j = stack.pop()
            if j - i < 2:
                continue
            chord = vertices[j] - vertices[i]
            length = np.hypot(*chord)
            between = vertices[i + 1 : j] - vertices[i]
            if length > 1e-9:
                apart = np.abs(chord[0] * between[:, 1] - chord[1] * between[:, 0]) / length
            else:
                apart = np.hypot(between[:, 0], between[:, 1])
            farthest = int(apart.argmax())
            if apart[farthest] > within:
                middle = i + 1 + farthest
                keep[middle] = True
                stack += [(i, middle), (middle, j)]
    return Path(vertices[keep], codes[keep])


def _image(pixels: np.ndarray) -> str:
    """Pixels (height, width, 4) as the address of a lossless WebP image."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "webp", lossless=True, method=6)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
