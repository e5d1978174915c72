"""Content credentials: a clip signed here with a certificate made here, and files without or with damaged ones."""

import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pytest
from outside_files import moving, write_video
from signed_files import make_signer

from dancebench.datasets.video.clips import write_clip
from dancebench.detect.casework.content_credentials import Credentials, read_credentials


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("credentials") / "plain.mp4"
    write_clip(path, [np.full((64, 32, 3), 10 * t, np.uint8) for t in range(10)], 25)
    return path


@pytest.fixture(scope="module")
def sign(plain: Path) -> Callable[..., Path]:
    """Sign the plain clip; with `remote`, the manifest is only pointed to."""
    return make_signer(plain)


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """A server on this machine, and the paths that were requested from it."""
    requested: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requested.append(self.path)
            self.send_error(404)

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/manifest.c2pa", requested
        running.shutdown()
        thread.join()


def test_what_was_signed_is_read(sign: Callable[..., Path]) -> None:
    found = read_credentials(sign("signed.mp4"))
    assert found.status == "present"
    assert found.reason is None
    assert found.claim_generator == "Test camera 1.0"
    assert found.title == "dance.mp4"
    assert found.signer == "Test signer, Test newsroom"
    assert found.signed_at is None  # no time-stamping authority was used
    assert found.validation == "Valid"
    assert found.problems == ("signing certificate untrusted",)
    assert found.actions == ("c2pa.created: digitalCapture", "c2pa.cropped")
    assert "c2pa.actions.v2" in found.assertions


def test_a_change_after_signing_shows(sign: Callable[..., Path]) -> None:
    path = sign("changed.mp4")
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    found = read_credentials(path)
    assert found.validation == "Invalid"
    assert any("hash" in problem.lower() for problem in found.problems)


def test_a_file_without_credentials(plain: Path) -> None:
    assert read_credentials(plain) == Credentials(status="absent")


@pytest.mark.parametrize("content", [b"", b"just text"])
@pytest.mark.parametrize("name", ["a.mp4", "a.txt"])
def test_a_file_that_is_no_video(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    found = read_credentials(path)
    assert found.status == "unreadable"
    assert found.reason


@pytest.mark.parametrize("name", ["a.mkv", "a.webm", "a.ts", "a.mpg"])
def test_a_container_that_the_library_does_not_know(name: str, tmp_path: Path) -> None:
    codec = {"a.webm": "libvpx", "a.mpg": "mpeg2video"}.get(name, "libx264")
    found = read_credentials(write_video(tmp_path / name, moving(4), codec=codec))
    assert found == Credentials(status="not-checked", reason="the library does not know this container")


def test_a_container_is_known_by_its_content(sign: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("carved", "clip.MTS"):
        path = tmp_path / name
        path.write_bytes(sign("signed.mp4").read_bytes())
        assert read_credentials(path).status == "present"


def test_a_missing_file(tmp_path: Path) -> None:
    found = read_credentials(tmp_path / "none.mp4")
    assert found.status == "unreadable"
    assert "No such file" in (found.reason or "")


def test_nothing_is_fetched(sign: Callable[..., Path], server: tuple[str, list[str]]) -> None:
    url, requested = server
    path = sign("remote.mp4", remote=url)
    found = read_credentials(path)
    assert found.status == "not-checked"
    assert url in (found.reason or "")
    assert requested == []
    with c2pa.Context() as context, pytest.raises(c2pa.C2paError):
        c2pa.Reader(path, context=context)
    assert requested, "by its default settings the library sends a request: the test can fail"


def test_without_the_library(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    found = read_credentials(plain)
    assert found.status == "not-checked"
    assert "dancebench[provenance]" in (found.reason or "")


@pytest.mark.parametrize(
    "manifest",
    [
        '{"active_manifest": "a", "manifests": {}}',
        '{"active_manifest": "a", "manifests": {"a": {"title": 7}}}',
        '{"active_manifest": "a", "manifests": {"a": {"assertions": [{"label": "c2pa.actions", "data": []}]}}}',
    ],
)
def test_a_manifest_of_unexpected_structure(plain: Path, monkeypatch: pytest.MonkeyPatch, manifest: str) -> None:
    class Reader:
        def __enter__(self) -> "Reader":
            return self

        def __exit__(self, *_: Any) -> None: ...

        def json(self) -> str:
            return manifest

    monkeypatch.setattr(c2pa.Reader, "try_create", lambda *_, **__: Reader())
    found = read_credentials(plain)
    assert found.status == "unreadable"
    assert found.reason
