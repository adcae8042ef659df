"""Every lesson in a real JupyterLab: all cells run, and every control of every explorable is moved
by keyboard.

With the variable SCREENSHOTS set to a folder, a picture of every explorable is stored there, before
and after.
"""

import os
import pathlib
import statistics

import pytest

from node_tutorial import exercises
from node_tutorial.exercises import EXERCISES

from .lab import (
    ROOT,
    caption,
    cell_outputs,
    explorables,
    focus,
    jupyterlab,
    kernel_messages,
    open_notebook,
    press_keys,
    run_all,
    wait_until_idle,
)

pytestmark = pytest.mark.browser

LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EVERYTHING_IN_THE_PAGE = {"notebook-extension/tracker": {"windowingMode": "none"}}


@pytest.fixture(scope="module")
def lab():
    with jupyterlab(LESSONS, EVERYTHING_IN_THE_PAGE) as running:
        yield running


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem, scope="module")
def page(request, chromium, lab):
    page = open_notebook(chromium, lab, request.param.name)
    page.lesson = request.param.stem
    page.counts = run_all(page)
    yield page
    page.close()


def picture_of(panel):
    return panel.locator("img").get_attribute("src")


def inwards(handle):
    """The key that moves a slider away from its nearer end."""
    low, at, high = (
        float(handle.get_attribute(f"aria-value{name}")) for name in ("min", "now", "max")
    )
    return "ArrowLeft" if at > (low + high) / 2 else "ArrowRight"


def wait_for_another_picture(page, panel, before):
    page.wait_for_function(
        "([image, before]) => image.getAttribute('src') !== before",
        timeout=10_000,
        arg=[panel.locator("img").element_handle(), before],
    )
    wait_until_idle(page)


def screenshot(panel, page, name):
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        panel.screenshot(path=pathlib.Path(folder) / f"{page.lesson}_{name}.png")


def test_all_cells_run_in_order_and_nothing_complains(page):
    outputs = [output for cell in cell_outputs(page) for output in cell]
    errors = [f"{o['ename']}: {o['evalue']}" for o in outputs if o["output_type"] == "error"]
    assert errors == []
    assert page.counts == list(range(1, len(page.counts) + 1))
    assert page.problems == []
    assert kernel_messages(page) == []


def test_each_slider_changes_the_picture_by_keyboard(page):
    latencies = []
    for number in range(explorables(page).count()):
        panel = explorables(page).nth(number)
        screenshot(panel, page, f"{number}_before")
        for slider in range(panel.locator(".noUi-handle").count()):
            seen = press_keys(
                page, panel, inwards(panel.locator(".noUi-handle").nth(slider)), 2, slider=slider
            )
            assert seen["pictures"] >= 2, f"slider {slider} of explorable {number}"
            latencies += seen["latencies"]
        screenshot(panel, page, f"{number}_after")
        assert panel.get_by_role("alert").count() == 0
    if latencies:
        median = statistics.median(latencies)
        print(
            f"\n{page.lesson}: key to picture, median {median:.0f} ms of {len(latencies)}, "
            f"slowest {max(latencies):.0f} ms"
        )
        # 150 is the goal on a quiet machine; this is for a loaded one. The lower median: lesson 00
        # has four latencies.
        assert statistics.median_low(latencies) < 800


def choose_another(page, control):
    """The next entry of a list; of its last one, the one before."""
    focus(page, control)
    last = control.evaluate("list => list.selectedIndex === list.options.length - 1")
    for key in ("Space", "ArrowUp" if last else "ArrowDown", "Enter"):
        page.keyboard.press(key)
        page.wait_for_timeout(150)


def test_lists_and_boxes_change_the_picture_by_keyboard(page):
    for number in range(explorables(page).count()):
        panel = explorables(page).nth(number)
        for place in range(panel.locator("select").count()):
            before = picture_of(panel)
            choose_another(page, panel.locator("select").nth(place))
            wait_for_another_picture(page, panel, before)
        for place in range(panel.locator("input[type=checkbox]").count()):
            control = panel.locator("input[type=checkbox]").nth(place)
            focus(page, control)
            checked = control.is_checked()
            page.keyboard.press("Space")
            # What it changes may depend on the other controls; the sweep of the controls sees to
            # it.
            wait_until_idle(page)
            assert control.is_checked() != checked and panel.get_by_role("alert").count() == 0


def test_reset_returns_to_the_first_picture(page):
    for number in range(explorables(page).count()):
        panel = explorables(page).nth(number)
        panel.get_by_role("button", name="Reset").press("Enter")
        page.wait_for_timeout(150)
        wait_until_idle(page)
        page.wait_for_timeout(300)
        reset = caption(panel)
        if panel.locator(".noUi-handle").count():
            press_keys(page, panel, inwards(panel.locator(".noUi-handle").first), 1)
        else:
            before = picture_of(panel)
            choose_another(page, panel.locator("select").first)
            wait_for_another_picture(page, panel, before)
        panel.get_by_role("button", name="Reset").press("Enter")
        page.wait_for_timeout(150)
        wait_until_idle(page)
        page.wait_for_timeout(300)
        assert caption(panel) == reset


def test_wrong_and_right_answers_show_their_feedback(page):
    """In the lesson's own exercise cells; run last, since it replaces their text."""
    exercises.load_all()
    ids = [id for id in sorted(EXERCISES) if id.startswith(page.lesson[:2])]
    assert ids or page.lesson.startswith("00")
    for id in ids:
        get = f"from node_tutorial.exercises import find\nexercise = find({id!r})"
        for answer, state in (
            ("exercise.mistaken(exercise.mistakes[0])", "not yet"),
            ("exercise.reference()", "correct"),
        ):
            shown = page.evaluate(ANSWER, [id, f"{get}\ncheck({id!r}, {answer})"])
            assert state in shown, f"{id}: {shown}"


ANSWER = """async ([id, source]) => {
    const content = jupyterapp.shell.currentWidget.content;
    const theirs = cell => cell.model.type === 'code' && [`check("${id}"`, `check('${id}'`].some(
        text => cell.model.sharedModel.getSource().includes(text));
    content.activeCellIndex = content.widgets.findIndex(theirs);
    await content.scrollToItem(content.activeCellIndex, 'center');
    content.activeCell.model.sharedModel.setSource(source);
    await jupyterapp.commands.execute('notebook:run-cell');
    await new Promise(resolve => setTimeout(resolve, 300));
    return content.activeCell.outputArea.node.textContent;
}"""
