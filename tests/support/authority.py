"""A certificate authority for one test: certificates that are good, expired, or signed by somebody else."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs server certificates for 127.0.0.1. `certificate` is the PEM file that clients trust."""

    folder: Path
    certificate: Path
    key: ec.EllipticCurvePrivateKey

    def server(self, name: str, days: float) -> Path:
        """A PEM file of key and certificate, as Kafka reads it; it ends after so many days, negative: it has ended."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.load_pem_x509_certificate(self.certificate.read_bytes()).subject
        names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
        built = _draft(name, issuer, key.public_key(), days).add_extension(names, critical=False)
        path = self.folder / f"{name}.pem"
        private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
        path.write_bytes(private + built.sign(self.key, hashes.SHA256()).public_bytes(form.Encoding.PEM))
        return path


def authority(folder: Path, name: str = "ca") -> Authority:
    """A new authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    limits = x509.BasicConstraints(ca=True, path_length=0)
    built = _draft(name, subject, key.public_key(), 30).add_extension(limits, critical=True)
    path = folder / f"{name}.pem"
    path.write_bytes(built.sign(key, hashes.SHA256()).public_bytes(form.Encoding.PEM))
    return Authority(folder, path, key)


def _draft(name: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: float) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
    )
