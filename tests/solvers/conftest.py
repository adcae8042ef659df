"""What several tests of solvers use."""

import pytest


class Counted:
    """A field that counts its calls."""

    def __init__(self, field):
        self.field = field
        self.calls = 0

    def __call__(self, t, y):
        self.calls += 1
        return self.field(t, y)


@pytest.fixture
def counted():
    """`Counted`, which makes a field that counts its calls."""
    return Counted
