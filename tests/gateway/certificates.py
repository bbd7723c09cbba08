"""Certificates made on the spot: an authority, and servers that it did or did not vouch for."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Certificates:
    """What the TLS tests need."""

    authority: Path
    """The bundle that clients trust."""
    good: ssl.SSLContext
    """For the host that was asked for, else 127.0.0.1."""
    other_host: ssl.SSLContext
    """Vouched for, but for another name."""
    expired: ssl.SSLContext
    untrusted: ssl.SSLContext
    """Vouched for by itself only."""


def make_certificates(folder: Path, *, host: str = "127.0.0.1") -> Certificates:
    """Make them in a folder; ``host`` is whom the good one is for, an address or a name."""
    key = ec.generate_private_key(ec.SECP256R1())
    authority = _signed("authority", None, key, key, "authority")
    (folder / "authority.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))

    def context(name: str, host: str, *, signed_by: ec.EllipticCurvePrivateKey | None, days: int = 1) -> ssl.SSLContext:
        own = ec.generate_private_key(ec.SECP256R1())
        issuer = "authority" if signed_by else name
        certificate = _signed(name, host, own, signed_by or own, issuer, days=days)
        path = folder / f"{name}.pem"
        path.write_bytes(
            own.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        served.load_cert_chain(path)
        return served

    return Certificates(
        authority=folder / "authority.pem",
        good=context("good", host, signed_by=key),
        other_host=context("other", "192.0.2.7", signed_by=key),
        expired=context("expired", "127.0.0.1", signed_by=key, days=-1),
        untrusted=context("untrusted", "127.0.0.1", signed_by=None),
    )


def _signed(
    name: str,
    host: str | None,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    issuer: str,
    *,
    days: int = 1,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=3))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
    )
    if host is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName([_named(host)]), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _named(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
