"""The machinery of explorables, on made-up ones, without a browser."""

import base64
import gc
import json
import threading
import weakref

import pytest
import torch

widgets = pytest.importorskip("ipywidgets")
from ipywidgets.widgets import widget as all_widgets  # noqa: E402

from node_tutorial import explore  # noqa: E402
from node_tutorial.course import explorables  # noqa: E402
from node_tutorial.explore import (  # noqa: E402
    Explorable,
    choice,
    explorable,
    log_slider,
    play,
    power_slider,
    slider,
    toggle,
)

# Every open widget by its id; ipywidgets 7 keeps them in the class.
LIVING = getattr(all_widgets, "_instances", None)
LIVING = all_widgets.Widget.widgets if LIVING is None else LIVING


def make():
    calls = []

    def compute(h, field="a"):
        calls.append((h, field))
        if h > 0.8:
            raise ValueError("h is <too> large")
        return {"h": h, "field": field, "grad": torch.is_grad_enabled()}

    def draw(fig, data):
        fig.subplots().plot([0, 1], [0, data["h"]])

    panel = Explorable(
        compute,
        draw,
        lambda data: f"h is {data['h']:.2f} in {data['field']}.",
        question="Predict first: h?",
        controls={
            "h": slider("step size h", 0.1, 1.0, 0.5, 0.1),
            "field": choice("field", ["a", "b"]),
        },
    )
    panel.calls = calls
    return panel


def test_nothing_is_computed_before_the_first_look():
    panel = make()
    assert panel.calls == []
    assert panel.text == "h is 0.50 in a." and panel.calls == [(0.5, "a")]


def test_a_control_moved_by_code_updates_text_data_and_picture_at_once():
    panel = make()
    before = panel.png
    panel.controls["h"].value = 0.3
    assert panel.text == "h is 0.30 in a." and panel.data["h"] == 0.3 and panel.png != before
    assert bytes(panel._image.value) == panel.png and "0.30" in panel._caption.value


def test_a_move_before_the_first_look_is_seen():
    panel = make()
    panel.controls["h"].value = 0.3
    assert panel.text == "h is 0.30 in a." and len(panel.calls) == 1


