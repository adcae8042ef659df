"""The numbers of folded answers are those that the lesson prints, or asserts."""

import json
import re
from pathlib import Path

import pytest

LESSONS = Path(__file__).resolve().parents[2] / "notebooks"
CHECKED = ("04", "05", "06", "07", "09", "14", "15", "18", "21", "22")
_NUMBER = re.compile(r"(?<![\w.,])\d+(?:\.\d+)?(?:e[-+]?\d+)?")
_SMALL = 20  # whole numbers up to here count things that can be seen


def cells(number):
    (path,) = LESSONS.glob(f"{number}_*.ipynb")
    return json.loads(path.read_text("utf-8"))["cells"]


def answers(cell):
    if cell["cell_type"] != "markdown":
        return []
    return re.findall(r"<details>.*?</details>", "".join(cell["source"]), re.DOTALL)


def shown(cell):
    """What a cell says: its code and its outputs, or its text without formulas and answers."""
    text = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return re.sub(r"<details>.*?</details>", " ", text, flags=re.DOTALL)
    for output in cell["outputs"]:
        text += " " + "".join(output.get("text", []))
        text += " " + "".join(output.get("data", {}).get("text/plain", []))
    return text.replace(",", "")


def is_rounded_from(said, value):
    """Whether a number as it is written, such as 0.46 or 54, is the rounded value."""
    decimals = len(said.partition("e")[0].partition(".")[2])
    if "e" in said:
        return float(said) == float(f"{value:.{decimals}e}")
    return abs(float(said) - value) <= 0.5 * 10**-decimals * (1 + 1e-9)


@pytest.mark.parametrize("number", CHECKED)
def test_a_number_in_a_folded_answer_is_printed_or_asserted(number):
    lesson = cells(number)
    values = {float(x) for cell in lesson for x in _NUMBER.findall(shown(cell))}
    unknown = []
    for i, cell in enumerate(lesson):
        for answer in answers(cell):
            text = re.sub(r"\$[^$]*\$|\]\([^)]*\)", " ", answer)
            for said in _NUMBER.findall(text):
                counts = said.isdigit() and int(said) <= _SMALL
                if not counts and not any(is_rounded_from(said, value) for value in values):
                    unknown.append(f"cell {i}: {said}")
    assert not unknown, f"numbers of answers that no cell prints or asserts: {unknown}"


def test_a_stale_number_is_found():
    assert is_rounded_from("0.46", 0.462) and is_rounded_from("54", 54.1)
    assert is_rounded_from("5e4", 48_000.0) and not is_rounded_from("87", 91.0)
    assert is_rounded_from("1.3e-4", 1.299e-4) and not is_rounded_from("1.3e-4", 1e-4)
