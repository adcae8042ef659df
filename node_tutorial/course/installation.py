"""`node-tutorial check`: is everything here that the lessons need, and does it work together?"""

import platform
import shutil
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["check"]

DISTRIBUTIONS = (
    *("node-tutorial", "torch", "torchdiffeq", "numpy", "scipy", "scikit-learn", "statsmodels"),
    *("matplotlib", "ipywidgets", "jupyterlab-widgets", "ipykernel", "jupyterlab"),
)
WIDGETS = {"ipywidgets": 8, "jupyterlab-widgets": 3}  # the major versions that fit together


def check(lessons: Path) -> int:
    """Print what is installed, where the lessons are, and what is wrong; the number of problems."""
    print(f"Python {platform.python_version()}, {platform.platform()}")
    for name in DISTRIBUTIONS:
        print(f"  {name:<20}{_version(name) or 'not installed'}")
    problems = _check_solver() + _check_widgets() + _check_kernel()
    print(f"lessons: {lessons}")
    for problem in problems:
        print(f"PROBLEM: {problem}")
    print("Not ready yet." if problems else "Everything is ready.")
    return len(problems)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _check_solver() -> list[str]:
    try:
        import torch

        from ..solvers.odeint import solve
    except (ImportError, OSError) as error:  # OSError: a library that torch needs
        return [f'{error}. Type: "{sys.executable}" -m pip install node-tutorial']
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none (none is needed)"
    print(f"threads: {torch.get_num_threads()}, GPU: {gpu}")

    y0 = torch.ones(1, dtype=torch.float64)
    t = torch.linspace(0.0, 1.0, 2, dtype=torch.float64)
    start = time.perf_counter()
    solution = solve(lambda t, y: -y, y0, t, rtol=1e-8, atol=1e-10)
    milliseconds = 1000 * (time.perf_counter() - start)
    off = float((solution.y[-1] - torch.exp(-t[-1])).abs())
    nfe = solution.stats.nfe
    print(f"solve y' = -y to t = 1: {milliseconds:.1f} ms, {nfe} evaluations, error {off:.1e}")
    return [] if off < 1e-6 else ["the solver is inaccurate: install node_tutorial anew"]


def _check_widgets() -> list[str]:
    kernel = _version("ipykernel")
    if kernel is None or _version("jupyterlab") is None:
        print(f'no JupyterLab here; for it: "{sys.executable}" -m pip install "node-tutorial[lab]"')
        return []
    problems = []
    for name, major in WIDGETS.items():
        found = _version(name)
        if found is None or int(found.split(".")[0]) != major:
            problems.append(
                f"widgets will not display: {name} is {found or 'missing'}, version {major} is "
                f'needed. Type: "{sys.executable}" -m pip install "{name}=={major}.*"'
            )
    if int(kernel.split(".")[0]) >= 7 and not _comms_on_main_thread():
        problems.append(
            "ipykernel 7 draws widgets' figures in a second thread, which can spoil them. "
            f'Type: "{sys.executable}" -m pip install "ipykernel<7"'
        )
    return problems


def _check_kernel() -> list[str]:
    """Does the kernel with which lessons start belong to a Python that is there?"""
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ImportError:  # then there is no JupyterLab either, which was said
        return []
    try:
        kernel = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        return [
            "lessons cannot start: there is no kernel 'python3'. "
            f'Type: "{sys.executable}" -m pip install ipykernel'
        ]
    python = kernel.argv[0] if kernel.argv else ""
    if shutil.which(python) is None:
        return [
            f"lessons cannot start: the kernel in {kernel.resource_dir} is for {python!r}, which "
            f'is not there. Type: "{sys.executable}" -m jupyter kernelspec remove python3'
        ]
    print(f"kernel: {python}")
    return []


def _comms_on_main_thread() -> bool:
    """Is the setting that ships with the lessons in effect for every JupyterLab here?"""
    from jupyter_server.services.config import ConfigManager

    defaults = ConfigManager(config_dir_name="labconfig").get("default_setting_overrides")
    kernels = defaults.get("@jupyterlab/apputils-extension:kernels-settings", {})
    return kernels.get("commsOverSubshells") == "disabled"
