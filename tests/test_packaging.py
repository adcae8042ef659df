"""The files around the package agree with each other."""

import ast
import json
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
ZERO = Version("0")
CONDA_NAMES = {"torch": "pytorch-cpu", "matplotlib": "matplotlib-base"}


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def table(name: str) -> str:
    """The lines of one list of pyproject.toml (Python 3.10 has no reader of TOML)."""
    found = re.search(rf"^{name} = \[\n(.*?)^\]", read("pyproject.toml"), re.MULTILINE | re.DOTALL)
    assert found, f"pyproject.toml has no list {name}"
    return found[1]


def requirements(name: str) -> list[Requirement]:
    return [Requirement(text) for text in re.findall(r'^ *"(.*)",', table(name), re.MULTILINE)]


def project_version() -> str:
    found = re.search(r'^version = "(.*)"', read("pyproject.toml"), re.MULTILINE)
    assert found
    return found[1]


ALL = [
    requirement
    for name in ("dependencies", "lab", "test", "browser", "site")
    for requirement in requirements(name)
    if requirement.name != "node-tutorial"
]


def pins(name: str) -> list[Requirement]:
    """The lines of a file of constraints."""
    lines = read(name).splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


CONSTRAINTS = pins("constraints.txt")


def test_one_constraint_pins_each_requirement_within_its_bounds():
    wrong = []
    for python in PYTHONS:
        for requirement in ALL:
            its = [
                constraint
                for constraint in CONSTRAINTS
                if constraint.name == requirement.name
                and (
                    not constraint.marker or constraint.marker.evaluate({"python_version": python})
                )
            ]
            specifiers = [str(specifier) for pin in its for specifier in pin.specifier]
            one = len(specifiers) == 1 and specifiers[0].startswith("==")
            if not one or not requirement.specifier.contains(specifiers[0].removeprefix("==")):
                wrong.append(f"Python {python}: {requirement} is pinned by {specifiers}")
    assert len(ALL) > 15 and not wrong, "\n".join(["constraints.txt:", *wrong])


def test_binder_installs_each_requirement_in_the_version_of_the_constraints():
    specs = dict(re.findall(r"^ +- ([\w-]+)(.*)$", read("environment.yml"), re.MULTILINE))
    wrong = []
    for requirement in requirements("dependencies") + requirements("lab"):
        spec = specs.get(CONDA_NAMES.get(requirement.name, requirement.name))
        its = [next(iter(c.specifier)).version for c in CONSTRAINTS if c.name == requirement.name]
        if spec is None or not all(
            f"{pin}.".startswith(f"{spec.lstrip('=')}.") for pin in its if spec
        ):
            wrong.append(f"{requirement}: {spec}, pinned to {its}")
    assert not wrong, "\n".join(["environment.yml:", *wrong])


def test_the_oldest_versions_that_are_tried_are_the_lower_bounds():
    """Where two lists ask for one package, both bounds hold: the higher one."""
    bounds: dict[str, Version] = {}
    for name in ("dependencies", "lab", "test"):
        for requirement in requirements(name):
            if requirement.name != "node-tutorial":
                (bound,) = [s.version for s in requirement.specifier if s.operator == ">="]
                bounds[requirement.name] = max(bounds.get(requirement.name, ZERO), Version(bound))
    tried = {pin.name: Version(next(iter(pin.specifier)).version) for pin in pins(".ci/oldest.txt")}
    assert tried == bounds


def test_colab_has_what_the_course_needs():
    tried = {pin.name: next(iter(pin.specifier)).version for pin in pins(".ci/colab.txt")}
    too_old = {
        requirement.name
        for requirement in requirements("dependencies")
        if requirement.name != "torchdiffeq"  # Colab lacks it, and the copies install it
        and not requirement.specifier.contains(tried[requirement.name])
    }
    # The copies install the course without its bounds. .ci/colab tries whether that will do.
    assert too_old == {"torch"}


def test_the_version_is_the_same_everywhere():
    assert f"\nversion: {project_version()}\n" in read("CITATION.cff")
    assigned = [
        ast.literal_eval(node.value)
        for node in ast.parse(read("node_tutorial/__init__.py")).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__"
    ]
    assert assigned == [project_version()]


@pytest.mark.parametrize(
    ("name", "last"), [("open", "node-tutorial open"), ("test", "pytest -n auto --dist loadfile")]
)
def test_readme_has_each_command_on_one_line(name, last):
    found = re.findall(rf"^<!-- command: {name} -->\n```sh\n(.*)\n```$", read("README.md"), re.M)
    assert len(found) == 1
    assert re.search(rf"/{last}( -.*)?$", found[0])
    assert "-c constraints.txt" in found[0]


def test_links_of_the_readme_to_files_lead_somewhere():
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", read("README.md"))
    assert len(targets) > 5
    missing = [target for target in targets if not (ROOT / target).exists()]
    assert not missing


def test_annotations_and_templates_are_in_the_package():
    """The wheel takes all files of this folder; without py.typed no checker reads annotations."""
    assert (ROOT / "node_tutorial" / "py.typed").exists()
    assert len(list((ROOT / "node_tutorial" / "course" / "template").glob("*.txt"))) == 5


def test_the_shipped_jupyterlab_settings_exist_in_jupyterlab():
    shipped = read("node_tutorial/jupyter/labconfig/default_setting_overrides.json")
    application = pytest.importorskip("jupyterlab.commands").get_app_dir()
    for plugin, values in json.loads(shipped).items():
        extension, name = plugin.split(":")
        schema = json.loads((Path(application) / f"schemas/{extension}/{name}.json").read_text())
        for key, value in values.items():
            declared = schema["properties"][key]
            choices = [choice["const"] for choice in declared.get("oneOf", [])]
            assert value in choices if choices else isinstance(value, bool)
