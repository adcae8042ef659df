"""A lesson as `node-tutorial run` writes it, opened as a file in Chromium."""

import nbformat
import pytest

from node_tutorial.course import player
from node_tutorial.course.handout import handout

from .lab import ROOT

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("name", ["03_adaptive_steps", "15_continuous_flows"])
@pytest.mark.parametrize("width", [1366, 390])
def test_a_handout_asks_for_nothing_and_its_formulas_and_explorables_are_there(
    chromium, tmp_path, name, width
):
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    assert player.let_play(notebook.cells, name[3:], player.player()) == []
    file = tmp_path / f"{name}.html"
    file.write_text(handout(notebook, name), "utf-8")

    page = chromium.new_page(viewport={"width": width, "height": 900})
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text))
    page.goto(file.as_uri())
    figures = page.locator("figure.explorable").all()
    assert figures
    for figure in figures:
        figure.scroll_into_view_if_needed()
    page.wait_for_function(f"document.querySelectorAll('canvas').length === {len(figures)}")
    heights = page.evaluate(
        "[...document.querySelectorAll('math')].filter(e => e.checkVisibility())"
        ".map(e => e.getBoundingClientRect().height)"
    )
    assert len(heights) > 20 and min(heights) > 5
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert problems == []
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
    page.close()
