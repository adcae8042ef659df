"""What a notebook shows: feedback, hints, a solution. Each has an HTML form and a plain one.

Colors never carry the message alone, the state is spelled out; the box takes the page's text color
and background, so it is readable in dark themes.
"""

import re
from dataclasses import dataclass
from html import escape

STATES = {
    "not started": ("○", "#6B6B6B"),
    "wrong kind": ("△", "#E69F00"),
    "not yet": ("◐", "#0072B2"),
    "correct": ("✓", "#009E73"),
}


@dataclass(frozen=True)
class Feedback:
    """The answer to `check`.

    state: one of STATES.
    message: one or a few sentences, with `code` in backticks.
    """

    id: str
    state: str
    message: str

    def __repr__(self) -> str:
        return f"{self.id} {self.state}: {self.message}"

    def _repr_html_(self) -> str:
        sign, color = STATES[self.state]
        return box(f"{sign} {self.id} {self.state}", html_of(self.message), color)


@dataclass(frozen=True)
class HintList:
    """The hints unfolded so far, of `total`."""

    id: str
    hints: tuple[str, ...]
    total: int

    def __repr__(self) -> str:
        if not self.hints:
            return f'{self.id} has no hints; show_solution("{self.id}") shows the solution'
        lines = [
            f"{self.id} hint {i} of {self.total}: {hint}" for i, hint in enumerate(self.hints, 1)
        ]
        return "\n".join([*lines, self._further()])

    def _further(self) -> str:
        if len(self.hints) < self.total:
            return "Run the cell again for the next hint."
        return f'That was the last hint; `show_solution("{self.id}")` shows the solution.'

    def _repr_html_(self) -> str:
        if not self.hints:
            return box(self.id, html_of(repr(self)), "#6B6B6B")
        items = "".join(f"<li>{html_of(hint)}</li>" for hint in self.hints)
        title = f"{self.id} hint {len(self.hints)} of {self.total}"
        listed = f'<ol style="margin:4px 0">{items}</ol>'
        return box(title, listed + html_of(self._further()), "#6B6B6B")


@dataclass(frozen=True)
class SolutionSource:
    """The source of a reference solution."""

    id: str
    source: str

    def __repr__(self) -> str:
        return f"{self.id} solution:\n{self.source}"

    def _repr_html_(self) -> str:
        code = f'<pre style="margin:4px 0;white-space:pre-wrap">{escape(self.source)}</pre>'
        return box(f"{self.id} solution", code, "#6B6B6B")


def box(title: str, body: str, color: str) -> str:
    """An HTML box with a colored edge and a title."""
    return (
        f'<div style="border-left:4px solid {color};padding:4px 12px;margin:4px 0">'
        f"<b>{escape(title)}</b><br>{body}</div>"
    )


def html_of(text: str) -> str:
    """`text` as HTML, with `code` in backticks."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
