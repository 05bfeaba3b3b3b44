"""HTTPS proxy in front of the simulator, with network faults."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
import socket
import ssl
from typing import Final, Self, override

from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
import pytest

from homeassistant.helpers import aiohttp_client
from homeassistant.util import ssl as ssl_util

NAME: Final = "operated.test"
HOST: Final = "127.0.0.1"


class HttpsProxy(AbstractResolver):
    """TLS proxy with a host name of its own, and the DNS resolver of Home Assistant."""

    def __init__(self, target_port: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Create a proxy to a local port; the folder is for its certificates."""
        self._target_port = target_port
        self._resolvable = True
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._trusted, self._untrusted = (folder / name for name in _CERTIFICATES)
        for name, certificate in _CERTIFICATES.items():
            (folder / name).write_bytes(certificate)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._port = 0
        client_context = ssl.create_default_context(cafile=str(self._trusted))
        monkeypatch.setattr(ssl_util, "client_context", lambda *_: client_context)
        monkeypatch.setattr(aiohttp_client, "_async_make_resolver", lambda _: self)
        self.faults: dict[str, Callable[[], None]] = {
            "connection refused": self._refuse_connections,
            "unknown name": self._make_unresolvable,
            "untrusted certificate": self._use_untrusted_certificate,
        }

    @property
    def url(self) -> str:
        """Return the URL of the proxy, without a trailing slash."""
        return f"https://{NAME}:{self._port}"

    async def __aenter__(self) -> Self:
        await self.clear_faults()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.inject_fault("connection refused")

    async def inject_fault(self, fault: str) -> None:
        """Apply a fault to new connections and close the open ones."""
        self.faults[fault]()
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def clear_faults(self) -> None:
        """Accept and forward all connections."""
        self._resolvable = True
        self._context.load_cert_chain(self._trusted)
        if self._server is None:
            self._server = await asyncio.start_server(
                self._accept, HOST, self._port, ssl=self._context
            )
            self._port = self._server.sockets[0].getsockname()[1]

    def _refuse_connections(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _make_unresolvable(self) -> None:
        self._resolvable = False

    def _use_untrusted_certificate(self) -> None:
        self._context.load_cert_chain(self._untrusted)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)
        target_reader, target_writer = await asyncio.open_connection(HOST, self._target_port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_forward(reader, target_writer))
                group.create_task(_forward(target_reader, writer))
        finally:
            target_writer.transport.abort()
            writer.transport.abort()

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if host != NAME or not self._resolvable:
            raise OSError(None, "Domain name not found")
        return [
            ResolveResult(
                hostname=host, host=HOST, port=port, family=socket.AF_INET, proto=0, flags=0
            )
        ]

    @override
    async def close(self) -> None:
        """Do nothing."""

    # Home Assistant calls this method of its resolver at shutdown.
    real_close = close


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


def _create_certificate() -> bytes:
    """Return a self-signed certificate and its key as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    public = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(public, critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


# Created when the module is imported, because cryptography keeps the class `datetime` of its first
# use, and that of freezegun exists only during a test.
_CERTIFICATES: Final = {name: _create_certificate() for name in ("trusted", "untrusted")}
