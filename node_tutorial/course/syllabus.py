"""The lessons of the course, each once: number, stem, title, part, what it needs, what it is about.

README's table, the links from lesson to lesson, the contents of the site and the lecturers' table
are made from this, or compared with it. A lesson is ready when its folder `lessons/<stem>/` exists.
The site is built where the package is not installed, so this file imports nothing but Python's own.
"""

import re
from pathlib import Path
from typing import NamedTuple

__all__ = ["PARTS", "READY", "SYLLABUS", "Lesson", "neighbors", "read", "write"]

LESSONS = Path(__file__).parents[1] / "lessons"
REPOSITORY = "https://github.com/node-tutorial/node_tutorial"

# Two lines for each lesson, below the name of its part: "number stem: title (needs ...)", where the
# stem is the name of its folder and of its notebook; then what it is about, for README's table.
TEXT = """
Part I, solving

00 start_here: Start here
    the map, a check of your set-up, how lessons work
01 euler: Euler and residual networks (needs 00)
    a layer is a step
02 runge_kutta: Runge-Kutta (needs 01)
    order, tableaus, stability
03 adaptive_steps: Adaptive steps (needs 02)
    error estimates, controllers, dense output, events
04 stiffness: Stiffness (needs 03)
    implicit methods, "underflow in dt"

Part II, learning

05 learning_dynamics: Learning dynamics (needs 03)
    a field from noisy, irregular data; windows, trust, tolerance
06 gradients: Gradients (needs 05)
    six ways, what each costs, when one lies
07 ode_nets: ODE-Nets (needs 06)
    real digits: accuracy, parameters, memory, the dial
08 limits_of_flows: What a flow cannot do (needs 07)
    crossing, tunnels, augmentation, penalties
09 physics: Physics that lasts (needs 05)
    energy, symplectic steps, learned mechanics

Part III, generating

10 autoencoders: Autoencoders (needs 00)
    the bound, a gradient through a draw, rate and distortion, three popular mistakes
11 continuous_vae: Continuous-time VAE (needs 05, 10)
    a latent that swings: omega from noisy, irregular data; what data cannot tell
12 latent_ode: Latent ODE and ODE-RNN (needs 06, 11)
    irregular series: bands, gaps, what comes next, events
13 motion: Motion (needs 12)
    limit cycles, gaits, a figure that walks
14 normalizing_flows: Normalizing flows (needs 10)
    a density by change of variables, layer by layer; quality in nats
15 continuous_flows: Continuous normalizing flows (needs 06, 14)
    the trace, its estimate, and a likelihood too good to be true
16 diffusion: Diffusion (needs 15)
    scores, samplers, what a solver costs
17 flow_matching: Flow matching (needs 16)
    straight paths, couplings, reflow
18 gans_and_autoregression: GANs and autoregressive models (needs 10)
    a game that spirals, a likelihood without a flow
19 scoreboard: Scoreboard (needs 17, 18)
    all families, with the same data, metric and budget

Part IV, further

20 fractional_orders: Fractional orders (needs 02)
    equations with a memory
21 beyond_one_machine: Beyond one machine (needs 07)
    devices, precision, many processes
22 network_as_solution: A network as the solution (needs 03)
    physics-informed nets, and when not to use one
23 forecasts: Forecasts and alarms (needs 12)
    real series, honest baselines, anomalies
24 controlled_equations: Controlled and stochastic equations (needs 12)
    a path as input, noise that drives
"""


