"""TLS to a server behind us: real handshakes with certificates that are good, expired, another's, or nobody's."""

import asyncio
import ssl
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import BrokenUpstream, Misconfigured, Unavailable
from gateway.outbound.connections import tls_trusting
from gateway.outbound.targets import TargetRules
from gateway.outbound.upstream import Upstream

pytestmark = pytest.mark.integration
HOST = "items.example"
NOW = datetime.now(UTC)
DAY = timedelta(days=1)
GET = b"GET / HTTP/1.1\r\nhost: items.example\r\n\r\n"


def name_of(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(*, signs_others):
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=signs_others, crl_sign=signs_others, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


class Authority:
    """Issues certificates. `path` is its own, in PEM."""

    def __init__(self, folder, name):
        self._folder, self._name, self._key = folder, name, ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._issued(name, self._key, NOW + DAY, authority=True)
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def _issued(self, name, key, until, *, authority):
        issuer = name_of(self._name)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name_of(name))
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - 2 * DAY)
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            # Who checks strictly, as Python does from 3.13 on, asks for these (RFC 5280, 4.2.1.1 to 4.2.1.3).
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(_usage(signs_others=authority), critical=True)
        )
        return builder.sign(self._key, hashes.SHA256())

    def server(self, host=HOST, *, until=NOW + DAY):
        """A server's side with a certificate for `host`."""
        key = ec.generate_private_key(ec.SECP256R1())
        path = self._folder / f"{host}-{time.monotonic_ns()}.pem"
        certificate = self._issued(host, key, until, authority=False)
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


class TlsServer:
    """Counts the requests that came through, and the names that were asked for in the handshake."""

    def __init__(self, context):
        self.context, self.heads, self.names, self.peers = context, [], [], []
        context.sni_callback = lambda _socket, name, _context: self.names.append(name)

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _serve(self, reader, writer):
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def asked(server, *, trusting, host=HOST, times=1):
    looked_up = []

    async def resolve(name, _port):
        looked_up.append(name)
        return ["127.0.0.1"]

    upstream = Upstream(
        "legacy",
        f"https://{host}:{server.port}",
        SystemClock(),
        rules=TargetRules(networks=("127.0.0.0/8",)),
        resolve=resolve,
        contact="the items team",
        tls=None if trusting is None else tls_trusting(str(trusting), setting="[proxied.legacy] ca_file"),
    )
    try:
        answers = [await upstream.ask(GET, deadline=time.monotonic() + 20, safe=True) for _ in range(times)]
    finally:
        await upstream.close()
    return answers, looked_up


async def test_the_name_is_asked_for_and_checked_at_the_address_that_was_pinned(tmp_path):
    authority = Authority(tmp_path, "ours")
    async with TlsServer(authority.server()) as server:
        answers, looked_up = await asked(server, trusting=authority.path, times=3)
        assert [answer.body for answer in answers] == [b"ok"] * 3
        assert (server.names, looked_up) == ([HOST], [HOST]), "one handshake, one look-up"


@pytest.mark.parametrize("flaw", ["another host", "expired", "another authority", "the system's authorities"])
async def test_a_certificate_that_is_not_good_is_refused_before_anything_is_sent(tmp_path, flaw):
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    shown = {
        "another host": lambda: ours.server("other.example"),
        "expired": lambda: ours.server(until=NOW - DAY),
        "another authority": theirs.server,
        "the system's authorities": ours.server,
    }[flaw]()
    trusting = None if flaw == "the system's authorities" else ours.path
    async with TlsServer(shown) as server:
        with pytest.raises(BrokenUpstream) as refused:
            await asked(server, trusting=trusting)
        assert (refused.value.code, server.heads) == ("outbound.certificate", [])
        assert "the items team" in refused.value.detail


async def test_a_server_that_speaks_no_tls_is_unavailable(tmp_path):
    authority = Authority(tmp_path, "ours")

    async def plain(_reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    server.port = server.sockets[0].getsockname()[1]
    with pytest.raises(Unavailable) as refused:
        await asked(server, trusting=authority.path)
    assert refused.value.code == "outbound.unreachable"
    server.close()


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_authorities_that_cannot_be_read_do_not_start(tmp_path, content):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Misconfigured, match="ca_file"):
        tls_trusting(str(path), setting="[proxied.legacy] ca_file")
