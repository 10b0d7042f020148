"""Where callers' URLs lead: nothing of our own network is ever found, unless an operator has named it."""

import ipaddress

import pytest

from chassis.outside import MAX_ADDRESSES, AddressRefused, AddressUnknown, Destination, Destinations, is_public

PUBLIC = "93.184.215.14"
NAMES = {
    "shop.test": [PUBLIC],
    "v6.test": ["2606:2800:21f:cb07:6820:80da:af6b:8b2c"],
    "local.test": ["127.0.0.1"],
    "xn--bcher-kva.test": [PUBLIC],
    "both.test": [PUBLIC, "127.0.0.1"],
    "127.0.0.1": ["127.0.0.1"],
    "10.0.0.7": ["10.0.0.7"],
}
LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]


async def resolve(host: str) -> list[str]:
    return NAMES.get(host, [])


async def test_the_checked_address_takes_the_place_of_the_name() -> None:
    found = await Destinations(resolve).find("https://shop.test/a?b=1#c")
    assert found == Destination(url=f"https://{PUBLIC}/a?b=1", host="shop.test", name="shop.test")
    found = await Destinations(resolve, any_port=True).find("https://v6.test:8443")
    assert found.url == f"https://[{NAMES['v6.test'][0]}]:8443/"
    assert found.host == "v6.test:8443"


async def test_a_name_in_other_letters_is_asked_as_the_name_service_knows_it() -> None:
    found = await Destinations(resolve).find("https://bücher.test/")
    assert (found.host, found.name) == ("xn--bcher-kva.test", "xn--bcher-kva.test")


@pytest.mark.parametrize(
    "url",
    [
        "https://\u200bü..test/",
        "http://shop.test/",
        "https://shop.test:8443/",
        "https://user:password@shop.test/",
        "https://local.test/",
        "https://both.test/",
        "https://10.0.0.7/",
        "https://[::1/",
        "https://shop.test:port/",
        "https:///a",
        "gopher://shop.test/",
        "file:///etc/passwd",
    ],
)
async def test_what_must_not_be_asked_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        await Destinations(resolve).find(url)


async def test_a_name_without_an_address_may_have_one_later() -> None:
    with pytest.raises(AddressUnknown):
        await Destinations(resolve).find("https://unknown.test/")


async def test_every_address_of_a_name_may_be_asked_but_not_many() -> None:
    addresses = [f"93.184.215.{number}" for number in (1, 2, 1, 3, 4, 5)]

    async def resolve_many(host: str) -> list[str]:
        return addresses

    found = await Destinations(resolve_many).find("https://shop.test/a")
    assert (found.url, *found.others) == tuple(
        f"https://93.184.215.{number}/a" for number in range(1, MAX_ADDRESSES + 1)
    )


async def test_an_operator_may_open_networks() -> None:
    open_here = Destinations(resolve, inside=LOOPBACK)
    assert (await open_here.find("http://local.test:9000/hook")).url == "http://127.0.0.1:9000/hook"
    assert (await open_here.find("https://shop.test/")).url == f"https://{PUBLIC}/"
    # Those networks and no other; and a name that leads to both sides is on neither.
    for url in ("https://10.0.0.7/", "https://both.test/", "http://shop.test/", "https://shop.test:8443/"):
        with pytest.raises(AddressRefused):
            await open_here.find(url)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        (PUBLIC, True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("100.64.0.1", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("::7f00:1", False),
        ("64:ff9b:1::7f00:1", False),
        ("fc00::1", False),
        ("fec0::1", False),
        ("fe80::1%eth0", False),
        ("ff02::1", False),
        ("::ffff:0:127.0.0.1", False),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
        ("fd00:ec2::254", False),
        ("5f00::1", False),
        ("100.100.100.200", False),
        ("192.0.0.192", False),
        ("168.63.129.16", False),
        ("nonsense", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public
