"""Explorables of the lessons: `explore.euler_polygon()` returns a picture with controls.

Each line of the table names an explorable and the lesson to which it belongs; it lives in
`lessons/<lesson>/<name>.py`, and only that file is imported when it is called. Keyword arguments
are the values at which its controls start: `explore.euler_polygon(steps=32)`.
"""

import difflib
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .course.controls import choice, int_slider, log_slider, play, power_slider, slider, toggle
from .course.explorables import Explorable, explorable

EXPLORABLES: dict[str, Callable[..., Explorable]] = {}  # by name; filled by the table below
LESSON_OF: dict[str, str] = {}  # the name of an explorable -> the stem of its lesson


def _of(lesson: str, name: str) -> Callable[..., Explorable]:
    """A function that makes the explorable `name` of a lesson, and imports it then."""

    def make(**start: Any) -> Explorable:
        module = import_module(f".lessons.{lesson}.{name}", __package__)
        return getattr(module, name)(**start)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = (
        f"A new panel of the explorable in lessons/{lesson}/{name}.py.\n\n"
        "Keyword arguments are the values at which its controls start."
    )
    EXPLORABLES[name] = make
    LESSON_OF[name] = lesson
    return make


# The table: name = _of(stem of the lesson, name), by lessons.
first_flow = _of("start_here", "first_flow")
euler_polygon = _of("euler", "euler_polygon")
depth_of_a_net = _of("euler", "depth_of_a_net")
tableau_workbench = _of("runge_kutta", "tableau_workbench")
stability_point = _of("runge_kutta", "stability_point")
adaptive_solve = _of("adaptive_steps", "adaptive_solve")
adaptive_loop = _of("adaptive_steps", "adaptive_loop")
bouncing_ball = _of("adaptive_steps", "bouncing_ball")
stiff_decay = _of("stiffness", "stiff_decay")
newton_step = _of("stiffness", "newton_step")
crossover = _of("stiffness", "crossover")
field_over_training = _of("learning_dynamics", "field_over_training")
loss_over_horizon = _of("learning_dynamics", "loss_over_horizon")
solver_swap = _of("learning_dynamics", "solver_swap")
adjoint_jumps = _of("gradients", "adjoint_jumps")
reverse_solve = _of("gradients", "reverse_solve")
gradient_price = _of("gradients", "gradient_price")
digits_on_their_way = _of("ode_nets", "digits_on_their_way")
tolerance_dial = _of("ode_nets", "tolerance_dial")
crossing = _of("limits_of_flows", "crossing")
tunnel = _of("limits_of_flows", "tunnel")
cheaper_paths = _of("limits_of_flows", "cheaper_paths")
disk_of_points = _of("physics", "disk_of_points")
race = _of("physics", "race")
reaching = _of("physics", "reaching")
robot_arm = _of("physics", "robot_arm")
latent_map = _of("autoencoders", "latent_map")
interpolation = _of("autoencoders", "interpolation")
elbo_bound = _of("autoencoders", "elbo_bound")
latent_point = _of("continuous_vae", "latent_point")
what_is_known = _of("continuous_vae", "what_is_known")
frequency_landscape = _of("continuous_vae", "frequency_landscape")
posterior_band = _of("latent_ode", "posterior_band")
event_rate = _of("latent_ode", "event_rate")
walking_figure = _of("motion", "walking_figure")
two_cycles = _of("motion", "two_cycles")
two_legs = _of("motion", "two_legs")
stretched_density = _of("normalizing_flows", "stretched_density")
planar_layer = _of("normalizing_flows", "planar_layer")
coupling_layers = _of("normalizing_flows", "coupling_layers")
trace_probes = _of("continuous_flows", "trace_probes")
density_in_time = _of("continuous_flows", "density_in_time")
likelihood_check = _of("continuous_flows", "likelihood_check")
noise_level = _of("diffusion", "noise_level")
one_score = _of("diffusion", "one_score")
copying_machine = _of("diffusion", "copying_machine")
guidance_weight = _of("diffusion", "guidance_weight")
pairs_and_flow = _of("flow_matching", "pairs_and_flow")
number_of_steps = _of("flow_matching", "number_of_steps")
batch_pairing = _of("flow_matching", "batch_pairing")
straightened = _of("flow_matching", "straightened")
game = _of("gans_and_autoregression", "game")
two_gaussians = _of("gans_and_autoregression", "two_gaussians")
pixel_by_pixel = _of("gans_and_autoregression", "pixel_by_pixel")
causal_mask = _of("gans_and_autoregression", "causal_mask")
sample_size = _of("scoreboard", "sample_size")
fool_the_metric = _of("scoreboard", "fool_the_metric")
quality_and_cost = _of("scoreboard", "quality_and_cost")
relaxation = _of("fractional_orders", "relaxation")
two_pasts = _of("fractional_orders", "two_pasts")
method_and_mesh = _of("fractional_orders", "method_and_mesh")
forgotten_tail = _of("fractional_orders", "forgotten_tail")
ranks_in_time = _of("beyond_one_machine", "ranks_in_time")
slabs_in_time = _of("beyond_one_machine", "slabs_in_time")
loss_and_error = _of("network_as_solution", "loss_and_error")
longer_swing = _of("network_as_solution", "longer_swing")
burgers_front = _of("network_as_solution", "burgers_front")
rolling_origin = _of("forecasts", "rolling_origin")
alarm_threshold = _of("forecasts", "alarm_threshold")
planted_anomaly = _of("forecasts", "planted_anomaly")
path_order = _of("controlled_equations", "path_order")
noisy_steps = _of("controlled_equations", "noisy_steps")
reading_dial = _of("controlled_equations", "reading_dial")

__all__ = [
    "EXPLORABLES",
    "LESSON_OF",
    "Explorable",
    "choice",
    "explorable",
    "int_slider",
    "log_slider",
    "play",
    "power_slider",
    "slider",
    "toggle",
    *EXPLORABLES,
]


if not TYPE_CHECKING:  # so that type checkers still find a misspelled name

    def __getattr__(name):
        close = difflib.get_close_matches(name, EXPLORABLES, 1)
        guess = f"; did you mean {close[0]!r}?" if close else "."
        raise AttributeError(
            f"no explorable is named {name!r}{guess} There are: {', '.join(sorted(EXPLORABLES))}"
        )
