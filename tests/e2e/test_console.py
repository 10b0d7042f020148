"""The operators' console, by clicks and keys in a real Chromium, against the stack."""

import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect
from solders.keypair import Keypair

from contracts.dead import DeadLetterSettled
from contracts.mint import FailureCode
from contracts.observation import CollectionDrift, Difference, DriftKind
from tests.support.browser import (
    AXE,
    CHROMIUM,
    PATIENCE_MS,
    PHONE,
    WIDE,
    chromium,
    findings,
    overflow,
    portrait,
    settled,
    sign_in,
    visit,
    visitor,
)
from tests.support.busy_system import given_up, made_up_hour
from tests.support.stack import IMAGES, PATIENCE, URI, Asked, LiveStack, eventually

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not on the PATH: apt-get install chromium"),
]
expect.set_options(timeout=PATIENCE_MS)

COUNT = 6
LATE = 1_000_000
"""A slot that no cluster of these tests comes to."""
QUESTIONS = 12
"""Of an audit in which every message can be read, and that needs no archive."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncGenerator[Browser]:
    async with chromium() as running:
        yield running


def table_of(path: Path, names: list[str]) -> Path:
    """A CSV of names for the first images, with an attribute and a comma that has to be quoted."""
    rows = [f'{image.name},"{name}","calm, blue"' for image, name in zip(IMAGES, names, strict=False)]
    path.write_text("\n".join(["file,name,sea", *rows]))
    return path


async def choose(page: Page, *files: Path) -> None:
    await page.get_by_label("Choose files").set_input_files([str(file) for file in files])


async def test_a_drop_is_minted_by_clicks(live: LiveStack, browser: Browser, tmp_path: Path) -> None:
    created = await live.api.create_collection(IMAGES[6], name="Harbours", symbol="HARB", description="By the sea.")
    await live.api.wait_for_collection(created, within=PATIENCE)
    recipient = str(Keypair().pubkey())
    names = [f"Harbour {number}" for number in range(1, COUNT + 1)]
    async with visitor(browser, live.stack.api_url) as page:
        await page.goto("/console")
        await portrait(page, "login")
        await sign_in(page, live.stack.api_key)
        mint = page.get_by_role("button", name=f"Mint {COUNT} NFTs")

        await page.get_by_label("Recipient").fill(recipient)
        await choose(page, *IMAGES[:COUNT], table_of(tmp_path / "one row too few.csv", names[:-1]))
        await expect(page.get_by_role("alert")).to_contain_text(f"{IMAGES[COUNT - 1].name} has no row in the table")
        await expect(mint).to_be_disabled()
        await choose(page, *IMAGES[:COUNT], table_of(tmp_path / "names.csv", names))
        await expect(page.get_by_text("Costs at most")).to_be_visible()
        await expect(page.locator(".gallery img")).to_have_count(COUNT)
        await portrait(page, "drop")

        await mint.click()
        await expect(page.get_by_text(f"{COUNT} of {COUNT} minted")).to_be_visible()
        await expect(page.locator(".items .name")).to_have_text(names)
        assert await page.locator(".items img").first.evaluate("image => image.decode().then(() => image.naturalWidth)")
        operation = await page.locator(".operation").get_attribute("data-operation")
        assert operation is not None

        await visit(page, f"/operations?recipient={recipient}")
        await page.locator("tbody a").first.click()
        await expect(page.get_by_text(operation, exact=True)).to_be_visible()
        asked = Asked(operation=UUID(operation), collection={}, recipient=recipient, names=tuple(names), after=0)
        await live.finalized(asked)
        await page.get_by_role("button", name="Audit it").click()
        await expect(page.get_by_text("proven:")).to_be_visible()
        await expect(page.locator(".findings > li")).to_have_count(QUESTIONS)
        await page.locator(".findings summary", has_text="on chain").click()
        await expect(page.locator(".findings a").first).to_have_attribute("href", re.compile("cluster=custom"))
        await portrait(page, "audit")
        await page.get_by_text("Timeline").click()
        await expect(page.get_by_text(f"Settled: {COUNT} minted, 0 failed, 0 cancelled")).to_be_visible()
        await page.emulate_media(color_scheme="dark")
        await portrait(page, "operation")
        link = await page.locator(".items a").first.get_attribute("href")
        assert link is not None
        assert "cluster=custom" in link

    status = await live.api.status(operation)
    shown = sorted(one["assetId"] for one in status["results"])
    assert shown == sorted(await live.chain.assets_of(recipient))
    timeline = (await live.http.get(f"/api/mint/operations/{operation}/timeline")).json()["data"]["events"]
    sea = {one["attributes"][0]["value"] for one in timeline[0]["data"]["nfts"]}
    assert sea == {"calm, blue"}


async def test_an_operation_is_found_by_whatever_one_has_of_it(live: LiveStack, browser: Browser) -> None:
    asked = await live.ask(await live.collection(), 6, batch_size=3)
    results = (await live.settled(asked.operation))["results"]
    asset, sent = results[4]["assetId"], results[4]["signature"]
    together = sum(one["signature"] == sent for one in results)
    nobodys = str(Keypair().sign_message(b""))
    async with visitor(browser, live.stack.api_url) as page:
        await sign_in(page, live.stack.api_key)

        async def search(text: str) -> None:
            await visit(page, "/operations")
            await page.get_by_label("Search").fill(text)
            await page.keyboard.press("Enter")

        for text, shown in ((str(asked.operation), 6), (asset, 1), (sent, together)):
            await search(text)
            await expect(page.get_by_text(str(asked.operation), exact=True)).to_be_visible()
            await expect(page.locator(".operation .items .name")).to_have_count(shown)
        await page.get_by_role("button", name="Show all").click()
        await expect(page.locator(".operation .items .name")).to_have_count(6)
        await search(asked.recipient)
        await expect(page.locator("tbody tr")).to_have_count(1)
        await expect(page.get_by_text("6 of 6")).to_be_visible()
        await expect(page.get_by_label("Search")).to_have_value(asked.recipient)
        await search(asked.collection["id"])
        await expect(page.get_by_role("heading", name="Trees")).to_be_visible()
        for text, told in (
            (nobodys, "with this transaction"),
            (str(Keypair().pubkey()), "minted this NFT, or minted for"),
        ):
            await search(text)
            await expect(page.get_by_text(told)).to_be_visible()
        await search("harbour 3")
        await expect(page.get_by_role("alert")).to_contain_text("no operation's id, wallet, NFT or transaction")


async def test_an_answer_that_is_lost_mints_nothing_twice(live: LiveStack, browser: Browser) -> None:
    await live.collection()
    recipient = str(Keypair().pubkey())
    async with visitor(browser, live.stack.api_url) as page:
        await sign_in(page, live.stack.api_key)
        await page.get_by_label("Recipient").fill(recipient)
        await choose(page, *IMAGES[:2])
        await page.evaluate(LOSE_THE_FIRST)
        await page.get_by_role("button", name="Mint 2 NFTs").click()
        await expect(page.get_by_text("2 of 2 minted")).to_be_visible()
        keys = await page.evaluate("window.keys")
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert len(await live.chain.assets_of(recipient)) == 2


LOSE_THE_FIRST = """() => {
  const real = window.fetch;
  window.keys = [];
  window.fetch = async (path, init) => {
    const answer = await real(path, init);
    if (path !== "/api/mint/batch") return answer;
    window.keys.push(new Headers(init.headers).get("Idempotency-Key"));
    if (window.keys.length === 1) throw new TypeError("the connection broke");
    return answer;
  };
}"""


async def test_a_page_that_has_lost_its_server_says_so_until_it_is_back(live: LiveStack, browser: Browser) -> None:
    asked = await live.ask(await live.collection(), 1)
    await live.settled(asked.operation)
    async with visitor(browser, live.stack.api_url) as page:
        await sign_in(page, live.stack.api_key)
        await page.route("**/events**", lambda route: route.abort())
        await visit(page, f"/operations/{asked.operation}")
        told = page.get_by_text("What is shown may be old")
        await expect(told).to_be_visible()
        await expect(page.get_by_role("link", name=asked.collection["name"])).to_be_visible()
        await page.unroute("**/events**")
        await expect(told).to_be_hidden()
        await page.route("**/api/stats/overview", lambda route: route.abort())
        await visit(page, "/system")
        await expect(page.get_by_text("Totals: The server cannot be reached")).to_be_visible()
        await expect(page.get_by_role("heading", name="Services")).to_be_visible()
        for lost in ("**/console/config.json", "**/api/auth/me"):
            await page.route(lost, lambda route: route.abort())
            await page.reload()
            await expect(page.get_by_role("alert")).to_have_text("The server cannot be reached")
            await page.unroute(lost)
            await page.get_by_role("button", name="Try again").click()
            await expect(page.get_by_role("button", name="Sign out")).to_be_visible()


async def test_what_failed_is_told_with_its_cause_and_minted_anew(live: LiveStack, browser: Browser) -> None:
    live.stack.reconfigure("minter", TREE_SUCCESSOR_AT="1")
    live.stack.kill("minter")
    await live.stack.wait("minter")
    asked = await live.ask(await live.collection("v2", tree={"maxDepth": 3}), 10, batch_size=10)
    await live.settled(asked.operation)
    live.stack.reconfigure("minter", TREE_SUCCESSOR_AT="0.9")
    live.stack.kill("minter")
    await live.stack.wait("minter")
    async with visitor(browser, live.stack.api_url) as page:
        await sign_in(page, live.stack.api_key)
        await visit(page, f"/operations/{asked.operation}")
        await expect(page.get_by_text("8 of 10 minted")).to_be_visible()
        await page.get_by_label("NFTs to show").select_option("failed")
        await expect(page.locator(".trouble")).to_have_count(2)
        await expect(page.locator(".trouble").first).to_contain_text(FailureCode.TREE_FULL)
        await page.get_by_role("button", name="Mint the failed ones again").click()
        await expect(page.get_by_text("2 of 2 minted")).to_be_visible()
    assert len(await live.chain.assets_of(asked.recipient)) == 10


async def test_an_operation_is_cancelled_by_a_click(live: LiveStack, browser: Browser) -> None:
    collection = await live.collection()
    body = {
        "collectionId": collection["id"],
        "recipient": str(Keypair().pubkey()),
        "nfts": [{"name": f"Slow {number}", "image": URI} for number in range(20)],
        "batchSize": 2,
        "delayBetweenBatches": 5000,
    }
    operation = (await live.http.post("/api/mint/batch", json=body)).json()["data"]["transactionId"]
    async with visitor(browser, live.stack.api_url) as page:
        page.on("dialog", lambda dialog: dialog.accept())
        await sign_in(page, live.stack.api_key)
        await visit(page, f"/operations/{operation}")
        await expect(page.get_by_text("2 of 20 minted")).to_be_visible()
        await page.get_by_role("button", name="Cancel what is not signed yet").click()
        await expect(page.locator(".pill.cancelled").first).to_be_visible()
    status = await live.settled(UUID(operation))
    assert status["status"] == "cancelled"


async def test_a_collection_is_created_with_its_cost_before(live: LiveStack, browser: Browser) -> None:
    async with visitor(browser, live.stack.api_url) as page:
        await sign_in(page, live.stack.api_key)
        await visit(page, "/collections/new")
        await page.get_by_label("Name").fill("Lighthouses")
        await page.get_by_label("Symbol").fill("LIGHT")
        await page.get_by_label("Image").set_input_files(str(IMAGES[3]))
        await page.get_by_label("Size of a tree").select_option("3")
        await expect(page.get_by_text("8 NFTs", exact=True).last).to_be_visible()
        await portrait(page, "new-collection")
        await page.get_by_role("button", name="Create").click()
        await expect(page.get_by_text("0 of 8 minted")).to_be_visible()
        await page.get_by_role("button", name="Count on chain").click()
        await expect(page.get_by_text("As many on chain as was shown: 0 of 8.")).to_be_visible()
        await page.get_by_label("Takes mints").click()
        await expect(page.get_by_role("link", name="Mint into it")).to_have_count(0)
        identifier = page.url.rsplit("/", 1)[1]
    assert (await live.http.get(f"/api/collections/{identifier}")).json()["data"]["allowMinting"] is False


async def test_the_system_is_shown_and_a_dead_letter_is_decided_about(live: LiveStack, browser: Browser) -> None:
    collection = await live.collection()
    await live.settled((await live.ask(collection, 3)).operation)
    busy = await made_up_hour(live)
    first, second = await given_up(live, UUID(collection["id"]))
    async with visitor(browser, live.stack.api_url) as page:
        page.on("dialog", lambda dialog: dialog.accept())
        await sign_in(page, live.stack.api_key)
        await visit(page, "/system")
        await expect(part(page, "Services").locator("tbody .pill.ready")).to_have_count(5)
        await expect(part(page, "Solana nodes").locator("tbody .pill.ok")).to_have_count(1)
        await page.get_by_text("Consumers that have nothing to do").click()
        await expect(part(page, "Consumers of the log").get_by_text("minter-mint", exact=True)).to_be_visible()
        await page.get_by_text("Consumers that have nothing to do").click()

        bars = page.locator(".chart").first.locator("svg .good")
        assert await bars.count() >= busy  # and those of what was minted here
        await expect(page.locator(".chart svg polyline")).not_to_have_count(0)
        await portrait(page, "system")
        await page.get_by_text("As a table").first.click()
        assert await page.locator(".chart").first.locator("tbody tr").count() >= busy
        await page.get_by_role("button", name="Last day").click()
        await expect(page.get_by_role("heading", name="NFTs by the hour")).to_be_visible()
        assert 1 <= await bars.count() <= 3

        letters = page.get_by_label("Dead letters", exact=True)
        await expect(letters.get_by_text("2 open ones")).to_be_visible()
        await letters.get_by_text("Message").first.click()
        await expect(letters.get_by_text('"type": "collection.sync_requested.v1"')).to_be_visible()
        await letters.get_by_role("button", name=f"Replay letter {first}").click()
        await expect(letters.get_by_text("1 open one")).to_be_visible()
        await letters.get_by_role("button", name=f"Replay letter {second}").click()
        await expect(letters.get_by_role("alert")).to_contain_text("something else was said")
        await letters.get_by_role("button", name=f"Drop letter {second}").click()
        await expect(letters.get_by_text("None: every message was handled.")).to_be_visible()
    decided = [each.data for each in await live.dead_letters() if isinstance(each.data, DeadLetterSettled)]
    assert [(each.letter, each.outcome, each.caller) for each in decided] == [
        (first, "replayed", "api-key"),
        (second, "dropped", "api-key"),
    ]


def part(page: Page, heading: str) -> Locator:
    """The part of the page under a heading."""
    return page.locator("section.card").filter(has=page.get_by_role("heading", name=heading, exact=True))


async def test_a_collection_tells_its_trees_and_how_it_compares_with_the_chain(
    live: LiveStack, browser: Browser
) -> None:
    created = await live.api.create_collection(
        IMAGES[2], name="Piers", symbol="PIER", description="Where the boats land.", tree={"maxDepth": 3}, trees=2
    )
    collection = await live.api.wait_for_collection(created, within=PATIENCE)
    asked = await live.ask(collection, 5)
    results = (await live.settled(asked.operation))["results"]
    path = f"/api/collections/{collection['id']}"

    async def counted() -> bool:
        trees = (await live.http.get(path)).json()["data"]["trees"]
        return [tree["state"] for tree in trees] == ["open", "open"] and sum(tree["minted"] for tree in trees) == 5

    await eventually(counted, "the chain is counted")
    await live.log.publish(planted(UUID(collection["id"]), results), cause=None)
    await eventually(lambda: said_of(live, path), "the difference is in the tables")
    async with visitor(browser, live.stack.api_url) as page:
        await sign_in(page, live.stack.api_key)
        await visit(page, f"/collections/{collection['id']}")
        trees = page.get_by_role("region", name="Trees")
        await expect(trees.locator("tbody tr")).to_have_count(2)
        fills = await trees.locator("progress").evaluate_all("bars => bars.map((bar) => bar.value)")
        assert sum(fills) == 5
        await expect(trees.get_by_text(re.compile(r"depth 3 · buffer \d+ · canopy \d+")).first).to_be_visible()
        assert collection["treeAddress"] in str(await trees.locator("a").first.get_attribute("href"))
        compared = page.get_by_role("region", name="Compared with the chain")
        await expect(compared.get_by_text("1 not on chain")).to_be_visible()
        await expect(compared.get_by_text("Burned by whoever owned them.")).to_be_visible()
        assert results[0]["signature"] in str(await compared.locator("a").first.get_attribute("href"))
        await expect(compared.locator(".pill.alarm").first).to_be_visible()
        await portrait(page, "collection")
        await page.get_by_role("button", name="Count on chain").click()
        await expect(page.get_by_text("As many on chain as was shown: 5 of 16.")).to_be_visible()
        await page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        assert await overflow(page) <= 0
        await portrait(page, "collection-phone")


def planted(collection: UUID, results: list[dict[str, Any]]) -> CollectionDrift:
    """A comparison in which something is wrong, of a slot that the indexer's own do not come to."""
    lost = Difference(
        kind=DriftKind.NOT_ON_CHAIN,
        count=1,
        alarm=True,
        explanation="The log says confirmed, but the finalized chain has no such mint; the examples are signatures.",
        examples=(results[0]["signature"],),
    )
    burned = Difference(
        kind=DriftKind.BURNED,
        count=2,
        alarm=False,
        explanation="Burned by whoever owned them.",
        examples=tuple(one["assetId"] for one in results[1:3]),
    )
    behind = Difference(
        kind=DriftKind.OBSERVATION_BEHIND,
        count=1,
        alarm=False,
        explanation="Changes of the trees that no node has shown yet; the examples are their numbers.",
        examples=(f"{results[0]['assetId']}: its account",),  # wider than a phone
    )
    return CollectionDrift(
        collection=collection, slot=LATE, log=5, projection=5, chain=4, observed=4, living=2, das=2,
        differences=(lost, burned, behind),
    )  # fmt: skip


