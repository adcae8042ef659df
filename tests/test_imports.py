"""What ``import node_tutorial`` costs. Who may import whom is in pyproject.toml."""

import ast
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "node_tutorial"


def imports(file: Path, *, at_import_only: bool = False) -> set[str]:
    """The names that ``file`` imports; those of its own package begin with a dot."""
    tree = ast.parse(file.read_text("utf-8"))
    found = set()
    for node in tree.body if at_import_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def test_the_import_rules_of_pyproject_are_kept():
    """The contracts of import-linter; its report is the message."""
    code = "from importlinter.cli import lint_imports_command as lint; lint()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache", "--no-logo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_imports_pyplot_the_lessons_or_the_tests():
    """pyplot's current figure is not that of a widget; import-linter sees no part of a library."""
    wrong = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in sorted(PACKAGE.rglob("*.py"))
        for name in sorted(imports(file))
        if "pyplot" in name.split(".") or name.split(".")[0] in ("notebooks", "tests", "benchmarks")
    ]
    assert not wrong, "\n".join(wrong)


def test_the_command_line_imports_only_the_standard_library_at_first():
    for name in ("cli", "__main__"):
        others = {
            module
            for module in imports(PACKAGE / f"{name}.py", at_import_only=True)
            if module.split(".")[0] not in sys.stdlib_module_names
        }
        assert others <= {".cli.main"}, f"{name}.py imports {others}"


def test_import_node_tutorial_is_light_and_takes_little_longer_than_import_torch():
    """The times are those of the processor, the smallest of three: other work does not count."""
    code = """
import json, sys, time
start = time.process_time(); import torch
middle = time.process_time(); import node_tutorial
spent = time.process_time() - middle
print(json.dumps({"ratio": spent / (middle - start), "loaded": sorted(sys.modules)}))
"""
    command = [sys.executable, "-c", code]
    runs = [json.loads(subprocess.check_output(command, text=True)) for _ in range(3)]
    loaded = set(runs[0]["loaded"])
    assert "node_tutorial.solvers.odeint" in loaded
    assert not {"ipywidgets", "matplotlib", "IPython", "scipy", "sklearn"} & loaded
    assert min(run["ratio"] for run in runs) < 0.25
