"""Lessons as HTML that asks nothing of a network; tests/browser/test_handout.py opens one."""

import re

import nbformat
import pytest
from nbformat.v4 import new_markdown_cell, new_notebook

from node_tutorial import cli
from node_tutorial.course import player
from node_tutorial.course.handout import handout, mathml

LESSONS = sorted(cli.lessons_folder().glob("[0-9][0-9]_*.ipynb"))


def page_of(*cells):
    return handout(new_notebook(cells=[new_markdown_cell(cell) for cell in cells]), "a lesson")


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_every_formula_of_a_lesson_is_set(path):
    notebook = nbformat.read(path, as_version=4)
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    page = page_of(*cells)
    assert "math-core-error" not in page
    _, body = page.split("<main>")
    text = re.sub(r"<(code|pre|math).*?</\1>", "", body, flags=re.DOTALL)
    assert not re.findall(r".*(?:\$|\\[a-z]+).*", text)
    formulas = re.findall(r"(?<![\\$`])\$\$?(?!\$)", re.sub(r"`[^`]*`", "", "\n\n".join(cells)))
    assert 2 * body.count("<math") == len(formulas) > 10


@pytest.mark.parametrize("number", ["03", "16"])
def test_a_lesson_loads_nothing_from_other_sites(number):
    (path,) = (path for path in LESSONS if path.stem.startswith(number))
    notebook = nbformat.read(path, as_version=4)
    player.let_play(notebook.cells, path.stem[3:], player.player())
    page = handout(notebook, path.stem)
    assert not re.findall(r"(?:src|srcset|data)=\"(?!data:)[^\"]+", page)
    assert page.count('alt="') == page.count("<img") and "No description" not in page
    assert not re.findall(r"<link|@import|url\((?!['\"]?data:)|import\(|MathJax|require\.js", page)


def test_a_formula_that_cannot_be_set_is_shown_as_it_is_written():
    page = page_of(r"Here $a \unheard b$ and $c$.")
    assert r"<code>a \unheard b</code>" in page and "Unknown command" in page
    assert "<mi>c</mi>" in page


def test_a_prime_is_as_large_as_its_letter():
    assert mathml("y'", display=False) == "<math><mi>y</mi><mtext>′</mtext></math>"
    assert "<mtext>′′</mtext>" in mathml("u'' + u", display=False)
    assert "′" not in mathml(r"\text{Euler's}", display=False)


def test_formulas_of_all_kinds_are_found():
    page = page_of("$a$\n\n$$b$$\n\n\\begin{align}c &= d\\end{align}", "A price of \\$5.")
    assert page.count("<math") == 3 and page.count('<math display="block"') == 2
    assert "A price of $5." in page