async def said_of(live: LiveStack, path: str) -> bool:
    """Whether the planted comparison is told as the newest."""
    comparisons = (await live.http.get(f"{path}/drift")).json()["data"]["comparisons"]
    return bool(comparisons) and comparisons[0]["slot"] == LATE


@pytest.mark.skipif(not AXE.exists(), reason="the npm packages are not installed: cd tests/js && npm ci")
async def test_nothing_serious_hinders_anybody_on_any_page(live: LiveStack, browser: Browser) -> None:
    collection = await live.collection()
    asked = await live.ask(collection, 3)
    await live.settled(asked.operation)
    paths = [
        *("/drop", "/operations", f"/operations/{asked.operation}", "/collections", "/collections/new"),
        *("/collections/import", f"/collections/{collection['id']}", "/system", "/nothing"),
    ]
    async with visitor(browser, live.stack.api_url, PHONE) as page:
        await page.goto("/console")
        await settled(page)
        assert [await findings(page, "light"), await findings(page, "dark")] == [[], []]
        await sign_in(page, live.stack.api_key)
        for path in paths:
            await visit(page, path)
            if path.startswith("/operations/"):
                await page.get_by_role("button", name="Audit it").click()
                await page.locator(".findings").wait_for()
            assert await overflow(page) <= 0, path
            assert await findings(page, "light") == [], path
            name = path.split("/")[1]
            if path.count("/") == 1 and name != "nothing":
                await portrait(page, f"{name}-phone")
            await page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
            assert await findings(page, "dark") == [], path
            if name in ("collections", "operations") and path.count("/") == 1:
                await portrait(page, name)
            await page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})


