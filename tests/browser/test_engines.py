"""The built site in other engines than Chromium, as .ci/browsers tries it: explorables of each kind
moved by keyboard, on a wide page and on one of 390 pixels.

With the variable SCREENSHOTS set to a folder, pictures of what was seen are stored there.
"""

import importlib.util
import os
import pathlib
import time

import numpy as np
import pytest

from node_tutorial.course import player
from node_tutorial.course.syllabus import READY
from node_tutorial.explore import LESSON_OF

from .engines import ENGINES, ROOT, SITE, served
from .lab import jupyterlab
from .test_player import changes, pixels

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:setting remote_server_addr:DeprecationWarning"),  # its own
    pytest.mark.skipif(not SITE.exists(), reason="no site is there: python docs/build.py"),
]

# Menus, boxes, ranges and things that play; images; one to three columns of axes.
NAMES = [
    "first_flow",
    "euler_polygon",
    "tableau_workbench",
    "adaptive_solve",
    "bouncing_ball",
    "solver_swap",
    "gradient_price",
    "digits_on_their_way",
    "crossing",
    "race",
    "frequency_landscape",
    "walking_figure",
    "likelihood_check",
    "one_score",
    "pixel_by_pixel",
    "causal_mask",
    "planted_anomaly",
]
WIDTHS = {1366: "", 390: "phone/"}
IN_THE_LAB = ("01", "08")


@pytest.fixture(scope="module", params=ENGINES)
def driver(request):
    if importlib.util.find_spec("selenium") is None:
        pytest.skip("selenium is not installed: see .ci/browsers")
    driver = ENGINES[request.param]()
    if driver is None:
        pytest.skip(f"no {request.param} here, or nothing to drive it: see .ci/browsers")
    driver.name_of_engine = request.param
    driver.set_window_size(1366, 900)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def address():
    with served() as address:
        yield address


def page_of(name):
    """The page of the site that shows an explorable."""
    (lesson,) = (lesson for lesson in READY.values() if lesson.stem == LESSON_OF[name])
    return f"notebooks/{lesson.name}.html"


def comes_true(driver, seconds, condition, *arguments):
    """Does JavaScript find within so many seconds that `condition` holds?"""
    end = time.monotonic() + seconds
    while not (found := driver.execute_script(f"return {condition}", *arguments)):
        if time.monotonic() > end:
            break
        time.sleep(0.05)
    return bool(found)


def wait_for(driver, condition, *arguments):
    assert comes_true(driver, 120, condition, *arguments), f"it never came true that {condition}"


def open_page(driver, address, page, width):
    driver.switch_to.default_content()
    driver.get(f"{address}/{WIDTHS[width]}{page}")
    if WIDTHS[width]:
        driver.switch_to.frame(0)
    wait_for(driver, "document.readyState === 'complete' && !!window.problems")


def figure_of(driver, name):
    """The figure of an explorable that plays."""
    figure = driver.execute_script(
        "const figure = document.querySelector(`figure.explorable[data-name=${arguments[0]}]`);"
        "figure.scrollIntoView(); return figure;",
        name,
    )
    wait_for(driver, "!!arguments[0].player", figure)
    return figure


def seen(driver, figure):
    """The picture and the sentence, once the browser has decoded images and drawn all."""
    wait_for(driver, "arguments[0].player.drawn.every((d) => d.complete ?? true)", figure)
    return driver.execute_async_script(
        "const [figure, done] = arguments;"
        "requestAnimationFrame(() => setTimeout(() => done(["
        "figure.querySelector('canvas').toDataURL(),"
        "figure.querySelector('[role=status]').textContent])));",
        figure,
    )


def differ(first, second):
    """Two pictures; the same one, drawn twice, may be off at the edges by a little or a pixel."""
    ours, theirs = pixels(first), pixels(second)
    return ours.shape != theirs.shape or (np.abs(ours - theirs).max(2) > 8).sum() > 10


def store(driver, name):
    place = os.environ.get("SCREENSHOTS")
    if place:
        pathlib.Path(place).mkdir(parents=True, exist_ok=True)
        driver.save_screenshot(str(pathlib.Path(place) / f"{driver.name_of_engine}_{name}.png"))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", NAMES)
