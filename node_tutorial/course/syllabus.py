"""The lessons of the course, each once: number, stem, title, part, what it needs, what it is about.

README's table, lesson 00's map, the links from lesson to lesson, the contents of the site and the
lecturers' table are made from this, or compared with it. A lesson is ready when its folder
`lessons/<stem>/` exists.
"""

from pathlib import Path
from typing import NamedTuple

LESSONS = Path(__file__).parents[1] / "lessons"
PARTS = {
    "I": "Part I, solving",
    "II": "Part II, learning",
    "III": "Part III, generating",
    "IV": "Part IV, further",
}


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
    def notebook(self) -> str:
        """The file name of its notebook."""
        return f"{self.number}_{self.stem}.ipynb"

    @property
    def ready(self) -> bool:
        """Whether it exists; the others are planned."""
        return (LESSONS / self.stem).is_dir()


def _lessons(*rows: tuple) -> dict[str, Lesson]:
    return {row[0]: Lesson(*row) for row in rows}


SYLLABUS: dict[str, Lesson] = _lessons(
    (
        "00",
        "start_here",
        "Start here",
        "I",
        (),
        "the map, a check of your set-up, how lessons work",
    ),
    ("01", "euler", "Euler and residual networks", "I", ("00",), "a layer is a step"),
    ("02", "runge_kutta", "Runge-Kutta", "I", ("01",), "order, tableaus, stability"),
    (
        "03",
        "adaptive_steps",
        "Adaptive steps",
        "I",
        ("02",),
        "error estimates, controllers, dense output, events",
    ),
    ("04", "stiffness", "Stiffness", "I", ("03",), 'implicit methods, "underflow in dt"'),
    (
        "05",
        "learning_dynamics",
        "Learning dynamics",
        "II",
        ("03",),
        "a field from noisy, irregular data; windows, trust, tolerance",
    ),
    ("06", "gradients", "Gradients", "II", ("05",), "six ways, what each costs, when one lies"),
    (
        "07",
        "ode_nets",
        "ODE-Nets",
        "II",
        ("06",),
        "real digits: accuracy, parameters, memory, the dial",
    ),
    (
        "08",
        "limits_of_flows",
        "What a flow cannot do",
        "II",
        ("07",),
        "crossing, tunnels, augmentation, penalties",
    ),
    (
        "09",
        "physics",
        "Physics that lasts",
        "II",
        ("05",),
        "energy, symplectic steps, learned mechanics",
    ),
    (
        "10",
        "autoencoders",
        "Autoencoders",
        "III",
        ("00",),
        "the bound, a gradient through a draw, rate and distortion, three popular mistakes",
    ),
    (
        "11",
        "continuous_vae",
        "Continuous-time VAE",
        "III",
        ("05", "10"),
        "a latent that swings: omega from noisy, irregular data; what data cannot tell",
    ),
    (
        "12",
        "latent_ode",
        "Latent ODE and ODE-RNN",
        "III",
        ("06", "11"),
        "irregular series: bands, gaps, what comes next, events",
    ),
    ("13", "motion", "Motion", "III", ("12",), "limit cycles, gaits, a figure that walks"),
    (
        "14",
        "normalizing_flows",
        "Normalizing flows",
        "III",
        ("10",),
        "a density by change of variables, layer by layer; quality in nats",
    ),
    (
        "15",
        "continuous_flows",
        "Continuous normalizing flows",
        "III",
        ("06", "14"),
        "the trace, its estimate, and a likelihood too good to be true",
    ),
    ("16", "diffusion", "Diffusion", "III", ("15",), "scores, samplers, what a solver costs"),
    ("17", "flow_matching", "Flow matching", "III", ("16",), "straight paths, couplings, reflow"),
    (
        "18",
        "gans_and_autoregression",
        "GANs and autoregressive models",
        "III",
        ("10",),
        "a game that spirals, a likelihood without a flow",
    ),
    (
        "19",
        "scoreboard",
        "Scoreboard",
        "III",
        ("17", "18"),
        "all families: same data, metric and budget",
    ),
    ("20", "fractional_orders", "Fractional orders", "IV", ("02",), "equations with a memory"),
    (
        "21",
        "beyond_one_machine",
        "Beyond one machine",
        "IV",
        ("07",),
        "devices, precision, many processes",
    ),
    (
        "22",
        "network_as_solution",
        "A network as the solution",
        "IV",
        ("03",),
        "physics-informed nets, and when not to use one",
    ),
    (
        "23",
        "forecasts",
        "Forecasts and alarms",
        "IV",
        ("12",),
        "real series, honest baselines, anomalies",
    ),
    (
        "24",
        "controlled_equations",
        "Controlled and stochastic equations",
        "IV",
        ("12",),
        "a path as input, noise that drives",
    ),
)
READY: dict[str, Lesson] = {number: lesson for number, lesson in SYLLABUS.items() if lesson.ready}