async def test_everything_is_reached_by_keyboard(live: LiveStack, browser: Browser) -> None:
    collection = await live.collection()
    async with visitor(browser, live.stack.api_url) as page:
        await page.goto("/console")
        await page.get_by_label("API key").focus()
        await page.keyboard.type(live.stack.api_key)
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Sign out").wait_for()
        for path in ("/drop", "/operations", "/collections/new", f"/collections/{collection['id']}", "/system"):
            await visit(page, path)
            await page.evaluate("document.activeElement.blur()")
            wanted = await page.evaluate(
                """() => [...document.querySelectorAll("a, button, input, select, textarea, summary")]
                    .filter((one) => !one.disabled && one.checkVisibility())
                    .map((one, index) => (one.dataset.t = index))"""
            )
            reached: set[int] = set()
            # A control with parts of its own (a number, a file) may take more than one press.
            for _ in range(3 * len(wanted)):
                await page.keyboard.press("Tab")
                number = await page.evaluate("document.activeElement?.dataset.t ?? null")
                reached |= {int(number)} if number is not None else set()
            assert reached == set(wanted), path


async def test_a_session_ends_with_signing_out_and_is_out_of_scripts_reach(live: LiveStack, browser: Browser) -> None:
    async with visitor(browser, live.stack.api_url) as page:
        await page.goto("/console")
        await page.get_by_label("API key").fill("mst_of_somebody_else")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_have_text("This key is unknown, expired or revoked.")
        await sign_in(page, live.stack.api_key)
        assert await page.evaluate("document.cookie") == ""
        await page.reload()
        await page.get_by_role("button", name="Sign out").click()
        await page.get_by_label("API key").wait_for()
        await page.reload()
        await page.get_by_label("API key").wait_for()


