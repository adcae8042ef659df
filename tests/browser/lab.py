"""A real JupyterLab in a headless Chromium: start it on a copy of notebooks, run them, move
controls, listen.

    with jupyterlab([path]) as lab, browser() as chromium:
        page = open_notebook(chromium, lab, path.name)
        run_all(page)
        panel = explorables(page).first
        times = press_keys(page, panel, "ArrowRight", 20)

What a test would otherwise miss, and is looked for here: a kernel that an unknown kernelspec was
silently replaced by, errors in widget callbacks (they reach the page as messages at most), texts
that windowing keeps out of the page.
"""

import contextlib
import json
import os
import pathlib
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[2]
CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
SETTINGS = {  # no news, no updates, no tour
    "apputils-extension/notification": {
        "checkForUpdates": False,
        "fetchNews": "false",
        "doNotDisturbMode": True,
    },
}
HARMLESS = (
    "Could not restore the debugger state",
    "No such comm target registered: jupyter.widget.control",
    "No such comm: ",
    "'_control_lock' trait",  # ipykernel 6, now and then while it starts
)  # said by JupyterLab and the kernel themselves, when a kernel is restarted


class Lab(NamedTuple):
    """A running JupyterLab: its address, token, and the folder that holds the copied notebooks."""

    url: str
    token: str
    folder: pathlib.Path


@contextlib.contextmanager
def jupyterlab(notebooks, settings=None, timeout=60):
    """Start JupyterLab in a temporary folder with copies of `notebooks`; stop it and remove the
    folder at the end.

    `settings` maps "notebook-extension/tracker" and the like to user settings, over SETTINGS.
    """
    with tempfile.TemporaryDirectory(prefix="lab") as place:
        place = pathlib.Path(place)
        folder = place / "notebooks"
        folder.mkdir()
        for notebook in notebooks:
            shutil.copy(notebook, folder)
        for plugin, values in {**SETTINGS, **(settings or {})}.items():
            path = place / "settings" / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))
        token, port = secrets.token_hex(8), _free_port()
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
            "JUPYTER_CONFIG_DIR": str(place / "config"),
            "JUPYTER_RUNTIME_DIR": str(place / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(place / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(place / "workspaces"),
            "IPYTHONDIR": str(place / "ipython"),
            "JUPYTER_PREFER_ENV_PATH": "1",
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }  # else the debugger warns on stderr when a kernel starts slowly
        log = (place / "log").open("w+")
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "jupyterlab",
                "--no-browser",
                "--allow-root",
                "--expose-app-in-browser",
                f"--ServerApp.port={port}",
                "--ServerApp.port_retries=0",
                f"--IdentityProvider.token={token}",
                f"--ServerApp.root_dir={folder}",
                "--LabApp.extension_manager=readonly",
            ],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        lab = Lab(f"http://127.0.0.1:{port}", token, folder)
        try:
            _wait_for(lab, server, log, timeout)
            yield lab
        finally:
            server.terminate()
            try:
                server.wait(15)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
            log.close()


