"""Browser tests are slow (a real JupyterLab) and run only when asked for: pytest tests/browser
--browser
"""

import contextlib
import importlib.util
import os
import pathlib
import re

import pytest


def pytest_addoption(parser):
    parser.addoption(
        "--browser", action="store_true", help="run the tests that drive JupyterLab in Chromium"
    )


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "browser: drives a real JupyterLab in Chromium, run with --browser"
    )


@pytest.fixture(autouse=True)
def _browser_wanted_and_there(request):
    if request.node.get_closest_marker("browser") is None:
        return
    # Started from the root of the repository, pytest reads this file too late to know the option.
    if not request.config.getoption("--browser", default=False):
        pytest.skip("run with: pytest tests/browser --browser")


@pytest.fixture(scope="session")
def chromium():
    """A running headless Chromium for all browser tests."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("playwright is not installed: pip install playwright")
    from .lab import browser, chromium_path

    if chromium_path() is None:
        pytest.skip("no Chromium found: install it, or set the variable CHROMIUM to its path")
    with browser() as running:
        yield running


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Of a failed test, keep what the page showed, in SCREENSHOTS or browser_failures."""
    report = yield
    page = item.funcargs.get("page") if hasattr(item, "funcargs") else None
    if report.failed and page is not None:
        folder = pathlib.Path(os.environ.get("SCREENSHOTS", "browser_failures"))
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{re.sub('[^A-Za-z0-9]+', '_', item.name)}.png"
        with contextlib.suppress(Exception):  # the page itself may be what broke
            page.screenshot(path=path)
            report.sections.append(("screenshot", str(path)))
    return report