async def test_words_without_an_end_stay_on_the_page_and_no_collection_stands_in_for_another(
    live: LiveStack, browser: Browser
) -> None:
    created = await live.api.create_collection(None, name="W" * 32, symbol="W" * 10, description="w" * 500)
    other = await live.api.wait_for_collection(created, within=PATIENCE)
    asked = await live.ask(other, 1)
    await live.settled(asked.operation)
    await live.collection()  # it would be the first to choose from
    page_of = f"/collections/{other['id']}"
    async with visitor(browser, live.stack.api_url, PHONE) as page:
        await sign_in(page, live.stack.api_key)
        for path in ("/operations", "/collections", page_of, f"/operations/{asked.operation}"):
            await visit(page, path)
            assert await overflow(page) <= 0, path
        await page.get_by_role("link", name=other["name"]).click()
        await page.get_by_role("link", name="Mint into it").click()
        await expect(page.get_by_label("Collection")).to_have_value(other["id"])
        assert await overflow(page) <= 0
        await choose(page, IMAGES[0])
        await expect(page.get_by_text("Recipient has to be the address of a wallet.")).to_be_visible()
        (await live.http.patch(f"/api{page_of}", json={"allowMinting": False})).raise_for_status()
        await page.reload()
        await expect(page.get_by_text("takes no mints now: it is paused.")).to_be_visible()
        await page.goto("/docs")
        await page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        assert await overflow(page) <= 0


