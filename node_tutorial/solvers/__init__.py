"""Solvers of ordinary differential equations. To follow one adaptive step: integrate.py,
runge_kutta.py, control.py.
"""
