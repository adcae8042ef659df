"""What docs/build.py makes of the README and the lessons. .ci/run builds the site itself."""

import html
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from node_tutorial import explore
from node_tutorial.course import notebooks
from node_tutorial.course.pages import GOALS, pages, paths_table, with_table
from node_tutorial.course.syllabus import READY
from node_tutorial.exercises import load_all

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "docs/teaching.md", "docs/is_this_for_me.md", "docs/lessons.md")
specification = importlib.util.spec_from_file_location("build", ROOT / "docs" / "build.py")
build = importlib.util.module_from_spec(specification)
specification.loader.exec_module(build)

LESSONS = build.lessons()


def test_every_lesson_and_every_page_is_in_the_contents_once():
    files = re.findall(r"- file: (.*)", build.contents())
    expected = [f"notebooks/{path.stem}" for path in LESSONS]
    assert expected and files[: len(expected)] == expected
    assert files[len(expected) :] == sorted(
        f"docs/{path.stem}" for path in (ROOT / "docs").glob("*.md")
    )


def test_a_lesson_that_the_syllabus_does_not_know_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(build, "lessons", lambda: [*LESSONS, Path("99_unknown.ipynb")])
    with pytest.raises(SystemExit, match=r"does not know 99_unknown\.ipynb; add a line"):
        build.write_sources(tmp_path)