TABLES = [
    ("a.csv", 'file,name,copies,hat\r\n1.png,"One, ""the"" first",2,red\r\n\r\n2.png,Two,,\r\n', ["1.png", "2.png"]),
    ("a.json", '[{"file": "1.png", "name": "One", "attributes": {"hat": "red"}}]', ["1.png"]),
    ("1.json", '{"name": "One", "image": "https://x/y.png", "attributes": [{"trait_type": "hat", "value": 3}]}', ["1"]),
]


@pytest.mark.parametrize(("name", "text", "files"), TABLES, ids=["csv", "list", "one file each"])
async def test_tables_are_read(live: LiveStack, browser: Browser, name: str, text: str, files: list[str]) -> None:
    async with visitor(browser, live.stack.api_url) as page:
        await page.goto("/console")
        read = "async ([name, text]) => (await import('/console/table.js')).readTable(name, text)"
        rows = await page.evaluate(read, [name, text])
    assert [row["file"] for row in rows] == files
    assert rows[0]["name"].startswith("One")
    assert [one["trait_type"] for one in rows[0]["attributes"]] == ["hat"]
    if name == "a.csv":
        assert (rows[0]["name"], rows[0]["copies"], rows[1]["copies"]) == ('One, "the" first', 2, 1)
        assert rows[1]["attributes"] == []


