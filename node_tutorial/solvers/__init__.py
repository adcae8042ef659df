"""Solvers of ordinary differential equations.

To follow one adaptive step, read four files: tableaus.py (the numbers), runge_kutta.py (a step),
control.py (accept it? how long is the next?), integrate.py (the loop).
Around them: odeint.py is the front door; inputs.py and options.py check what it is given;
problem.py runs it; solution.py, statistics.py, errors.py say what came of it; events.py stops at an
event; batched.py gives each sample its own steps. methods/ has the other kinds of method, and says
how to add one (methods/method.py); compiled/ runs a whole solve as one program.
"""

__all__: list[str] = []  # what users need is imported by node_tutorial itself
