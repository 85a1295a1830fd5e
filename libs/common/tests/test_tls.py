"""TLS towards a real NATS server, with certificates made here: each side checks the other."""

import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from heliograph import client
from heliograph.common.bus import Bus
from heliograph.common.config import Settings
from heliograph.common.errors import ConfigError, UnavailableError


class Certificates:
    """An authority, and the files that it has made."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(self.ca)
        self._folder = folder

    def issue(self, name: str) -> tuple[Path, Path]:
        """A certificate and its key."""
        made = self._authority.issue_cert(name)
        cert, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        cert.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        made.private_key_pem.write_to_path(key)
        return cert, key


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls") / "theirs")


def serve(folder: Path, tls: str) -> Generator[int, None, None]:
    """A real server; its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    file = folder / "nats.conf"
    user = 'authorization { users: [{user: tracker, password: "right"}] }'
    file.write_text(f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{folder}" }}\n{user}\n{tls}')
    binary = Path(sys.executable).with_name("nats-server")
    process = subprocess.Popen([binary, "-c", file, "-l", folder / "log"])
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            break
        except OSError:
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.02)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory, ours: Certificates) -> Iterator[int]:
    """A server that shows a certificate and asks for one."""
    cert, key = ours.issue("127.0.0.1")
    tls = f'tls {{ cert_file: "{cert}", key_file: "{key}", ca_file: "{ours.ca}", verify: true, timeout: 10 }}'
    yield from serve(tmp_path_factory.mktemp("nats"), tls)


@pytest.fixture(scope="module")
def plain_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server without TLS."""
    yield from serve(tmp_path_factory.mktemp("nats"), "")


def settings(port: int, **given: Any) -> Settings:
    text = {name: str(value) for name, value in given.items()}
    return Settings(nats_url=f"tls://127.0.0.1:{port}", nats_user="tracker", nats_password="right", **text)  # type: ignore[arg-type]


async def test_it_works_over_tls_with_certificates_on_both_sides(port: int, ours: Certificates) -> None:
    cert, key = ours.issue("tracker.example")
    bus = await Bus.connect(settings(port, nats_ca=ours.ca, nats_cert=cert, nats_key=key), "test")
    await bus.ensure_streams()
    assert bus.client._transport is not None
    assert bus.client._transport._io_writer.get_extra_info("cipher")  # type: ignore[attr-defined]
    await bus.close()


async def test_a_subscriber_checks_the_server_too(
    tmp_path_factory: pytest.TempPathFactory, ours: Certificates, theirs: Certificates, plain_port: int
) -> None:
    cert, key = ours.issue("127.0.0.1")
    served = serve(tmp_path_factory.mktemp("nats"), f'tls {{ cert_file: "{cert}", key_file: "{key}" }}')
    url, login = f"nats://127.0.0.1:{next(served)}", {"user": "tracker", "password": "right"}
    trusting = ssl.create_default_context(cafile=str(ours.ca))
    async with await client.connect(url, tls=trusting, **login) as connection:
        with pytest.raises(UnavailableError, match="signals"):  # there is no stream, but an answer
            await anext(connection.signals(after=0))
    with pytest.raises(UnavailableError, match="does not speak TLS"):
        await client.connect(f"nats://127.0.0.1:{plain_port}", tls=trusting, **login)
    with pytest.raises(UnavailableError, match="certificate"):
        await client.connect(url, tls=ssl.create_default_context(cafile=str(theirs.ca)), **login)
    served.close()


async def test_a_server_that_another_authority_vouches_for_is_refused(
    port: int, ours: Certificates, theirs: Certificates
) -> None:
    cert, key = ours.issue("tracker.example")
    with pytest.raises(
        ConfigError, match=r"nats_ca: .*theirs.* do not vouch for .*127\.0\.0\.1.*certificate"
    ):
        await Bus.connect(settings(port, nats_ca=theirs.ca, nats_cert=cert, nats_key=key), "test")


async def test_without_a_ca_the_systems_do_not_vouch_for_it_either(port: int) -> None:
    with pytest.raises(ConfigError, match="nats_ca: the CAs of the system do not vouch"):
        await Bus.connect(settings(port), "test")


async def test_a_certificate_of_another_name_is_refused(
    tmp_path_factory: pytest.TempPathFactory, ours: Certificates
) -> None:
    cert, key = ours.issue("elsewhere.example")
    served = serve(tmp_path_factory.mktemp("nats"), f'tls {{ cert_file: "{cert}", key_file: "{key}" }}')
    with pytest.raises(ConfigError, match=r"do not vouch .*mismatch"):
        await Bus.connect(settings(next(served), nats_ca=ours.ca), "test")
    served.close()


@pytest.mark.parametrize("shown", ["none", "a stranger's"])
async def test_the_server_refuses_whom_its_authority_does_not_know(
    shown: str, port: int, ours: Certificates, theirs: Certificates
) -> None:
    own: dict[str, Path] = {}
    if shown != "none":
        own["nats_cert"], own["nats_key"] = theirs.issue("tracker.example")
    with pytest.raises(ConfigError, match=r"nats_cert: .* is refused by tls://"):
        await Bus.connect(settings(port, nats_ca=ours.ca, **own), "test")


async def test_no_password_is_sent_to_a_server_without_tls(plain_port: int, ours: Certificates) -> None:
    with pytest.raises(ConfigError, match=r"nats_url: .* does not speak TLS"):
        await Bus.connect(settings(plain_port, nats_ca=ours.ca), "test")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"nats_ca": "missing.pem"}, "nats_ca: 'missing.pem' is not a file"),
        ({"nats_ca": __file__}, "nats_ca: .*, expected certificates in PEM"),
        ({"nats_cert": __file__}, "nats_cert, nats_key: one is set without the other"),
        ({"nats_key": __file__}, "nats_cert, nats_key: one is set without the other"),
        ({"nats_cert": __file__, "nats_key": __file__}, "nats_cert: .* expected a certificate and its key"),
    ],
)
async def test_a_wrong_file_is_named(given: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        await Bus.connect(settings(1, **given), "test")


async def test_a_key_alone_asks_for_its_certificate() -> None:
    with pytest.raises(ConfigError, match="nats_key: is set without nats_cert"):
        await Bus.connect(Settings(nats_url="nats://127.0.0.1:1", nats_key=__file__), "test")
