"""What docs/build.py makes of the README and the lessons. .ci/run builds the site itself."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
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


def test_a_lesson_that_the_readme_does_not_know_is_refused(monkeypatch):
    monkeypatch.setattr(build, "lessons", lambda: [*LESSONS, Path("99_unknown.ipynb")])
    with pytest.raises(SystemExit, match=r"99_unknown\.ipynb; add one"):
        build.contents()


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_keeps_its_cells_and_its_pictures_get_their_sentences(path):
    lesson, page = json.loads(path.read_text("utf-8")), json.loads(build.lesson_page(path))
    note = page["cells"].pop(1)
    assert f"/{path.name})" in note["source"] and "Binder" in note["source"]
    assert [cell["id"] for cell in page["cells"]] == [cell["id"] for cell in lesson["cells"]]
    for before, after in zip(lesson["cells"], page["cells"]):
        assert after.get("outputs") == before.get("outputs")
        for output in before.get("outputs", []):
            if "image/png" in output.get("data", {}):
                assert len(after["metadata"]["mystnb"]["image"]["alt"]) > 10


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
        for kind, target in re.findall(rf"{build.REPOSITORY}/(blob|tree)/main/([^)#\s]+)", text):
            assert (ROOT / target).is_dir() == (kind == "tree") and (ROOT / target).exists(), target


def test_the_first_page_is_the_readme_with_the_lessons_first():
    sections = re.findall(r"^## (.*)", build.first_page(), re.MULTILINE)
    assert sections[0] == "Lessons" and sorted(sections) == sorted(
        re.findall(r"^## (.*)", build.read("README.md"), re.M)
    )


def test_the_pages_for_lecturers_are_up_to_date():
    found = build.TABLE.search(build.read("docs/teaching.md"))
    assert found and found[0] == build.table(), "type: python docs/build.py --kit"
    assert build.read("docs/lessons.md") == build.kit(), "type: python docs/build.py --kit"


def test_the_pages_for_lecturers_have_every_part_prediction_and_exercise():
    cells = [
        {"cell_type": "markdown", "source": "# 77 A lesson\n\n**Predict**: not in the header"},
        {
            "cell_type": "markdown",
            "source": "Before.\n\n## 1. First\n\nWe look.\n**Predict first**: how many\n`y`?",
        },
        {"cell_type": "code", "source": "x = 1\n\ny = 2\n"},
        {
            "cell_type": "markdown",
            "source": "**Exercise 77.1.** Predict it.\n\n## What to remember\n\n- **Predict**: always.",
        },
    ]
    sizes, questions = build.sections(cells)
    assert sizes == {"beginning": 1, "1. First": 3 + 7 + 10 + 4}
    assert questions == [("1. First", "We look. How many `y`?")]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_the_plan_for_45_or_90_minutes_has_a_row_for_each_lesson(path):
    from node_tutorial import exercises

    rows = re.findall(
        rf"^\| {path.stem[:2]} \|(.*)\|$", build.read("docs/teaching.md"), re.MULTILINE
    )
    assert len(rows) == 1, (
        f"docs/teaching.md, 45 or 90 minutes: write a row for lesson {path.stem[:2]}"
    )
    named = set(re.findall(r"\b\d\d\.\d\b", rows[0]))
    assert named and named <= {id for id in exercises.load_all() if id.startswith(path.stem[:2])}
