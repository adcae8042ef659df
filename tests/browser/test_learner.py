"""One learner's evening in a real JupyterLab: answers typed wrong, then right, a hint, a restart in
between.
"""

import pytest

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

LESSON = ROOT / "notebooks" / "01_euler.ipynb"


@pytest.fixture(scope="module")
def page(chromium):
    with jupyterlab(
        [LESSON]
    ) as lab:  # windowing as a learner has it: cells far away are not in the page
        page = open_notebook(chromium, lab, LESSON.name)
        run_all(page)
        yield page
        page.close()


def code_cell(page, text):
    """Scroll to the code cell whose source contains `text`, make it the active one, and return its
    number.
    """
    number = page.evaluate(
        """async text => {
        const content = jupyterapp.shell.currentWidget.content;
        const has = cell => cell.model.sharedModel.getSource().includes(text);
        content.activeCellIndex = content.widgets.findIndex(
            cell => cell.model.type === 'code' && has(cell));
        await content.scrollToItem(content.activeCellIndex, 'center');
        return Array.from(content.model.cells).filter(cell => cell.type === 'code')
            .indexOf(content.activeCell.model);
    }""",
        text,
    )
    page.wait_for_timeout(300)
    return number


def type_and_run(page, text, source):
    """Replace the cell that contains `text` by typing `source`, run it by Ctrl+Enter, and return
    what it shows.
    """
    number = code_cell(page, text)
    editor = page.locator(".jp-mod-active .cm-content")
    editor.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(source)
    page.keyboard.press("Control+Enter")
    page.wait_for_timeout(200)
    wait_until_idle(page)
    page.wait_for_timeout(300)
    shown = page.locator(".jp-mod-active .jp-OutputArea-output").last
    assert shown.is_visible()
    return shown.text_content(), cell_outputs(page)[number][-1]["data"]["text/plain"]


@pytest.mark.parametrize(
    "answer, state, part",
    [
        ("...", "not started", "replace the ..."),
        ("'0.35'", "wrong kind", "got a text"),
        ("0.9**9", "not yet", "One step is missing"),
        ("1.1**10", "not yet", "mind the sign"),
        ("0.123", "not yet", "Start at x = 1"),
        ("0.9**10", "correct", "Each step multiplies x by"),
    ],
)
def test_an_answer_gets_its_feedback_at_once(page, answer, state, part):
    shown, plain = type_and_run(page, 'check("01.1"', f'x10 = {answer}\n\ncheck("01.1", x10)')
    assert state in shown and part in shown
    assert plain.startswith(f"01.1 {state}")


def test_a_function_that_raises_is_answered_not_thrown(page):
    shown, plain = type_and_run(
        page,
        'check("01.2"',
        'def better_end(run, N):\n    return undefined_name\n\n\ncheck("01.2", better_end)',
    )
    assert "undefined_name" in shown and plain.startswith("01.2 ")
    assert not any("Traceback" in text for text in kernel_messages(page))


def test_hints_unfold_one_by_one_and_the_solution_comes_last(page):
    first, _ = type_and_run(page, 'check("01.1"', 'hint("01.1")')
    second, _ = type_and_run(page, 'hint("01.1")', 'hint("01.1")')
    solution, _ = type_and_run(page, 'hint("01.1")', 'show_solution("01.1")')
    assert "One step replaces x by x + h f(x)" in first and "fixed number" not in first
    assert "fixed number" in second and "def ten_steps" in solution


def test_a_decimal_comma_is_cut_off(page):
    """As lesson 00 says; once this fails, because ipywidgets reads commas, say otherwise there."""
    code_cell(page, "explore.")
    panel = explorables(page).first
    slider = panel.locator(".widget-slider").filter(has_text="start y\u2081")
    y1 = slider.locator(".widget-readout")
    for typed, shown in (("0.75", "0.75"), ("-1,25", "-1.00")):
        y1.click()
        page.keyboard.press("Control+a")
        page.keyboard.type(typed)
        page.keyboard.press("Enter")
        wait_until_idle(page)
        page.wait_for_timeout(300)
        assert y1.text_content().replace("\u2212", "-") == shown


def test_after_a_restart_a_control_moves_and_the_picture_stays(page):
    """As lesson 00 says."""
    code_cell(page, "explore.")
    panel = explorables(page).first
    page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
    wait_until_idle(page)
    picture = panel.locator("img").get_attribute("src")
    handle = panel.locator(".noUi-handle").first
    before = handle.get_attribute("aria-valuetext")
    focus(page, handle)
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(1500)
    assert handle.get_attribute("aria-valuetext") != before
    assert panel.locator("img").get_attribute("src") == picture


def test_a_restart_with_run_all_recovers_the_explorables(page):
    run_all(page)
    code_cell(page, "explore.")
    panel = explorables(page).first
    panel.wait_for()
    before = caption(panel)
    press_keys(page, panel, "ArrowRight", 2)
    assert caption(panel) != before
    page.problems.clear()
    counts = run_all(page)  # a restart first: the old panel's kernel side is gone
    errors = [
        output for cell in cell_outputs(page) for output in cell if output["output_type"] == "error"
    ]
    assert errors == []
    assert counts == list(range(1, len(counts) + 1))
    code_cell(page, "explore.")
    page.wait_for_function(
        "before => document.querySelector('.explorable [role=status]')?.textContent === before",
        arg=before,
        timeout=10_000,
    )
    assert press_keys(page, explorables(page).first, "ArrowRight", 2)["pictures"] == 2
    assert page.problems == []
