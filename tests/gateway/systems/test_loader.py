import httpx
import pytest
from msgspec import structs

from gateway.canonical.capabilities import ReadsCustomers, ReadsStock
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Misconfigured
from gateway.outbound.door import Outbound
from gateway.systems.loader import check_capabilities, load_system
from gateway.systems.manifest import load_manifest

from .conftest import MemoryErp, MemoryWms


@pytest.fixture
def load(tmp_path):
    (tmp_path / "key").write_text("k3y")
    given = {
        "base_url": "http://wms.example",
        "api_key": f"file:{tmp_path}/key",
        "webhook_secret": f"file:{tmp_path}/key",
    }
    outbound = Outbound(transport=lambda _: httpx.MockTransport(lambda _: httpx.Response(200)))

    def make(product="regional_wms", **settings):
        return load_system("wms_north", product, {**given, **settings}, outbound=outbound, clock=SystemClock())

    return make


def test_an_instance_offers_what_its_manifest_declares(load):
    system = load()
    assert (system.name, system.product) == ("wms_north", "regional_wms")
    assert system.offers(ReadsStock)
    assert not system.offers(ReadsCustomers)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"colour": "blue"}, "colour"),
        ({"page_size": "500"}, "page_size"),
        ({"base_url": "ftp://wms.example"}, "base URL"),
        ({"api_key": "hunter2"}, "api_key"),
        ({"api_key": "env:CROSSDOCK_NO_SUCH_VARIABLE"}, "CROSSDOCK_NO_SUCH_VARIABLE"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_name(load, settings, told):
    with pytest.raises(Misconfigured, match=told) as caught:
        load(**settings)
    assert "hunter2" not in caught.value.detail


def test_a_manifest_that_promises_too_much_or_too_little_refuses_to_start():
    manifest = load_manifest("regional_wms")
    check_capabilities(manifest, MemoryWms())
    with pytest.raises(Misconfigured, match="TakesOrders"):
        check_capabilities(manifest, MemoryErp())
    less = structs.replace(manifest, capabilities=tuple(set(manifest.capabilities) - {"ReadsStock"}))
    with pytest.raises(Misconfigured, match="ReadsStock too little"):
        check_capabilities(less, MemoryWms())