def test_a_display_carries_live_view_picture_and_sentence():
    bundle = make()._repr_mimebundle_()
    assert set(bundle) == {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"}
    assert (
        base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
        and bundle["text/plain"] == "h is 0.50 in a."
    )
    json.dumps(bundle)


def test_the_same_setting_gives_the_same_bytes_and_is_computed_once():
    panel = make()
    first = panel.png
    panel.controls["h"].value = 0.3
    panel.controls["h"].value = 0.5
    assert panel.png == first and panel.calls == [(0.5, "a"), (0.3, "a")]


def test_axes_stay_in_place_when_tick_labels_grow():
    def draw(fig, data):
        ax = fig.subplots()
        ax.plot([0, 1], [0, data])

    panel = Explorable(
        lambda scale: scale, draw, str, {"scale": log_slider("scale", 1e-6, 1e3, 1.0)}, "?"
    )
    panel.evaluate()
    place = panel.figure.axes[0].get_position().bounds
    panel.evaluate(scale=123.4)
    assert panel.figure.axes[0].get_position().bounds == place


def test_a_picture_is_made_in_one_thread_and_without_collections():
    panel = make()
    seen = []

    def compute(h, field):
        seen.append((torch.get_num_threads(), gc.isenabled()))
        if h > 0.8:
            raise ValueError("h is too large")
        return {"h": h, "field": field}

    panel.compute = compute
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        panel.evaluate()
        panel.controls["h"].value = 0.6
        with pytest.raises(ValueError, match="too large"):
            panel.evaluate(h=0.9)
        assert (torch.get_num_threads(), gc.isenabled()) == (2, True)
        gc.disable()
        panel.evaluate(h=0.2)
        assert not gc.isenabled()  # as it was
        assert seen == [(1, False)] * 4
    finally:
        gc.enable()
        torch.set_num_threads(threads)


def test_what_was_loaded_before_the_first_panel_is_not_collected_again():
    make()
    assert gc.get_freeze_count() > 10_000  # torch alone has more objects


def test_reset_returns_to_the_defaults_with_one_redraw():
    panel = make()
    panel.update()
    panel.controls["h"].value, panel.controls["field"].value = 0.3, "b"
    panel._remembered.clear()
    panel.calls.clear()
    panel.reset()
    assert panel.text == "h is 0.50 in a." and panel.calls == [(0.5, "a")]


def test_an_error_is_shown_and_raised_and_the_last_picture_stays():
    panel = make()
    good = panel.png
    with pytest.raises(ValueError, match="large"):
        panel.controls["h"].value = 0.9
    assert (
        "ValueError: h is &lt;too&gt; large" in panel._message.value
        and "h = 0.9" in panel._message.value
    )
    assert panel.png == good and isinstance(panel.error, ValueError)
    panel.controls["h"].value = 0.4
    assert panel.error is None and panel._message.value == "" and panel.text == "h is 0.40 in a."


def test_going_back_after_an_error_clears_the_message():
    panel = make()
    panel.update()
    with pytest.raises(ValueError):
        panel.controls["h"].value = 0.9
    panel.controls["h"].value = 0.5
    assert panel.error is None and panel._message.value == ""


def test_an_error_at_the_first_look_is_raised():
    panel = make()
    with pytest.raises(ValueError):
        panel.start_at(h=0.95).update()


def test_callbacks_run_without_gradients_on_any_thread():
    panel = make()
    worker = threading.Thread(target=lambda: setattr(panel.controls["h"], "value", 0.2))
    worker.start()
    worker.join()
    assert panel.text == "h is 0.20 in a." and panel.data["grad"] is False


def test_many_threads_end_at_the_last_value():
    panel = make()
    workers = [
        threading.Thread(target=setattr, args=(panel.controls["h"], "value", h))
        for h in (0.2, 0.3, 0.4, 0.6)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert panel.text == f"h is {panel.controls['h'].value:.2f} in a."


def test_pyplot_is_never_imported():
    import subprocess
    import sys

    code = (
        "import sys, node_tutorial.explore as e, node_tutorial.plotting; "
        "control = e.slider('h', 0, 1, 0.5, 0.1); "
        "e.Explorable(lambda h: h, lambda f, d: f.subplots(), str, {'h': control}, '?').png; "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_declaration_makes_a_new_panel_at_each_call_and_takes_initial_values():
    demo = explorable(
        lambda h: h,
        lambda fig, data: fig.subplots().plot([0, 1], [0, data]),
        "h is {:.2f}.".format,
        question="Predict first: h?",
        controls={"h": slider("step size h", 0.1, 1.0, 0.5, 0.1)},
    )
    assert demo.__doc__ == "Predict first: h?\n\nThe controls are h."
    panel, other = demo(h=0.3), demo()
    assert panel.text == "h is 0.30." and other.text == "h is 0.50."
    panel.controls["h"].value = 0.6
    assert other.values == {"h": 0.5}
    panel.reset()
    assert panel.values == {"h": 0.3}
    with pytest.raises(TypeError, match="no control named 'step'; the controls are h"):
        demo(step=3)


def test_a_value_that_a_control_cannot_take_is_named_and_changes_nothing():
    panel = make()
    for values, message in (
        ({"field": "nope"}, "field must be one of 'a', 'b', got 'nope'"),
        ({"h": 0.2, "field": "nope"}, "field must be one of 'a', 'b', got 'nope'"),
        ({"h": 7}, r"h must be from 0\.1 to 1, got 7"),
        ({"h": 0.0}, r"h must be from 0\.1 to 1, got 0\.0"),
        ({"h": "a text"}, r"h must be from 0\.1 to 1, got 'a text'"),
    ):
        with pytest.raises(ValueError, match=message):
            panel.start_at(**values)
        assert panel.values == panel.defaults == {"h": 0.5, "field": "a"}
    panel.controls["h"].value = 0.3
    panel.reset()
    assert panel.text == "h is 0.50 in a."


def test_a_slider_over_decades_names_its_range_in_numbers():
    with pytest.raises(ValueError, match=r"rtol must be from 1e-06 to 0\.1, got 1e-09"):
        explore.first_flow(rtol=1e-9)
    with pytest.raises(ValueError, match=r"steps must be one of 1, 2, 4, .*, got 3"):
        explore.euler_polygon(steps=3)
    assert explore.first_flow(rtol=1e-6).values["rtol"] == 1e-6


class Notebook:
    """Stands in for the kernel of a notebook in which cells are run."""

    def __init__(self, monkeypatch):
        self.runs = 0
        self.cell = ""
        self.kernel = self  # what get_ipython() returns has the kernel
        monkeypatch.setattr(explorables, "get_ipython", lambda: self)
        monkeypatch.setattr(explorables, "_SHOWN", {})

    def get_parent(self):
        return {"metadata": {"cellId": self.cell}, "header": {"msg_id": str(self.runs)}}

    def run(self, cell, *panels):
        self.runs += 1
        self.cell = cell
        return [panel._repr_mimebundle_() for panel in panels]


def alive(panel):
    return panel.widget.comm is not None


def test_running_a_cell_again_closes_the_panel_that_it_has_shown(monkeypatch):
    notebook = Notebook(monkeypatch)
    first, second, other, both = make(), make(), make(), make()
    notebook.run("a", first, both)
    notebook.run("b", other, both)
    assert all(map(alive, (first, other, both)))
    notebook.run("a", second)
    assert not alive(first) and all(map(alive, (second, other, both)))
    notebook.run("a", second)  # the same panel, as from a variable
    assert alive(second)
    assert first.text == "h is 0.50 in a." and first.png  # what it was can still be asked for
    assert "application/vnd.jupyter.widget-view+json" not in first._repr_mimebundle_()


@pytest.mark.parametrize("name", explore.EXPLORABLES)
def test_a_closed_panel_leaves_no_widget_behind(name):
    before = set(LIVING)
    panel = explore.EXPLORABLES[name]()
    assert len(set(LIVING) - before) > 10
    panel.close()
    assert set(LIVING) == before


def test_running_a_cell_again_and_again_fills_no_memory(monkeypatch):
    notebook = Notebook(monkeypatch)
    panels = []
    for _ in range(4):
        panel = make()
        notebook.run("a", panel)
        panels.append(weakref.ref(panel))
        number = len(LIVING)
    del panel
    gc.collect()
    assert [panel() is None for panel in panels] == [True, True, True, False]
    notebook.run("a", make())
    assert len(LIVING) == number


def test_outside_of_a_notebook_nothing_is_closed():
    first, second = make(), make()
    for panel in (first, second):
        panel._repr_mimebundle_()
    assert alive(first) and alive(second)


def test_what_is_connected_moves_other_controls_before_the_picture_is_redrawn():
    seen = []

    def connect(panel):
        def follow(change):
            panel.start_at(b=change["new"])

        panel.controls["a"].observe(follow, names="value")

    demo = explorable(
        lambda a, b: seen.append((a, b)) or (a, b),
        lambda fig, data: fig.subplots().plot(data),
        str,
        question="Predict first: b?",
        controls={"a": slider("a", 0, 1, 0.5, 0.1), "b": slider("b", 0, 1, 0.5, 0.1)},
        connect=connect,
    )
    panel = demo()
    assert panel.text == "(0.5, 0.5)"
    panel.controls["a"].value = 0.2
    assert panel.text == "(0.2, 0.2)" and seen == [(0.5, 0.5), (0.2, 0.2)]


def test_an_unknown_explorable_is_answered_by_the_list():
    with pytest.raises(AttributeError, match="no explorable is named 'nothing'"):
        _ = explore.nothing


def test_controls_hold_numbers_not_exponents_and_report_when_released():
    tolerance = log_slider("rtol", 1e-9, 1e-2, 1e-5)()
    assert (tolerance.value, tolerance.min, tolerance.max) == pytest.approx((1e-5, -9, -2))
    assert power_slider("N", 4, 64, 16)().options == (4, 8, 16, 32, 64)
    assert choice("field", {"pendulum": 3, "spring": 4}, value=4)().value == 4
    assert toggle("arrows", True)().value is True
    frames = play("frame", 10)()
    assert frames.max == 9 and frames.row.children[1] is frames
    for control in (tolerance, frames, slider("h", 0, 1, 0.5, 0.1)()):
        assert control.continuous_update is False and control.style.description_width == "initial"
