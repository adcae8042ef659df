"""Lesson 21: laws of scaling that fit in one line each."""


def amdahl(serial: float, ranks: int) -> float:
    """The speed-up of one task, of which a share `serial` (0 to 1) is not divided.

    Raises ValueError for another share.

    >>> round(amdahl(0.05, 64), 2)
    15.42
    """
    if not 0 <= serial <= 1:
        raise ValueError(f"serial must be a share between 0 and 1, got {serial}")
    return 1 / (serial + (1 - serial) / ranks)


def gustafson(serial: float, ranks: int) -> float:
    """The speed-up if the divided part grows with the ranks: `serial` is its share of a rank's
    time.

    >>> round(gustafson(0.05, 64), 2)
    60.85
    """
    return serial + (1 - serial) * ranks


def ring_bytes(size: float, ranks: int) -> float:
    """Bytes that each rank sends in a ring all-reduce of `size` bytes: 2 (R - 1) parts of size / R.

    >>> [ring_bytes(4e6, ranks) / 1e6 for ranks in (2, 4, 8)]  # 1 M float32
    [4.0, 6.0, 7.0]
    """
    return 2 * (ranks - 1) / ranks * size
