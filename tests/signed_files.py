"""Shared by tests of content credentials: videos signed with a certificate made here."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dancebench.detect.casework.content_credentials import OFFLINE

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


def make_signer(plain: Path) -> Callable[..., Path]:
    """A function that signs a clip, under another name beside it; with `remote`, the manifest is only pointed to."""
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
