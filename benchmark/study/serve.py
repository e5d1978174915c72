"""Run the page's server: on a socket that is bound before the link is told, in this process or a thread of it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from dancebench.benchmark.study.records import Access, StudyFolder, StudyRecord
from dancebench.benchmark.study.store import Store
from dancebench.core.errors import BenchError

if TYPE_CHECKING:
    import uvicorn

_INSTALL: Final = "Install it with: pip install 'dancebench[study]'"
_START_S: Final = 30.0


def open_server(
    folder: StudyFolder, store: Store, study: StudyRecord, *, needs_token: bool = True,
    clock: Callable[[], float] = time.monotonic,
) -> uvicorn.Server:  # fmt: skip
    """The server of a study, not yet running.

    Raises:
        BenchError: FastAPI and uvicorn are not installed.
    """
    try:
        import uvicorn

        from dancebench.benchmark.study.server import StudyServer, make_app
    except ImportError as error:
        raise BenchError(f"The study's page needs {error.name}.", hint=_INSTALL) from error
    access = Access.load(folder.access_path)
    page = StudyServer(folder, study, store, access, needs_token=needs_token, clock=clock)
    # No access log, and the address in no header: a rater's address is nowhere.
    config = uvicorn.Config(make_app(page), access_log=False, log_level="warning", server_header=False, lifespan="off")
    return uvicorn.Server(config)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any that is free.

    Raises:
        BenchError: The port is taken, or the address is not of this machine.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # With the protocol named, asyncio sends small answers at once; else each waits 40 ms (Nagle's algorithm).
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(512)
    except (OSError, OverflowError) as error:
        raise BenchError(
            f"Cannot listen on {host}:{port}: {error}.", hint="Choose another --port or --host."
        ) from error
    return bound


@contextmanager
def run_in_thread(server: uvicorn.Server, bound: socket.socket) -> Iterator[tuple[str, int]]:
    """Run the server in a thread while the block runs; yields its host and port."""
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    limit = time.monotonic() + _START_S
    while not server.started and thread.is_alive() and time.monotonic() < limit:
        time.sleep(0.01)
    try:
        address: Any = bound.getsockname()
        yield address[0], address[1]
    finally:
        server.should_exit = True
        thread.join()
        bound.close()
