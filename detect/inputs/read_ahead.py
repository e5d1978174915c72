"""Reading ahead: the next frames are decoded and reduced by a thread of their own while the last ones are encoded.

Decoder, resizing and encoder let go of the interpreter while they work, so both go on at once; the order stays.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

Item = TypeVar("Item")

DEPTH: Final = 8
"""Frames that wait at most: of one clip's size, so that memory stays small."""
_WAIT: Final = 0.1
"""Seconds after which a full queue is looked at again."""


@dataclass(frozen=True)
class _End:
    error: BaseException | None


def read_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same items in order, made in another thread; what it raises is raised here. Closing it ends the thread."""
    waiting: queue.Queue[Item | _End] = queue.Queue(DEPTH)
    stopped = threading.Event()

    def put(item: Item | _End) -> None:
        while not stopped.is_set():
            try:
                return waiting.put(item, timeout=_WAIT)
            except queue.Full:
                continue

    def run() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                put(item)
                if stopped.is_set():
                    break
        except BaseException as raised:
            error = raised
        put(_End(error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while not isinstance(item := waiting.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stopped.set()
        thread.join()
