"""Content credentials: a file in, what its C2PA manifest claims out. Reported beside a score, never part of it.

Read with the Content Authenticity Initiative's c2pa-python (the extra `provenance`). Nothing is fetched:
neither remote manifests nor revocation lists, so that nobody learns that a file is examined. No trust list is
loaded either: `Valid` means that the file is unchanged since it was signed, not that the signer's identity was
checked. All texts come from the file and prove nothing; most files, real or synthesized, have no credentials.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from dancebench.core.errors import BenchError, first_line
from dancebench.core.schema import Strict
from dancebench.datasets.video.containers import open_video

OFFLINE = {
    "core": {"allowed_network_hosts": []},
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
}
"""Settings of the C2PA library under which it sends no network request."""


class Credentials(Strict):
    """What a file claims about its own origin."""

    status: Literal["present", "absent", "unreadable", "not-checked"]
    reason: str | None = None
    """Why they are unreadable or were not checked."""
    claim_generator: str | None = None
    """The program or camera that wrote the manifest."""
    title: str | None = None
    signer: str | None = None
    """Name and organisation on the signing certificate."""
    signed_at: str | None = None
    """By a time-stamping authority; None where there was none."""
    validation: str | None = None
    """`Valid`: unchanged since it was signed. `Invalid`: see `problems`."""
    problems: tuple[str, ...] = ()
    """What the validation found wrong."""
    assertions: tuple[str, ...] = ()
    """Labels of the statements in the manifest."""
    actions: tuple[str, ...] = ()
    """Claimed actions, with the digital source type where it is named (`c2pa.created: digitalCapture`)."""


def read_credentials(path: Path) -> Credentials:
    """The content credentials of a file; a problem is named in `reason`, never raised.

    Args:
        path: Any file; the C2PA library knows MP4, MOV, AVI and common image formats.
    """
    try:
        import c2pa  # some 20 MB of native code
    except (ImportError, OSError):  # OSError: its native library does not load
        return Credentials(status="not-checked", reason="c2pa-python is missing: pip install 'dancebench[provenance]'")
    try:
        with c2pa.Context.from_dict(OFFLINE) as context, path.open("rb") as file:
            kind = _name_container(file.read(12)) or path.suffix.lstrip(".").lower()
            file.seek(0)
            reader = c2pa.Reader.try_create(kind, file, context=context)
            if reader is None:
                return Credentials(status="absent")
            with reader:
                return _read_claims(_Store.model_validate(json.loads(reader.json())))
    except c2pa.C2paError.NotSupported as error:
        return _explain_unknown_container(path, str(error))
    except (c2pa.C2paError, OSError) as error:
        return _explain_error(str(error))
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        return Credentials(status="unreadable", reason=f"its manifest has an unexpected shape at {where}")
    except (ValueError, RecursionError) as error:  # absurd numbers, deep nesting
        return Credentials(status="unreadable", reason=f"its manifest cannot be read ({first_line(error)})")


def _name_container(head: bytes) -> str | None:
    """The container that the first bytes of a file show, whatever its name: by the name that the library knows it."""
    if head[4:8] == b"ftyp":
        return "mov" if head[8:12] == b"qt  " else "mp4"
    return "avi" if head[:4] == b"RIFF" and head[8:12] == b"AVI " else None


def _explain_unknown_container(path: Path, message: str) -> Credentials:
    try:
        with open_video(path):
            return Credentials(status="not-checked", reason="the library does not know this container")
    except BenchError:
        return Credentials(status="unreadable", reason=message)


def _explain_error(message: str) -> Credentials:
    if message.startswith("Remote:"):
        return Credentials(
            status="not-checked", reason=f"the credentials are stored remotely, and nothing is fetched ({message})"
        )
    return Credentials(status="unreadable", reason=message)


# ---------------------------------------------------------------- the library's JSON, as far as it is used


class _Action(BaseModel):
    action: str
    source: str | None = Field(None, alias="digitalSourceType")

    def __str__(self) -> str:
        return self.action if self.source is None else f"{self.action}: {self.source.rpartition('/')[2]}"


class _Actions(BaseModel):
    actions: list[_Action]


class _Assertion(BaseModel):
    label: str
    data: Any = None


class _Generator(BaseModel):
    name: str
    version: str | None = None


class _Signature(BaseModel):
    issuer: str | None = None
    common_name: str | None = None
    time: str | None = None


class _Manifest(BaseModel):
    title: str | None = None
    claim_generator: str | None = None  # before version 2 of the claim
    claim_generator_info: list[_Generator] = []
    signature_info: _Signature = _Signature()
    assertions: list[_Assertion] = []


class _Problem(BaseModel):
    code: str
    explanation: str | None = None


class _Store(BaseModel):
    active_manifest: str
    manifests: dict[str, _Manifest]
    validation_state: str | None = None
    validation_status: list[_Problem] = []


def _read_claims(store: _Store) -> Credentials:
    manifest = store.manifests.get(store.active_manifest)
    if manifest is None:
        return Credentials(status="unreadable", reason="its active manifest is missing")
    generators = [" ".join(filter(None, (tool.name, tool.version))) for tool in manifest.claim_generator_info]
    signature = manifest.signature_info
    return Credentials(
        status="present",
        claim_generator=", ".join(generators) or manifest.claim_generator,
        title=manifest.title,
        signer=", ".join(filter(None, (signature.common_name, signature.issuer))) or None,
        signed_at=signature.time,
        validation=store.validation_state,
        problems=tuple(problem.explanation or problem.code for problem in store.validation_status),
        assertions=tuple(assertion.label for assertion in manifest.assertions),
        actions=tuple(
            str(action)
            for assertion in manifest.assertions
            if assertion.label.startswith("c2pa.actions")
            for action in _Actions.model_validate(assertion.data).actions
        ),
    )
