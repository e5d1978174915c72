"""Reading ahead changes neither items nor order nor errors, and leaves no thread behind."""

import itertools
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancebench.detect.inputs.read_ahead import DEPTH, read_ahead


@given(st.lists(st.integers() | st.none(), max_size=40))
def test_the_same_items_come_in_the_same_order(items: list[int | None]) -> None:
    assert list(read_ahead(items)) == items


def test_an_error_is_raised_after_the_items_before_it() -> None:
    def fail() -> Iterator[int]:
        yield 1
        raise ValueError("here")

    found = read_ahead(fail())
    assert next(found) == 1
    with pytest.raises(ValueError, match="here"):
        next(found)


def test_closing_ends_the_thread_of_an_endless_source() -> None:
    before, made = threading.active_count(), []
    found = read_ahead(made.append(number) or number for number in itertools.count())
    assert [next(found) for _ in range(3)] == [0, 1, 2]
    found.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
    assert len(made) <= 3 + DEPTH + 2
