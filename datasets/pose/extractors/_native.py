"""How native libraries are loaded and run without a word on standard error that is not ours."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def defer_signals() -> Iterator[None]:
    """Defer Ctrl-C and SIGTERM: native libraries that are interrupted while loading report other errors."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
        return
    received: list[int] = []
    handlers = {
        number: signal.signal(number, lambda signal_number, _: received.append(signal_number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for signal_number in received:
        signal.raise_signal(signal_number)


@contextlib.contextmanager
def silence_native_stderr() -> Iterator[None]:
    """Native code writes start-up messages to file descriptor 2 at any log level."""
    sys.stderr.flush()
    original = os.dup(2)
    try:
        with open(os.devnull, "w") as devnull:
            os.dup2(devnull.fileno(), 2)
        yield
    finally:
        os.dup2(original, 2)
        os.close(original)
