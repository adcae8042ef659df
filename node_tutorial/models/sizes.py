"""Checks of sizes that models are made with."""


def check_sizes(least: int = 1, **sizes: int) -> None:
    """Raise a ValueError that names the first size below `least`, or that is no integer."""
    for name, size in sizes.items():
        if not isinstance(size, int) or size < least:
            raise ValueError(f"{name} must be an integer of {least} or more, got {size!r}")
