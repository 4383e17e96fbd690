import pytest

from gateway.kernel.errors import NotAllowed, Rejected, Unavailable
from gateway.outbound.targets import TargetRules, pin

PUBLIC = "93.184.215.14"


def resolving_to(*addresses):
    async def resolve(host, port):
        return addresses

    return resolve


async def test_a_public_name_is_pinned_to_the_address_it_resolved_to():
    target = await pin("https://Hooks.Example:8443/in?x=1", TargetRules(), resolving_to(PUBLIC))
    assert (target.host, target.port, target.address) == ("hooks.example", 8443, PUBLIC)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "240.0.0.1",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    ],
)
async def test_no_address_that_is_not_public_is_reached_by_name_or_as_itself(address):
    with pytest.raises(NotAllowed):
        await pin("https://hooks.example/", TargetRules(), resolving_to(address))
    literal = f"[{address}]" if ":" in address else address
    with pytest.raises(NotAllowed):
        await pin(f"https://{literal}/", TargetRules())


async def test_one_private_address_among_public_ones_is_enough_to_refuse():
    with pytest.raises(NotAllowed):
        await pin("https://hooks.example/", TargetRules(), resolving_to(PUBLIC, "10.0.0.1"))


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/",
        "https://user:pw@hooks.example/",
        "https://hooks.example/#part",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://0177.0.0.1/",
        "https://hooks.example:0/",
        "https://hooks.example:99999/",
        "https://hooks.example\\@10.0.0.1/",
        "https://hooks.example/ a",
        "https://hooks.example/\r\n",
        "https://hooks.exämple/",
        "https:///path",
        "file:///etc/passwd",
        "gopher://hooks.example/",
        "https://" + "a" * 2000,
    ],
)
async def test_a_url_that_two_readers_could_read_differently_is_refused(url):
    with pytest.raises(Rejected):
        await pin(url, TargetRules(), resolving_to(PUBLIC))


async def test_loopback_and_listed_networks_are_reached_when_the_settings_allow_it():
    assert (await pin("http://127.0.0.1:8000/", TargetRules(loopback=True))).address == "127.0.0.1"
    rules = TargetRules(networks=("10.9.0.0/16",), plain_http=True)
    assert (await pin("http://partner.internal/", rules, resolving_to("10.9.1.1"))).address == "10.9.1.1"
    with pytest.raises(NotAllowed):
        await pin("http://partner.internal/", rules, resolving_to("10.8.1.1"))


async def test_a_name_without_address_is_unavailable():
    with pytest.raises(Unavailable):
        await pin("https://hooks.example/", TargetRules(), resolving_to())
