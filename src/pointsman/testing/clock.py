"""A clock that moves only when it is told to."""


class FrozenClock:
    """Wall clock and monotonic clock in one; both move together, by `advance` alone.

    Seconds everywhere. `time()` is seconds since the epoch, `monotonic()` seconds since an arbitrary start.
    """

    def __init__(self, time: float = 1_700_000_000.0, monotonic: float = 1_000.0) -> None:
        self._time = time
        self._monotonic = monotonic

    def time(self) -> float:
        """Seconds since the epoch."""
        return self._time

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Move both clocks forward. Raises ValueError for a negative step."""
        if seconds < 0:
            raise ValueError(f"a clock cannot go back by {-seconds} seconds; use step_wall_clock to rehearse that")
        self._time += seconds
        self._monotonic += seconds

    def step_wall_clock(self, seconds: float) -> None:
        """Move the wall clock alone, back or forth, as an operator or NTP would."""
        self._time += seconds
