"""The copies of the lessons that Colab opens. .ci/colab runs two of them, with Colab's versions."""

import importlib.util
import json
import re
import sys
import types
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

ROOT = Path(__file__).resolve().parents[1]
specification = importlib.util.spec_from_file_location("copies", ROOT / ".ci" / "colab_copies.py")
colab = importlib.util.module_from_spec(specification)
specification.loader.exec_module(colab)


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("colab")
    colab.write(folder, "https://example.org/course.whl")
    return folder


@pytest.mark.parametrize("lesson", colab.LESSONS, ids=lambda lesson: lesson.stem)
def test_a_copy_is_the_lesson_with_one_more_cell_before_its_first_code(copies, lesson):
    file = copies / "notebooks" / lesson.notebook
    nbformat.validate(nbformat.read(file, as_version=4))
    copy = json.loads(file.read_text("utf-8"))["cells"]
    original = json.loads((ROOT / "notebooks" / lesson.notebook).read_text("utf-8"))["cells"]
    first_code = next(i for i, cell in enumerate(copy) if cell["cell_type"] == "code")
    assert "https://example.org/course.whl" in copy.pop(first_code)["source"]
    assert len(copy) == len(original)
    for mine, its in zip(copy, original):
        if mine["cell_type"] == "code":
            assert mine == its
    links = re.findall(
        r"\]\((?!https?:)([^)#]+)", "".join("".join(cell["source"]) for cell in copy)
    )
    assert not [link for link in links if link.endswith(".ipynb")]  # they lead to Colab


def test_only_on_colab_something_is_installed(monkeypatch):
    lines = []
    shell = types.SimpleNamespace(run_line_magic=lambda *magic: lines.append(magic))
    cell = colab.INSTALL.format(wheel="course.whl")
    code = compile(TransformerManager().transform_cell(cell), "install", "exec")
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    exec(code, {"get_ipython": lambda: shell})
    assert not lines
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    exec(code, {"get_ipython": lambda: shell})
    assert lines == [("pip", "install --quiet --no-deps torchdiffeq course.whl")]


def test_no_button_leads_to_colab_until_somebody_has_tried_it_there():
    """CONTRIBUTING.md says at "Colab" what to do then; this test goes with it."""
    pages = [ROOT / "README.md", *(ROOT / "notebooks").glob("*.ipynb")]
    for suffix in ("md", "py", "yml"):
        pages += (ROOT / "docs").glob(f"*.{suffix}")
    texts = {page: page.read_text("utf-8") for page in pages}
    assert len(texts) > 10
    assert not [page.name for page, text in texts.items() if "colab.research.google" in text]
