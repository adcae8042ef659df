"""The site that docs/build.py has built: pytest --browser tests/browser/test_built_site.py"""

import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from node_tutorial.course.syllabus import READY

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "build" / "site" / "_build" / "html"
NAMES = ["index", *(f"notebooks/{lesson.name}" for lesson in READY.values())]
NAMES += [f"docs/{path.stem}" for path in sorted((ROOT / "docs").glob("*.md"))]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not SITE.exists(), reason="no site is there: python docs/build.py"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_page_asks_nothing_of_other_sites_and_fits_a_phone(name, chromium):
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((SITE / f"{name}.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()
    assert asked and not [url for url in asked if not url.startswith(("file:", "data:"))]
    assert not errors


@pytest.mark.parametrize("name", NAMES)
def test_formulas_are_set_and_the_page_says_what_it_is_about(name):
    text = (SITE / f"{name}.html").read_text("utf-8")
    assert "katex-error" not in text and "MathJax" not in text
    if name.startswith("notebooks/") and name != "notebooks/00_start_here":
        assert text.count("<math") > 5  # MathML, for who does not see the glyphs
    (said,) = re.findall(r'<meta name="description" content="([^"]*)" />', text)
    assert said.endswith((".", "?", ":")) and len(said) > 30


def test_a_page_offers_the_lesson_itself_for_download():
    for lesson in READY.values():
        page = (SITE / "notebooks" / f"{lesson.name}.html").read_text("utf-8")
        found = re.search(r'href="\.\./(_sources/notebooks/[^"]*)"', page)[1]
        assert (SITE / found).read_bytes() == (ROOT / "notebooks" / lesson.notebook).read_bytes()


def test_all_pages_are_in_the_map_for_search_engines():
    places = {loc.text for loc in ElementTree.parse(SITE / "sitemap.xml").iterfind(".//{*}loc")}
    for name in NAMES:
        assert f"https://node-tutorial.github.io/node_tutorial/{name}.html" in places


def test_the_book_holds_all_pages_as_xml():
    with zipfile.ZipFile(SITE / "node_tutorial.epub") as book:
        names = set(book.namelist())
        assert {f"{name}.xhtml" for name in NAMES} <= names
        for name in names:
            if name.endswith(".xhtml"):
                ElementTree.fromstring(book.read(name).decode("utf-8").split("?>", 1)[-1])
        assert "<math" in book.read("notebooks/02_runge_kutta.xhtml").decode("utf-8")
