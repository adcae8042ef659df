"""Ways to differentiate a solve, one per file, each a function with `odeint`'s signature."""
