"""TLS towards NATS: only a server that the given authority vouches for is spoken to."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chassis.log import LogUnavailable
from chassis.messaging import Connection, Log
from contracts.fact import Producer
from localnet.child import running
from localnet.nats_server import NatsOptions, ServerTls, nats_spec


def authority(directory: Path) -> tuple[Path, x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A new certificate authority: its file, certificate and key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    certificate = sign(name, name, key, key, x509.BasicConstraints(ca=True, path_length=None))
    directory.mkdir()
    file = directory / "ca.crt"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return file, certificate, key


def sign(
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


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[tuple[str, Path]]:
    """A server with a certificate for 127.0.0.1, and the file of its authority."""
    ca_file, ca, ca_key = authority(tmp_path / "ours")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nats")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = tmp_path / "tls.crt"
    certificate.write_bytes(
        sign(name, ca.subject, key, ca_key, address).public_bytes(serialization.Encoding.PEM),
    )
    key_file = tmp_path / "tls.key"
    key_file.touch(mode=0o600)
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    options = NatsOptions(data_dir=tmp_path / "nats", tls=ServerTls(certificate, key_file))
    async with running(nats_spec(options)) as child:
        yield child.addresses["nats"].replace("nats://", "tls://"), ca_file


def connection(url: str, ca_file: Path | None) -> Connection:
    producer = Producer(name="test", version="0")
    return Connection((url,), producer, ca_file=None if ca_file is None else str(ca_file), timeout=0.5)


async def test_a_server_of_our_authority_is_spoken_to(server: tuple[str, Path]) -> None:
    url, ca_file = server
    async with Log.session(connection(url, ca_file)) as log:
        await log.ping()


async def test_a_server_of_another_authority_is_not(server: tuple[str, Path], tmp_path: Path) -> None:
    url, _ = server
    stranger, _, _ = authority(tmp_path / "stranger")
    for ca_file in (stranger, None):
        with pytest.raises(LogUnavailable):
            await Log.connect(connection(url, ca_file))


async def test_an_authority_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    empty = tmp_path / "empty.crt"
    empty.touch()
    for ca_file in (tmp_path / "none.crt", empty):
        with pytest.raises(LogUnavailable, match="NATS_CA_FILE"):
            await Log.connect(connection("tls://127.0.0.1:1", ca_file))