@contextlib.contextmanager
def browser():
    """A headless Chromium, as a playwright `Browser`."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=chromium_path(), args=["--no-sandbox"]
        )
        try:
            yield chromium
        finally:
            chromium.close()


def chromium_path():
    """Return the path of an installed Chromium, or None."""
    return next(
        (path for path in (os.environ.get("CHROMIUM"), *CHROMIUM) if path and os.path.exists(path)),
        None,
    )


def open_notebook(chromium, lab, name, width=1366, height=900, theme="light"):
    """Return a page with the notebook open and its kernel ready. `page.problems` collects console
    and page errors.
    """
    page = chromium.new_page(viewport={"width": width, "height": height}, color_scheme=theme)
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(f"page error: {error}"))
    page.on(
        "console",
        lambda message: (
            message.type == "error"
            and not _harmless(message.text)
            and page.problems.append(
                f"console: {message.text} ({message.location.get('url', '')[:100]})"
            )
        ),
    )
    # The network is not there in a test: badges, the only things that lessons take from it, are
    # answered here.
    badge = "<svg xmlns='http://www.w3.org/2000/svg' width='110' height='20'/>"
    page.route(
        re.compile("^https:"), lambda route: route.fulfill(content_type="image/svg+xml", body=badge)
    )
    page.goto(
        f"{lab.url}/doc/tree/{name}?token={lab.token}"
    )  # /doc: the notebook alone, no side bars
    page.wait_for_function(
        "() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status "
        "=== 'idle'",
        timeout=60_000,
    )
    page.evaluate("""() => {
        window.kernelMessages = [];
        jupyterapp.shell.currentWidget.sessionContext.iopubMessage.connect((_, message) => {
            const {header, content} = message;
            const warns = header.msg_type === 'stream' && content.name === 'stderr';
            if (header.msg_type === 'error' || warns)
                window.kernelMessages.push(content.text ?? `${content.ename}: ${content.evalue}`);
        });
    }""")
    kernel = page.evaluate(
        "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.name"
    )
    assert kernel == "python3", f"the notebook opened with kernel {kernel!r}"
    return page


def run_all(page, timeout=180_000):
    """Restart the kernel, run all cells, wait for the end, and return the execution counts of the
    code cells.
    """
    page.evaluate("""async () => {
        // the server keeps a notebook's kernel
        await jupyterapp.shell.currentWidget.sessionContext.restartKernel();
        await jupyterapp.commands.execute('notebook:run-all-cells');
    }""")
    wait_until_idle(page, timeout)
    return page.evaluate("""() => Array.from(jupyterapp.shell.currentWidget.content.model.cells)
        .filter(cell => cell.type === 'code').map(cell => cell.executionCount)""")


def wait_until_idle(page, timeout=30_000):
    """Wait until the kernel has nothing to do, at most `timeout` milliseconds."""
    page.wait_for_function(
        "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'",
        timeout=timeout,
    )


def cell_outputs(page):
    """Return the outputs of all code cells as in the file, from the notebook's model: windowing
    hides none of them.
    """
    return page.evaluate("""() => Array.from(jupyterapp.shell.currentWidget.content.model.cells)
        .filter(cell => cell.type === 'code').map(cell => cell.toJSON().outputs)""")


def kernel_messages(page):
    """Return what the kernel wrote to stderr or raised since the notebook was opened."""
    return [text for text in page.evaluate("() => window.kernelMessages") if not _harmless(text)]


def explorables(page):
    """Return a locator of all live explorables."""
    return page.locator(".explorable")


def caption(panel):
    """Return the sentence under an explorable's picture."""
    return panel.locator("[role=status]").text_content()


def focus(page, control):
    """Give a control the keyboard. JupyterLab, as it selects the control's cell, may first give it
    to another one.
    """
    control.scroll_into_view_if_needed()
    for _ in range(20):
        control.focus()
        page.wait_for_timeout(100)
        if control.evaluate("control => document.activeElement === control"):
            return
    raise AssertionError("the control does not keep the keyboard focus")


def press_keys(page, panel, key, times, pause_ms=0, slider=0, settle_s=1.0):
    """Focus a slider's handle, press `key` several times, and say what the learner sees.

    Without a pause each press waits for the new picture. Returns a dict with, in milliseconds:
    `latencies` (one per new picture: from the last key before it), `after_last` (from the last key
    to the last picture), and `pictures`, the number of pictures shown.
    """
    focus(page, panel.locator(".noUi-handle").nth(slider))
    panel.locator("img").evaluate("""image => {
        window.seen?.stop.abort();  // else an earlier call would go on counting
        window.seen = {keys: [], pictures: [], stop: new AbortController()};
        const signal = window.seen.stop.signal;
        const key = () => window.seen.keys.push(performance.now());
        document.addEventListener('keydown', key, {capture: true, signal});
        const picture = () => window.seen.pictures.push(performance.now());
        image.addEventListener('load', picture, {signal});
    }""")
    for _ in range(times):
        before = page.evaluate("() => window.seen.pictures.length")
        page.keyboard.press(key)
        if pause_ms:
            page.wait_for_timeout(pause_ms)
        else:
            page.wait_for_function(
                "n => window.seen.pictures.length > n", arg=before, polling=5, timeout=10_000
            )
    count, since = -1, time.monotonic()
    while time.monotonic() - since < settle_s:  # until no new picture has come for a while
        now = page.evaluate("() => window.seen.pictures.length")
        count, since = (now, time.monotonic()) if now != count else (count, since)
        page.wait_for_timeout(20)
    wait_until_idle(page)
    keys, pictures = page.evaluate("() => [window.seen.keys, window.seen.pictures]")
    latencies = [picture - max(key for key in keys if key <= picture) for picture in pictures]
    return {
        "latencies": latencies,
        "after_last": pictures[-1] - keys[-1],
        "pictures": len(pictures),
    }


def _harmless(text):
    return any(known in text for known in HARMLESS)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(lab, server, log, timeout):
    """Wait until the server answers, or raise with its log."""
    end = time.monotonic() + timeout
    while time.monotonic() < end and server.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{lab.url}/api?token={lab.token}", timeout=2).close()
            return
        time.sleep(0.2)
    log.seek(0)
    raise RuntimeError(f"JupyterLab did not start within {timeout} s:\n{log.read()[-2000:]}")
