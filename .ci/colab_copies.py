"""What Colab opens: the lessons, each with one cell more, which installs the course there.

    python .ci/colab_copies.py build/colab

The workflow `colab` does this after `.ci/colab` has passed, and pushes the folder, the wheel beside
it, to the branch `colab`. The lessons themselves stay as they are: who reads them elsewhere has the
course already. Needs neither PyTorch nor the package.
"""

import argparse
import importlib.util
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BRANCH = "https://raw.githubusercontent.com/node-tutorial/node_tutorial/colab"
# Without --no-deps pip would replace Colab's torch, NumPy and widgets: minutes, and a restart.
INSTALL = """import sys

if "google.colab" in sys.modules:  # there, the course is added to what Colab has
    %pip install --quiet --no-deps torchdiffeq {wheel}"""
README = """Made from the branch main by .github/workflows/colab.yml; a change here would be lost.
"""


def _syllabus():
    """course/syllabus.py by its path: the package may not be installed."""
    file = ROOT / "node_tutorial" / "course" / "syllabus.py"
    specification = importlib.util.spec_from_file_location("syllabus", file)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


LESSONS = tuple(_syllabus().READY.values())


def wheel_name():
    """The file name of this version's wheel."""
    version = re.search(r'(?m)^version = "(.*)"$', (ROOT / "pyproject.toml").read_text("utf-8"))
    return f"node_tutorial-{version[1]}-py3-none-any.whl"


def with_install(notebook, wheel):
    """A lesson with the installing cell before its first code; links to lessons lead to Colab."""
    cells = []
    installed = False
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code" and not installed:
            cells.append(_code(INSTALL.format(wheel=wheel)))
            installed = True
        if cell["cell_type"] == "markdown":
            cell = {**cell, "source": _with_links_to_colab("".join(cell["source"]))}
        cells.append(cell)
    return {**notebook, "cells": cells}


def _code(source):
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": "install",
        "metadata": {"tags": ["nbval-ignore-output"]},
        "outputs": [],
        "source": source,
    }


def _with_links_to_colab(text):
    for lesson in LESSONS:
        text = re.sub(rf"\]\({re.escape(lesson.notebook)}([)#])", rf"]({lesson.colab}\1", text)
    return text


def write(target, wheel):
    """Write the copies to `target`/notebooks; `wheel` is where they install the course from."""
    folder = target / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    for lesson in LESSONS:
        notebook = json.loads((ROOT / "notebooks" / lesson.notebook).read_text("utf-8"))
        text = json.dumps(with_install(notebook, wheel), indent=1, ensure_ascii=False)
        (folder / lesson.notebook).write_text(text + "\n", "utf-8")
    (target / "README.md").write_text(README, "utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", type=Path, metavar="DIR")
    parser.add_argument("--branch", default=BRANCH, metavar="URL", help="where the wheel is")
    arguments = parser.parse_args()
    write(arguments.target, f"{arguments.branch}/{wheel_name()}")
