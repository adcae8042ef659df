"""Who may import whom, and what ``import node_tutorial`` costs."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "node_tutorial"
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
# A module may import from its own layer and from those before it. Files of solvers/ that are
# not named here are methods and parts of the loop: they stand between the step and the door.
LAYERS = [
    ["solvers.tableaus"],
    ["solvers.runge_kutta", "solvers.control"],
    ["solvers"],
    ["solvers.odeint"],
    ["gradients"],
    ["models"],
    ["training"],
]


def below(module: str, names: list[str]) -> bool:
    return any(f"{module}.".startswith(f"node_tutorial.{name}.") for name in names)


def layer(module: str) -> int | None:
    matches = [
        (len(name), number)
        for number, names in enumerate(LAYERS)
        for name in names
        if below(module, [name])
    ]
    return max(matches)[1] if matches else None


def imports(module: str, *, at_import_only: bool = False) -> set[str]:
    """Absolute names of what ``module`` imports; names of this package as its modules."""
    tree = ast.parse(MODULES[module].read_text("utf-8"))
    nodes = tree.body if at_import_only else ast.walk(tree)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                drop = node.level - (MODULES[module].name == "__init__.py")
                parts = parts[: len(parts) - drop]
                base = ".".join([*parts, base] if base else parts)
            for alias in node.names:
                name = f"{base}.{alias.name}"
                # a name that is no module: a function of ``base``, or any name of another package
                inside = base.split(".")[0] == "node_tutorial"
                found.add(base if inside and name not in MODULES else name)
    return found


def ours(names: set[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] == "node_tutorial"}


@pytest.mark.parametrize("module", [name for name in MODULES if layer(name) is not None])
def test_imports_come_from_the_own_layer_or_one_before_it(module):
    mine = layer(module)
    for name in ours(imports(module)):
        theirs = layer(name)
        assert theirs is not None, f"{module} imports {name}, which is in no layer"
        assert theirs <= mine, f"{module} imports {name}, which comes after it"


def test_no_two_modules_import_each_other():
    graph = {module: ours(imports(module, at_import_only=True)) - {module} for module in MODULES}
    for module in graph:  # a package's __init__ gathers its parts: they may ask it for nothing
        if MODULES[module].name == "__init__.py":
            graph[module] = {name for name in graph[module] if name.startswith(f"{module}.")}
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_plotting_imports_nothing_else_of_ours():
    for module in MODULES:
        if below(module, ["plotting"]):
            others = {name for name in ours(imports(module)) if not below(name, ["plotting"])}
            assert not others, f"{module} imports {others}"


def test_only_course_and_lessons_import_widgets():
    for module in MODULES:
        if not below(module, ["course", "lessons"]):
            assert not any(name.split(".")[0] == "ipywidgets" for name in imports(module)), module


@pytest.mark.parametrize("module", MODULES)
def test_nothing_imports_pyplot_the_lessons_or_the_tests(module):
    for name in imports(module):
        assert "pyplot" not in name.split("."), f"{module} imports {name}"
        assert name.split(".")[0] not in ("notebooks", "tests", "benchmarks"), module
    assert "import pyplot" not in MODULES[module].read_text("utf-8")


def test_the_command_line_imports_only_the_standard_library_at_first():
    for module in ("node_tutorial.cli", "node_tutorial.__main__"):
        for name in imports(module, at_import_only=True) - {"node_tutorial.cli.main"}:
            assert name.split(".")[0] in sys.stdlib_module_names or name == "node_tutorial.cli"


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_import_node_tutorial_loads_neither_widgets_nor_matplotlib():
    loaded = python("import sys, node_tutorial; print(*sys.modules)").split()
    assert "node_tutorial.solvers.odeint" in loaded
    assert not {"ipywidgets", "matplotlib", "IPython"} & set(loaded)


def test_import_node_tutorial_takes_little_longer_than_import_torch():
    code = """
import time
start = time.perf_counter(); import torch
middle = time.perf_counter(); import node_tutorial
print((time.perf_counter() - middle) / (middle - start))
"""
    assert min(float(python(code)) for _ in range(3)) < 0.25
