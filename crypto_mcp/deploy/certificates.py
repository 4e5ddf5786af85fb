"""A certificate authority of the deployment's own, and the certificates of its servers.

The authority signs what talks inside (databases, nginx towards clients that trust it). Who has certificates of a public
authority for the outside puts them in nginx's place; nothing else changes. Keys are P-256 (RFC 5480), names are subject
alternative names (RFC 6125), and the authority may sign servers only.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from crypto_mcp.deploy.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

AUTHORITY_DAYS = 3650
LEAF_DAYS = 397
"""The longest that browsers accept (CA/Browser Forum ballot SC31)."""

_CLOCKS_MAY_DIFFER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key as unencrypted PKCS 8 PEM: whoever reads it is the server."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @classmethod
    def read(cls, certificate: Path, key: Path) -> Signed:
        """From two PEM files. Raises `DeployError` if they are not a certificate and its key."""
        try:
            found = x509.load_pem_x509_certificate(certificate.read_bytes())
            secret = serialization.load_pem_private_key(key.read_bytes(), None)
        except ValueError as error:
            raise DeployError(f"{certificate} or {key} is no PEM file ({error})", hint="Restore both files.") from error
        if not isinstance(secret, ec.EllipticCurvePrivateKey) or secret.public_key() != found.public_key():
            raise DeployError(f"{key} is not the key of {certificate}", hint="Restore the pair from a backup.")
        return cls(found, secret)


def make_authority(name: str, now: datetime) -> Signed:
    """A new authority, valid for ten years."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    built = (
        _begun(subject, subject, key, now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Signed(built, key)


def issue(authority: Signed, names: Iterable[str], now: datetime, days: int = LEAF_DAYS) -> Signed:
    """A server's certificate for these host names and addresses, the first of which is its common name."""
    given = list(dict.fromkeys(names))
    if not given:
        raise DeployError("a certificate needs at least one name", hint="Give the host name that clients use.")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, given[0][:64])])
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    built = (
        _begun(subject, authority.certificate.subject, key, now, days)
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in given]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(signer, critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return Signed(built, key)


def days_left(pem: bytes, now: datetime) -> float:
    """Days until the first certificate in a PEM text ends; negative once it has."""
    certificate = x509.load_pem_x509_certificate(pem)
    return (certificate.not_valid_after_utc - now.astimezone(UTC)) / timedelta(days=1)


def names_in(certificate: x509.Certificate) -> set[str]:
    """Host names and addresses a certificate is for."""
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))}


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_MAY_DIFFER)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