def test_the_site_is_made_without_the_package_and_without_torch(tmp_path):
    code = f"""
import importlib.util, pathlib, sys
sys.modules |= dict.fromkeys(("node_tutorial", "torch", "numpy"))  # importing them would fail
specification = importlib.util.spec_from_file_location("build", {build.__file__!r})
build = importlib.util.module_from_spec(specification)
specification.loader.exec_module(build)
build.write_sources(pathlib.Path({str(tmp_path / "site")!r}))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "site" / "index.md").exists()


def joined(output):
    """An output whose HTML is one text."""
    if "text/html" in output.get("data", {}):
        output["data"]["text/html"] = "".join(output["data"]["text/html"])
    return output


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_keeps_its_cells_and_its_pictures_get_their_sentences(path):
    lesson, page = json.loads(path.read_text("utf-8")), json.loads(build.lesson_page(path))
    note = page["cells"].pop(1)
    assert f"/{path.name})" in note["source"] and "Binder" in note["source"]
    assert [cell["id"] for cell in page["cells"]] == [cell["id"] for cell in lesson["cells"]]
    for before, after in zip(lesson["cells"], page["cells"]):
        for old, new in zip(before.get("outputs", []), after.get("outputs", [])):
            if json.dumps(new).replace("<br/>", "<br>") == json.dumps(joined(old)):
                if "image/png" in old.get("data", {}):
                    assert len(after["metadata"]["mystnb"]["image"]["alt"]) > 10
            else:  # an explorable that plays
                sentence = html.escape("".join(old["data"]["text/plain"]))
                assert f"<figcaption>{sentence}</figcaption>" in new["data"]["text/html"]
                assert "".join(old["data"]["image/png"]).strip() in new["data"]["text/html"]
                assert "image/png" not in new["data"]


def shown(lesson):
    """The HTML of the explorables that play on the page of a lesson."""
    (path,) = (path for path in LESSONS if path.stem.startswith(lesson))
    outputs = [
        o for cell in json.loads(build.lesson_page(path))["cells"] for o in cell.get("outputs", [])
    ]
    found = [output.get("data", {}).get("text/html", "") for output in outputs]
    return [text for text in found if 'class="explorable"' in text]


def test_every_explorable_of_a_lesson_plays_and_the_player_comes_once(monkeypatch, capsys):
    monkeypatch.setattr(build.player, "stale", lambda name, stem, versions: "")
    pictures = shown("03")
    assert [re.findall('data-name="(.*?)"', text) for text in pictures] == [
        ["adaptive_loop"],
        ["adaptive_solve"],
        ["bouncing_ball"],
    ]
    assert [text.count("player.js") for text in pictures] == [1, 0, 0]
    assert all(
        f'data-source="{build.PLAYED}/' in text and 'data-start="0"' in text for text in pictures
    )
    assert capsys.readouterr().err == ""


def test_a_recording_that_is_out_of_date_is_not_shown(monkeypatch, capsys):
    monkeypatch.setattr(build.player, "fingerprint", lambda name, stem: "of something else")
    assert shown("03") == []
    said = capsys.readouterr().err
    assert said.count("is a picture only") == 3 and "its code or its stored results" in said


def test_the_player_and_all_recordings_are_on_the_site(tmp_path):
    build.write_player(tmp_path / "explorables")
    files = {file.name for file in (tmp_path / "explorables").iterdir()}
    assert files == {"player.js", "player.css", *(f"{name}.js" for name in build.player.index())}
    assert sum(file.stat().st_size for file in (tmp_path / "explorables").iterdir()) < 20e6


def test_links_lead_to_pages_or_to_github(tmp_path):
    build.write_sources(tmp_path / "site")
    sources = [*tmp_path.rglob("*.md"), *tmp_path.rglob("*.ipynb")]
    assert {path.stem for path in sources} >= {"index", *(path.stem for path in LESSONS)}
    for path in sources:
        text = path.read_text("utf-8")
        if path.suffix == ".ipynb":
            cells = json.loads(text)["cells"]
            text = "\n\n".join(cell["source"] for cell in cells if cell["cell_type"] == "markdown")
        text = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)  # code is no link
        for target in re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", text):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"
        for kind, target in re.findall(
            rf"{build.syllabus.REPOSITORY}/(blob|tree)/main/([^)#\s]+)", text
        ):
            assert (ROOT / target).is_dir() == (kind == "tree") and (ROOT / target).exists(), target


def test_the_first_picture_moves_and_is_small():
    (name,) = re.findall(r"!\[[^]]+\]\(([^)]+\.gif)\)", build.read("README.md"))
    with Image.open(ROOT / name) as picture:
        assert picture.n_frames == explore.first_flow().controls["frame"].max + 1
    assert (ROOT / name).stat().st_size < 2e6


def test_each_page_has_a_description_of_its_own():
    said = build.descriptions()
    assert set(said) == {
        "index",
        *(f"notebooks/{path.stem}" for path in LESSONS),
        *(f"docs/{path.stem}" for path in (ROOT / "docs").glob("*.md")),
    }
    assert len(set(said.values())) == len(said)
    assert all(30 < len(text) < 300 and "](" not in text for text in said.values())


def test_a_path_through_the_course_has_what_its_lessons_need():
    rows = re.findall(r"(?m)^\| .* \| \d+ \|$", paths_table(ROOT))
    assert len(rows) == len(GOALS)
    for row in rows:
        way = re.findall(r"\[(\d\d)\]", row)
        assert way == sorted(set(way)) and way[0] == "00"
        for number in way:
            assert set(READY[number].needs) <= set(way)


def test_the_first_page_is_the_readme_with_the_lessons_first():
    sections = re.findall(r"^## (.*)", build.first_page(), re.MULTILINE)
    assert sections[0] == "Lessons" and sorted(sections) == sorted(
        re.findall(r"^## (.*)", build.read("README.md"), re.M)
    )


@pytest.fixture(scope="module")
def made():
    return pages(ROOT, load_all())


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_what_the_lessons_say(name, made):
    assert build.read(name) == made[name], "type: python docs/build.py --kit"


def test_a_page_without_a_place_for_its_table_is_refused(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("<!-- lessons -->\n| |\n")
    with pytest.raises(ValueError, match=r"README\.md: its table belongs between two lines"):
        with_table(page, "| |\n")


def test_a_lesson_that_does_not_state_its_times_is_named():
    header = "# 77 A lesson\n\n**Reading time**: 30-40 minutes\n\n**Running time**: short"
    with pytest.raises(ValueError, match=r"77_a\.ipynb: .*lacks '\*\*Running time\*\*: N seconds'"):
        notebooks.times([{"source": header}], "77_a.ipynb")
    cells = [{"source": header.replace("short", "10 seconds")}]
    assert notebooks.times(cells, "77_a.ipynb") == ("30-40", "10")


def test_the_parts_of_a_lesson_and_its_predictions_are_found():
    cells = [
        {"cell_type": "markdown", "source": "# 77 A lesson\n\n**Predict**: not in the header"},
        {
            "cell_type": "markdown",
            "source": "Before.\n\n## 1. First\n\nWe look.\n**Predict first**: how many\n`y`?",
        },
        {"cell_type": "code", "source": "x = 1\n\ny = 2\n"},
        {
            "cell_type": "markdown",
            "source": "**Exercise 77.1.** Predict it.\n\n## What to remember\n\n"
            "- **Predict**: always.",
        },
    ]
    sizes, predictions = notebooks.contents(cells)
    assert sizes == {"beginning": 1, "1. First": 3 + 7 + 10 + 4}
    assert predictions == [("1. First", "We look. How many `y`?")]


def test_the_plan_for_45_or_90_minutes_has_a_row_for_each_lesson():
    text = build.read("docs/teaching.md")
    for number in READY:
        rows = re.findall(rf"^\| {number} \|(.*)\|$", text, re.MULTILINE)
        assert len(rows) == 1, f"docs/teaching.md, 45 or 90 minutes: write a row for {number}"
        named = set(re.findall(r"\b\d\d\.\d\b", rows[0]))
        exercises = {id for id in load_all() if id.startswith(number)}
        assert named and named <= exercises, f"docs/teaching.md, the row of {number}: {named}"
