import pytest

from pointsman.testing.clock import FrozenClock


def test_it_stands_still_until_it_is_moved() -> None:
    clock = FrozenClock(time=100.0, monotonic=5.0)
    assert (clock.time(), clock.monotonic()) == (100.0, 5.0)
    clock.advance(1.5)
    assert (clock.time(), clock.monotonic()) == (101.5, 6.5)


def test_it_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="step_wall_clock"):
        FrozenClock().advance(-1)


def test_the_wall_clock_alone_can_be_stepped() -> None:
    clock = FrozenClock(time=100.0, monotonic=5.0)
    clock.step_wall_clock(-30)
    assert (clock.time(), clock.monotonic()) == (70.0, 5.0)
