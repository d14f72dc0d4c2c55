"""The certificate of a device that accepts sessions: made by itself, once, and proved by the space's token.

Nobody vouches for it, and nobody need: who knows the token proves it over this very certificate (protocol/proof.py).
"""

import hashlib
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from crdt_sync.files import replaced
from crdt_sync.storage.file_failures import failed

Own = tuple[ssl.SSLContext, bytes]
"""A server's TLS context, and the SHA-256 of its certificate."""

CERTIFICATE_FILE = "certificate.pem"
_END = "-----END CERTIFICATE-----"
_YEARS = 100  # a date would only make devices with a wrong clock fail


def own(directory: Path) -> Own:
    """The TLS context and the SHA-256 of the certificate in `directory`, made where it is not there.

    Raises `StoreError`.
    """
    path = directory / CERTIFICATE_FILE
    try:
        if not path.exists():
            _write(path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(path)
        return context, fingerprint(path)
    except (OSError, ValueError) as error:
        again = "Remove the file: a new one is made at the next start."
        raise failed(error, f"the certificate {path} cannot be used", again) from error


def fingerprint(path: Path) -> bytes:
    """The SHA-256 of the first certificate in a PEM file. Raises `OSError`, `ValueError`."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first_of(path))).digest()


def is_self_signed(path: Path) -> bool:
    """Whether no authority vouches for the first certificate in a PEM file. Raises `OSError`, `ValueError`."""
    found = x509.load_pem_x509_certificate(first_of(path).encode("ascii"))
    return found.issuer == found.subject


def binding(tls: ssl.SSLObject | None) -> bytes:
    """What proofs on a connection are bound to: the SHA-256 of the other end's certificate, nothing without TLS."""
    shown = tls.getpeercert(binary_form=True) if tls is not None else None
    return hashlib.sha256(shown).digest() if shown else b""


def unchecked() -> ssl.SSLContext:
    """A context for a partner whose certificate is proved by the token instead of by an authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def first_of(path: Path) -> str:
    """The first certificate in a PEM file, as PEM. Raises `OSError`, `ValueError`."""
    text = path.read_text("ascii")
    begin = text.index("-----BEGIN CERTIFICATE-----")
    return text[begin : text.index(_END, begin) + len(_END)] + "\n"


def _write(path: Path) -> None:
    """Write key and certificate as a whole; nobody but the owner can read them at any time."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "crdt-sync device")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + timedelta(days=365 * _YEARS))
        .sign(key, hashes.SHA256())
    )
    with replaced(path) as file:
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        file.write(certificate.public_bytes(serialization.Encoding.PEM))