async def test_a_wallet_that_is_there_is_offered(live: LiveStack, browser: Browser) -> None:
    keypair = Keypair()

    def sign(message: list[int]) -> list[int]:
        return list(bytes(keypair.sign_message(bytes(message))))

    async with visitor(browser, live.stack.api_url) as page:
        await cast("Any", page).expose_function("sign", sign)  # its callback has no type
        await page.add_init_script(WALLET.replace("ADDRESS", str(keypair.pubkey())))
        await page.goto("/console")
        await page.get_by_role("button", name="Paper wallet").click()
        await page.get_by_role("button", name="Sign out").wait_for()
        await expect(page.get_by_text(f"wallet:{keypair.pubkey()}")).to_be_visible()
        await expect(page.get_by_text("Minting here needs a key")).to_be_visible()


WALLET = """
const account = { address: "ADDRESS", chains: ["solana:mainnet"], features: ["solana:signMessage"] };
const wallet = {
  name: "Paper wallet", icon: "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>", accounts: [account],
  features: {
    "standard:connect": { connect: async () => ({ accounts: [account] }) },
    "solana:signMessage": { signMessage: async ({ message }) =>
      [{ signedMessage: message, signature: new Uint8Array(await window.sign([...message])) }] },
  },
};
addEventListener("wallet-standard:app-ready", (event) => event.detail.register(wallet));
dispatchEvent(new CustomEvent("wallet-standard:register-wallet", { detail: ({ register }) => register(wallet) }));
"""