class Lesson(NamedTuple):
    """One lesson.

    number: "00", "01", ...
    stem: the name of its folder and, behind the number, of its notebook.
    title: as its first line has it, without the number.
    part: a key of `PARTS`.
    needs: numbers of the lessons that come before it.
    about: a few words for README's table.
    """

    number: str
    stem: str
    title: str
    part: str
    needs: tuple[str, ...]
    about: str

    @property
    def name(self) -> str:
        """Its number and its stem: the name of its notebook, without the suffix."""
        return f"{self.number}_{self.stem}"

    @property
    def notebook(self) -> str:
        """The file name of its notebook."""
        return f"{self.name}.ipynb"

    @property
    def binder(self) -> str:
        """The address that opens it on Binder."""
        place = "mybinder.org/v2/gh/node-tutorial/node_tutorial/HEAD?urlpath=lab/tree/notebooks"
        return f"https://{place}/{self.notebook}"

    @property
    def colab(self) -> str:
        """The address that opens its copy on Colab (.ci/colab_copies.py)."""
        place = "colab.research.google.com/github/node-tutorial/node_tutorial/blob/colab/notebooks"
        return f"https://{place}/{self.notebook}"

    @property
    def ready(self) -> bool:
        """Whether it exists; the others are planned."""
        return (LESSONS / self.stem).is_dir()


def read(text: str) -> tuple[dict[str, str], dict[str, Lesson]]:
    """Return the parts, "I" -> "Part I, solving", and the lessons by number.

    Raises:
        ValueError: that shows a line that cannot be read, or says what is wrong with a lesson.
    """
    parts: dict[str, str] = {}
    lessons: dict[str, Lesson] = {}
    lines = [line for line in text.splitlines() if line.strip()]
    for line, following in zip(lines, [*lines[1:], ""]):
        if heading := re.fullmatch(r"Part (\w+), .+", line):
            parts[heading[1]] = line
        elif entry := re.fullmatch(r"(\d\d) (\w+): (.+?)(?: \(needs ([\d, ]+)\))?", line):
            number, stem, title, needs = entry.groups(default="")
            needed = tuple(needs.split(", ")) if needs else ()
            about = following.strip() if following.startswith("    ") else ""
            part = next(reversed(parts), "")
            _refuse_what_does_not_fit(number, stem, part, needed, about, lessons)
            lessons[number] = Lesson(number, stem, title, part, needed, about)
        elif not line.startswith("    "):
            raise ValueError(
                f"course/syllabus.py: {line!r} is neither 'Part X, name' nor a lesson, as in "
                "'15 continuous_flows: Continuous normalizing flows (needs 06, 14)'"
            )
    return parts, lessons


def _refuse_what_does_not_fit(
    number: str,
    stem: str,
    part: str,
    needs: tuple[str, ...],
    about: str,
    before: dict[str, Lesson],
) -> None:
    problem = ""
    if not part:
        problem = "stands before the first part"
    elif before and number <= next(reversed(before)):
        problem = f"comes after {next(reversed(before))}; lessons stand in order, each once"
    elif stem in {lesson.stem for lesson in before.values()}:
        problem = f"has the stem {stem!r} of another lesson"
    elif unknown := [need for need in needs if need not in before]:
        problem = f"needs {', '.join(unknown)}, which does not stand before it"
    elif not about:
        problem = "has no second line, indented by four spaces, that says what it is about"
    if problem:
        raise ValueError(f"course/syllabus.py: lesson {number} {problem}")


def write(parts: dict[str, str], lessons: dict[str, Lesson]) -> str:
    """The text that `read` takes apart."""
    text = ""
    for part, name in parts.items():
        text += f"\n{name}\n\n"
        for number, stem, title, its_part, needs, about in lessons.values():
            if its_part == part:
                needed = f" (needs {', '.join(needs)})" if needs else ""
                text += f"{number} {stem}: {title}{needed}\n    {about}\n"
    return text


PARTS, SYLLABUS = read(TEXT)
READY: dict[str, Lesson] = {number: lesson for number, lesson in SYLLABUS.items() if lesson.ready}


def neighbors(number: str) -> tuple[Lesson | None, Lesson | None]:
    """The lessons before and after lesson `number` among those that are ready; None at the ends."""
    before = [lesson for other, lesson in READY.items() if other < number]
    after = [lesson for other, lesson in READY.items() if other > number]
    return (before[-1] if before else None), (after[0] if after else None)
