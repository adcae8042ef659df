"""Cut a release: `python .ci/release.py 0.2.0`.

It writes the version where it stands, gives CHANGELOG.md's "Unreleased" section its name and date,
commits, and makes the wheel. The wheel must hold every file of the package and every lesson, and
`node-tutorial check` must pass where nothing else was installed. Only then the commit, the tag and
dist/*.whl come into this checkout; until then all is done in a second work tree, which goes away.
Nothing is uploaded.
"""

import datetime
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parents[1]
UNRELEASED = "## Unreleased\n"
# Where the version stands: a pattern around it.
PLACES = {
    "pyproject.toml": r'(?m)^(version = ")[^"]*(")$',
    "CITATION.cff": r"(?m)^(version: ).*()$",
    "node_tutorial/__init__.py": r'(?m)^(__version__ = ")[^"]*(")$',
}


def git(folder: Path, *arguments: str) -> str:
    """What `git arguments` prints."""
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout.strip()


def release(root: Path, version: str) -> Path:
    """Release what is committed in `root` as `version`; returns the wheel.

    Raises SystemExit if something forbids it, or if the wheel does not work; then nothing has
    changed.
    """
    refuse(root, version)
    before = git(root, "rev-parse", "HEAD")
    with tempfile.TemporaryDirectory() as work:
        tree = Path(work, "tree")
        git(root, "worktree", "add", "--quiet", "--detach", str(tree), before)
        try:
            write_version(tree, version, datetime.date.today())
            git(tree, "commit", "--quiet", "--all", "--message", f"Version {version}")
            commit = git(tree, "rev-parse", "HEAD")
            made = make_wheel(tree, Path(work, "dist"))
            check_contents(tree, made)
            check_installed(tree, made, version, Path(work, "empty"))
            (root / "dist").mkdir(exist_ok=True)
            wheel = root / "dist" / made.name
            wheel.write_bytes(made.read_bytes())
        finally:
            git(root, "worktree", "remove", "--force", str(tree))
    git(root, "merge", "--quiet", "--ff-only", commit)
    git(root, "tag", "--annotate", f"v{version}", "--message", f"Version {version}")
    return wheel


def refuse(root: Path, version: str) -> None:
    """Raise SystemExit if `version` cannot be released from here."""
    if re.fullmatch(r"\d+\.\d+\.\d+", version) is None:
        raise SystemExit(f"A version is three numbers, 0.2.0, not {version!r}.")
    if git(root, "tag", "--list", f"v{version}"):
        raise SystemExit(f"There is a tag v{version} already.")
    last = current_version(root)
    if _numbers(version) <= _numbers(last):
        raise SystemExit(f"{version} is not newer than {last}, which pyproject.toml has.")
    changed = git(root, "status", "--porcelain")
    if changed:
        raise SystemExit(f"First commit, or take away:\n{changed}")
    if not unreleased(root):
        raise SystemExit("CHANGELOG.md says nothing under Unreleased: what is new?")


def current_version(root: Path) -> str:
    """The version that pyproject.toml has: the last one that was released."""
    found = re.search(r'(?m)^version = "(.*)"$', (root / "pyproject.toml").read_text("utf-8"))
    if found is None:
        raise SystemExit("pyproject.toml has no version.")
    return found[1]


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")]


def unreleased(root: Path) -> str:
    """What CHANGELOG.md says under Unreleased; "" if nothing."""
    _, _, rest = (root / "CHANGELOG.md").read_text("utf-8").partition(UNRELEASED)
    return re.split(r"(?m)^## ", rest)[0].strip()


def write_version(root: Path, version: str, date: datetime.date) -> None:
    """Write `version` wherever it stands, and a line with the date above what is new."""
    for name, pattern in PLACES.items():
        file = root / name
        text, count = re.subn(pattern, rf"\g<1>{version}\g<2>", file.read_text("utf-8"))
        if count != 1:
            raise SystemExit(f"{name} has {count} lines with its version, not one.")
        file.write_text(text, "utf-8")
    file = root / "CHANGELOG.md"
    text = file.read_text("utf-8")
    file.write_text(text.replace(UNRELEASED, f"{UNRELEASED}\n## {version}, {date}\n", 1), "utf-8")


def make_wheel(root: Path, target: Path) -> Path:
    """Build the wheel of `root` into the folder `target`."""
    _run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", target, root)
    (wheel,) = target.glob("*.whl")
    return wheel


def check_contents(root: Path, wheel: Path) -> None:
    """Raise SystemExit unless the wheel has every file of the package, and every lesson."""
    with ZipFile(wheel) as archive:
        has = set(archive.namelist())
        missing = []
        for name in git(root, "ls-files", "node_tutorial", "notebooks").splitlines():
            packed = name if name.startswith("node_tutorial/") else f"node_tutorial/{name}"
            if packed not in has or archive.read(packed) != (root / name).read_bytes():
                missing.append(name)
    if missing:
        raise SystemExit("\n".join([f"{wheel.name} lacks, or has otherwise:", *missing]))


def check_installed(root: Path, wheel: Path, version: str, folder: Path) -> None:
    """Raise SystemExit unless `node-tutorial check` passes where only the wheel is installed."""
    _run(sys.executable, "-m", "venv", folder / "environment")
    programs = folder / "environment" / ("Scripts" if os.name == "nt" else "bin")
    constraints = root / "constraints.txt"
    _run(programs / "pip", "install", "--quiet", "-c", constraints, f"{wheel}[lab]")
    _run(programs / "node-tutorial", "check", cwd=folder)
    says = _run(programs / "node-tutorial", "--version", cwd=folder, stdout=subprocess.PIPE)
    if says.split()[-1:] != [version]:
        raise SystemExit(f"What was installed calls itself {says!r}, not {version}.")


def _run(*command: object, **options: object) -> str:
    """Run a program, without a checkout that PYTHONPATH may name."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    arguments = [str(part) for part in command]
    done = subprocess.run(arguments, env=environment, text=True, **options)
    if done.returncode:
        raise SystemExit(f"This failed, and nothing was released: {' '.join(arguments)}")
    return done.stdout or ""


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python .ci/release.py VERSION")
    wheel = release(ROOT, sys.argv[1])
    print(
        f"Version {sys.argv[1]} is committed and tagged here, and {wheel} is its wheel.\n"
        "To publish it: git push --follow-tags, then attach the wheel to the release of that tag."
    )
