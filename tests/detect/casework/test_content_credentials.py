"""Content credentials: a clip signed here with a certificate made here, and files without or with damaged ones."""

import datetime
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from outside_files import moving, write_video

from dancebench.datasets.video.clips import write_clip
from dancebench.detect.casework.content_credentials import OFFLINE, Credentials, read_credentials

CAPTURE = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
MANIFEST = {
    "claim_generator_info": [{"name": "Test camera", "version": "1.0"}],
    "title": "dance.mp4",
    "assertions": [
        {
            "label": "c2pa.actions",
            "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": CAPTURE}, {"action": "c2pa.cropped"}]},
        }
    ],
}


def make_certificate(name: str, key: Any, issuer: str, issuer_key: Any, *, authority: bool) -> x509.Certificate:
    """Make a certificate as C2PA requires: version 3, with key usage and purpose."""

    def names(common: str) -> x509.Name:
        organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test newsroom")
        return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, common)])

    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    usage = x509.KeyUsage(not authority, False, False, False, False, authority, authority, False, False)
    builder = x509.CertificateBuilder(names(issuer), names(name), key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - day).not_valid_after(now + day)
    builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    builder = builder.add_extension(usage, critical=True)
    of_issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = builder.add_extension(of_issuer, critical=False)
    if not authority:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("credentials") / "plain.mp4"
    write_clip(path, [np.full((64, 32, 3), 10 * t, np.uint8) for t in range(10)], 25)
    return path


@pytest.fixture(scope="module")
def sign(plain: Path) -> Callable[..., Path]:
    """Sign the plain clip; with `remote`, the manifest is only pointed to."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = make_certificate("Test root", root_key, "Test root", root_key, authority=True)
    own = make_certificate("Test signer", key, "Test root", root_key, authority=False)
    pem = serialization.Encoding.PEM
    chain = own.public_bytes(pem) + root.public_bytes(pem)
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    def signed(name: str, remote: str | None = None) -> Path:
        path = plain.with_name(name)
        info = c2pa.C2paSignerInfo(c2pa.C2paSigningAlg.ES256, chain, secret, None)
        with c2pa.Context.from_dict(OFFLINE) as context, c2pa.Builder(MANIFEST, context=context) as builder:
            if remote is not None:
                builder.set_no_embed()
                builder.set_remote_url(remote)
            builder.sign_file(plain, path, c2pa.Signer.from_info(info))
        return path

    return signed


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
