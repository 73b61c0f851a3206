"""The certificate of a node on its way from the files to its workers and to its report."""

import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.certificates.keeper import CertificateKeeper
from node.engine.builtin.engine import BuiltinEngine
from node.engine.interface import EngineError
from node.settings import read_settings
from node.state.local_copy import LocalCopy, StoredProxy
from shared.proxies import ProxyRecord
from tests.clients.origins import certificate
from tests.clients.streams import HERE, LOCAL, record
from tests.clients.tls import TlsClient, in_thread
from tests.tls.authority import Authority


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[BuiltinEngine]:
    async with BuiltinEngine(tmp_path / "builtin", listen=HERE, workers=1, allow_destinations=LOCAL) as opened:
        yield opened
        await opened.halt()


def keeper_of(engine: BuiltinEngine, folder: Path, copy: LocalCopy | None = None, **files: Path) -> CertificateKeeper:
    settings = read_settings({"NODE_DATA_DIR": str(folder), **{name: str(path) for name, path in files.items()}})
    keeper = CertificateKeeper(settings, copy or LocalCopy(ip=HERE), engine.use_certificate)
    engine.certify = keeper.ensure
    return keeper


def copy_with(proxy: ProxyRecord) -> LocalCopy:
    stored = StoredProxy(id=proxy.id, version=1, content=7, rec_rev=1, record=proxy)
    return LocalCopy(ip=HERE, wanted={1: 1}, proxies={proxy.id: stored})


async def trusted_by(proxy: ProxyRecord, authority: str, name: str = HERE) -> bool:
    """Whether a client that knows this authority alone accepts the proxy at this name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authority)
    client = TlsClient(proxy.port, context, name=name)
    with client.sock:
        try:
            await in_thread(client.shake_hands)
        except ssl.SSLCertVerificationError:
            return False
        return True


async def test_the_first_proxy_that_speaks_tls_has_the_node_make_a_certificate_that_clients_can_verify(
    engine: BuiltinEngine, tmp_path: Path
) -> None:
    keeper = keeper_of(engine, tmp_path)
    await keeper.look()
    assert keeper.report is None
    assert not (tmp_path / "tls").exists()
    await engine.start(proxy := record(tls=True))
    assert keeper.report is not None
    assert (HERE in keeper.report.names, keeper.report.self_made) == (True, True)
    assert await trusted_by(proxy, keeper.report.pem)
    assert not await trusted_by(proxy, Authority().pem)


async def test_an_agent_that_starts_again_serves_with_the_same_certificate(
    engine: BuiltinEngine, tmp_path: Path
) -> None:
    first = keeper_of(engine, tmp_path)
    await engine.start(proxy := record(tls=True))
    again = keeper_of(engine, tmp_path, copy_with(proxy))
    await again.look()
    assert again.report == first.report


async def test_another_address_of_the_node_is_in_its_certificate_soon(engine: BuiltinEngine, tmp_path: Path) -> None:
    copy = LocalCopy(ip="192.0.2.7")
    keeper = keeper_of(engine, tmp_path, copy)
    await engine.start(proxy := record(tls=True))
    before = keeper.report
    assert before is not None
    copy.ip = "192.0.2.8"
    await keeper.look()
    assert keeper.report is not None
    assert keeper.report.pem == before.pem
    assert await trusted_by(proxy, before.pem, "192.0.2.8")


async def test_the_operators_files_are_taken_when_they_change_and_bad_ones_change_nothing(
    engine: BuiltinEngine, tmp_path: Path
) -> None:
    authority, other = Authority(), certificate(tmp_path)
    chain, key = authority.issue(tmp_path, HERE)
    keeper = keeper_of(engine, tmp_path, NODE_TLS_CERT=chain, NODE_TLS_KEY=key)
    changes: list[str] = []
    keeper.on_change = lambda: changes.append(keeper.report.problem if keeper.report is not None else "none")
    await keeper.look()
    await engine.start(proxy := record(tls=True))
    assert await trusted_by(proxy, authority.pem)
    shutil.copy(other.chain, chain)
    await keeper.look()
    await keeper.look()
    assert await trusted_by(proxy, authority.pem)
    shutil.copy(other.key, key)
    await keeper.look()
    assert await trusted_by(proxy, other.chain.read_text())
    assert changes == ["", "the private key does not belong to the certificate", ""]


async def test_a_proxy_does_not_start_with_a_certificate_that_cannot_be_used(
    engine: BuiltinEngine, tmp_path: Path
) -> None:
    gone = tmp_path / "gone.pem"
    keeper = keeper_of(engine, tmp_path, NODE_TLS_CERT=gone, NODE_TLS_KEY=gone)
    with pytest.raises(EngineError, match=r"no certificate for TLS: .*gone\.pem cannot be read"):
        await engine.start(record(tls=True))
    assert keeper.report is None


async def test_a_worker_that_dies_has_the_certificate_again(engine: BuiltinEngine, tmp_path: Path) -> None:
    keeper = keeper_of(engine, tmp_path)
    await engine.start(proxy := record(tls=True))
    await engine.upgrade()
    assert keeper.report is not None
    assert await trusted_by(proxy, keeper.report.pem)