def test_controls_move_by_keyboard_and_reset_returns(driver, address, name, width):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    keys = {
        "range": (Keys.HOME, Keys.END, Keys.ARROW_LEFT),
        "select-one": (Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_UP),
        "checkbox": (Keys.SPACE, Keys.SPACE),
    }
    open_page(driver, address, page_of(name), width)
    figure = figure_of(driver, name)
    recording = player.recording_of(name)
    inputs = figure.find_elements(By.CSS_SELECTOR, "input, select")
    assert len(inputs) == len(recording["controls"])
    reset = next(b for b in figure.find_elements(By.TAG_NAME, "button") if b.text == "Reset")
    picture, sentence = seen(driver, figure)
    store(driver, f"{name}_{width}")
    for k, control in enumerate(inputs):
        moved = []
        for key in keys[control.get_property("type")]:
            control.send_keys(key)
            moved.append(seen(driver, figure))
        label = recording["controls"][k]["label"]
        alone = changes(recording, k)
        if alone.pictures:
            assert any(differ(picture, now) for now, _ in moved), f"{label}: the picture stays"
        if alone.sentences:
            assert any(sentence != now for _, now in moved), f"{label}: the sentence stays"
        reset.send_keys(Keys.ENTER)
        now, text = seen(driver, figure)
        assert text == sentence and not differ(picture, now), f"{label}: Reset does not return"

    for button in figure.find_elements(By.TAG_NAME, "button"):
        if button.text == "Play":
            slider = button.find_element(By.XPATH, "following-sibling::input")
            slider.send_keys(Keys.HOME)
            button.send_keys(Keys.ENTER)
            wait_for(driver, "+arguments[0].value > 0", slider)
            button.send_keys(Keys.ENTER)
            assert button.text == "Play"

    reset.send_keys(Keys.ENTER)
    driver.execute_script("document.documentElement.dataset.theme = 'dark'")
    dark, same = seen(driver, figure)
    assert differ(dark, picture) and same == sentence
    store(driver, f"{name}_{width}_dark")
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    assert driver.execute_script("return problems") == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("number", ["02", "15"])
def test_formulas_are_set_in_their_fonts(driver, address, number, width):
    open_page(driver, address, f"notebooks/{READY[number].name}.html", width)
    wait_for(driver, "document.fonts.status === 'loaded'")
    heights = driver.execute_script(
        "const shown = [...document.querySelectorAll('.katex-html')];"
        "shown.find((e) => e.closest('.katex-display')).scrollIntoView({block: 'center'});"
        "return shown.map((e) => e.getBoundingClientRect().height).filter((height) => height)"
    )
    assert len(heights) > 20 and min(heights) > 8
    fonts = "[...document.fonts].filter((f) => f.status === 'loaded').map((f) => f.family)"
    assert "KaTeX_Math" in str(driver.execute_script(f"return {fonts}"))
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    assert driver.execute_script("return problems") == []
    store(driver, f"formulas_{number}_{width}")


@pytest.fixture(scope="module")
def lab():
    """A JupyterLab with all of a notebook in the page."""
    lessons = [ROOT / "notebooks" / READY[number].notebook for number in IN_THE_LAB]
    with jupyterlab(lessons, {"notebook-extension/tracker": {"windowingMode": "none"}}) as running:
        yield running


def focus(driver, control):
    """JupyterLab, as it selects the cell of a control, may first give the keyboard to the cell."""
    for _ in range(20):
        driver.execute_script("arguments[0].focus()", control)
        time.sleep(0.1)
        if driver.execute_script("return document.activeElement === arguments[0]", control):
            return
    raise AssertionError("the control does not keep the keyboard focus")


@pytest.mark.parametrize("number", IN_THE_LAB)
def test_a_lesson_in_jupyterlab(driver, lab, number):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    status = "jupyterapp.shell.currentWidget.sessionContext.session.kernel.status"
    driver.get(f"{lab.url}/doc/tree/{READY[number].notebook}?token={lab.token}")
    wait_for(driver, f"window.{status.replace('.', '?.')} === 'idle'")
    driver.set_script_timeout(120)
    driver.execute_async_script(
        "jupyterapp.commands.execute('notebook:run-all-cells').then(arguments[0])"
    )
    wait_for(driver, f"{status} === 'idle' && !!document.querySelector('.explorable img')")
    time.sleep(2)  # until JupyterLab has laid out what it shows
    # With each change a picture and a sentence of ipywidgets may be new elements.
    src = "arguments[0].querySelector('img').src"
    said = "arguments[0].querySelector('[role=status]').textContent"
    for place, panel in enumerate(driver.find_elements(By.CSS_SELECTOR, ".explorable")):
        reset = panel.find_element(By.XPATH, ".//button[contains(., 'Reset')]")
        driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", panel)
        focus(driver, reset)
        reset.send_keys(Keys.ENTER)
        time.sleep(1)
        first = driver.execute_script(f"return {said}", panel)
        store(driver, f"lab_{number}_{place}")
        before = driver.execute_script(f"return {src}", panel)
        changed = f"{src} !== arguments[1]"
        for handle in panel.find_elements(By.CLASS_NAME, "noUi-handle"):
            moved = []
            for key in (Keys.ARROW_UP, Keys.ARROW_DOWN, Keys.ARROW_DOWN):  # it may be at its end
                focus(driver, handle)
                handle.send_keys(key)
                moved.append(comes_true(driver, 10, changed, panel, before))
            assert any(moved), f"{handle.get_attribute('aria-valuetext')} of {number}, {place}"
            focus(driver, reset)
            reset.send_keys(Keys.ENTER)
            wait_for(driver, f"{said} === arguments[1]", panel, first)
        # JupyterLab takes the arrow keys of a closed list for itself; Chromium's tests open it.
        for control in panel.find_elements(By.TAG_NAME, "select"):
            options = control.find_elements(By.TAG_NAME, "option")
            next(option for option in options if not option.is_selected()).click()
            wait_for(driver, f"{said} !== arguments[1]", panel, first)
            focus(driver, reset)
            reset.send_keys(Keys.ENTER)
            wait_for(driver, f"{said} === arguments[1]", panel, first)
