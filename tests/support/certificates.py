"""Certificates for tests of TLS: an authority, and a server that it vouches for."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Authority:
    """Vouches for servers; `file` is its certificate."""

    file: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def vouch(self, directory: Path) -> tuple[Path, Path]:
        """A certificate for a server on 127.0.0.1 and its key, as files tls.crt and tls.key."""
        key = ec.generate_private_key(ec.SECP256R1())
        address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        signed = _sign(_named("server"), self.certificate.subject, key, self.key, address)
        certificate_file, key_file = directory / "tls.crt", directory / "tls.key"
        certificate_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        key_file.touch(mode=0o600)
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate_file, key_file


def authority(directory: Path) -> Authority:
    """A new one, its certificate in ca.crt of the directory, which is made."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _named("test authority")
    certificate = _sign(name, name, key, key, x509.BasicConstraints(ca=True, path_length=None))
    directory.mkdir(exist_ok=True)
    file = directory / "ca.crt"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Authority(file, certificate, key)


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _sign(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    by: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
    return builder.add_extension(extension, critical=True).sign(by, hashes.SHA256())
