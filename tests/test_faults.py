"""Every fault, at every endpoint, whenever it strikes: its end is in faults.md, and it passes.

While it lasts, Home Assistant's log stays free of tracebacks. Once it is over, everything works
again without a restart; only where the sign-in is lost, the user is asked for a new one. Wherever
a redirect leads, nothing goes there.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
import gc
import logging
from pathlib import Path
import re
from typing import Any

from aiohttp.web import RequestPayloadError
import orjson
import pytest
from yarl import URL

from homeassistant.config_entries import ConfigEntryState
from homeassistant.exceptions import HomeAssistantError

from .home import FLOWS_PATH, FRONTEND_URL, HUBS_PATH, SUBSCRIPTIONS_PATH, Home, Step
from .https_proxy import HttpsProxy
from .simulator import Fault, SimHub, Simulator

# Each test is some thirty in one, on one linked account.
pytestmark = pytest.mark.timeout(300)

HOUR = 3600
# Longer than anything else waits before it is tried again.
PATIENCE = 200
# By then a subscription that works has been extended again.
EXTENDED = 67 * 60

type Fail = Callable[[], Awaitable[None]]

TOKEN = ("POST", "/identity/oauth/v2/token")
ENDPOINTS = {
    "code exchange": TOKEN,
    "refresh": TOKEN,
    "user info": ("GET", "/identity/oauth/v2/userinfo"),
    "accounts": ("GET", "/api/accounts/v1"),
    "hubs list": ("GET", HUBS_PATH),
    "single hub": ("GET", f"{HUBS_PATH}/*"),
    "spaces": ("GET", "/api/spaces/v1"),
    "state command": ("PUT", f"{HUBS_PATH}/*"),
    "subscribe": ("POST", SUBSCRIPTIONS_PATH),
    "extend": ("PATCH", f"{SUBSCRIPTIONS_PATH}*"),
    "unsubscribe": ("DELETE", f"{SUBSCRIPTIONS_PATH}*"),
}
FAULTS = {
    **{
        str(code): Fault.status(code)
        for code in (400, 401, 403, 404, 408, 409, 418, 429, 500, 502, 503, 504)
    },
    "429 with Retry-After": Fault.status(429, {"Retry-After": "120"}),
    "page": Fault.html(),
    "empty body": Fault.empty(),
    "NaN": Fault.body("NaN"),
    "deep nesting": Fault.nested(),
    "wrong charset": Fault.bad_utf8(),
    "other type": Fault.body('"a text"'),
    "null": Fault.body("null"),
    "truncated JSON": Fault.truncated(),
    "slow headers": Fault.hang(),
    "slow body": Fault.slow(100),
    "connection reset": Fault.reset(),
    "not gzip": Fault.bad_gzip(),
    "50 MB": Fault.huge(50_000_000),
    "redirect loop": Fault.redirect_loop(),
}
# How Home Assistant itself words that an update failed, as it does once for each outage.
OUTAGE = (
    "Error fetching %s data: %s",
    "Error requesting %s data: %s",
    "Authentication failed while fetching %s data: %s",
)


def tables() -> Iterator[list[dict[str, str]]]:
    """Read the tables in faults.md, each line of them by the heads of its columns."""
    text = Path(__file__).with_name("faults.md").read_text(encoding="utf-8")
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        head, _, *lines = (
            [cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()
        )
        yield [dict(zip(head, line, strict=True)) for line in lines]


GROUPS, ROWS, CALLBACKS = tables()


@dataclass
class Row:
    """A row of the big table, and where it is tried."""

    moment: str
    endpoint: str
    expected: dict[str, str]

    def __str__(self) -> str:
        return f"{self.moment}, {self.endpoint}"


def rows(*, server: bool) -> Any:
    """Return the rows, with the expected end by fault: those with a server, or without one."""
    found = []
    for line in ROWS:
        expected = {
            fault: line[group["name"]]
            for group in GROUPS
            for fault in group["faults"].split(", ")
            if line[group["name"]] != "-" and server == (group["name"] != "no server")
        }
        if expected:
            found.append(Row(line["moment"], line["endpoint"], expected))
    return pytest.mark.parametrize("row", found, ids=str)


# When it strikes


class Moment:
    """A time at which something is asked of the cloud, again and again."""

    access = "read"

    def __init__(self, home: Home, server: str, endpoint: str) -> None:
        self.home = home
        self.server = server
        self.endpoint = endpoint

    @property
    def hub(self) -> SimHub:
        return self.home.simulator.hub("Boardroom")

    async def begin(self) -> None:
        """Link the account."""
        self.home.simulator.settings.command_delay = 0
        self.home.enable_instant_updates_sensor()
        await self.home.add_credentials()
        assert (await self.dialog())["type"] == "create_entry"

    async def dialog(self, fail: Fail | None = None) -> Step:
        """Go through the dialog; the fault begins when the browser comes back."""
        home = self.home
        step = await home.submit_form(
            await home.start_flow(), server=self.server, access=self.access
        )
        location = await home.simulator.approve(
            step["url"].replace(self.server, home.simulator.url)
        )
        if fail:
            await fail()
        return await home.follow_redirect(step, location)

    async def strike(self, fail: Fail) -> str:
        """Let the fault begin and the moment come; return the end in the words of the table."""
        if self.endpoint == "refresh":
            self.home.simulator.expire_access_tokens()
        await fail()
        return await self.happen()

    async def happen(self) -> str:
        raise NotImplementedError

    async def pass_by(self) -> None:
        """Let the time pass after which all should be well; the fault is over."""
        await self.home.advance_time(PATIENCE)

    async def sign_in_again(self) -> None:
        """Go through the dialog that Home Assistant shows by itself."""
        [flow] = self.home.hass.config_entries.flow.async_progress_by_handler("ochno")
        step = await self.home.submit_form({"flow_id": flow["flow_id"]})
        url = step["url"].replace(self.server, self.home.simulator.url)
        step = await self.home.follow_redirect(step, await self.home.simulator.approve(url))
        assert step["reason"] == "reauth_successful"

    async def work(self) -> None:
        """Show that everything works, and be ready for the next fault."""
        self.replug()
        await self.home.advance_time(PATIENCE)
        assert self.shown == self.true

    def replug(self) -> None:
        """Let something change in the room."""
        (self.hub.unplug if self.hub.state["connected"][2] else self.hub.plug)(3)

    @property
    def shown(self) -> str | None:
        return self.home.state("binary_sensor", "Boardroom", "port_3_connected")

    @property
    def true(self) -> str:
        return "on" if self.hub.state["connected"][2] else "off"


class Flow(Moment):
    """The browser comes back from the sign-in page."""

    async def begin(self) -> None:
        await self.home.add_credentials()

    async def strike(self, fail: Fail) -> str:
        step = await self.dialog(fail)
        return "linked" if step["type"] == "create_entry" else step["reason"]

    async def work(self) -> None:
        for entry in self.home.hass.config_entries.async_entries("ochno"):
            assert entry.state is ConfigEntryState.LOADED
            await self.home.hass.config_entries.async_remove(entry.entry_id)
        assert (await self.dialog())["type"] == "create_entry"
        await super().work()
        await self.home.hass.config_entries.async_remove(self.home.entry.entry_id)


class Setup(Moment):
    """Home Assistant starts."""

    async def begin(self) -> None:
        self.home.simulator.settings.list_state = self.endpoint != "single hub"
        await super().begin()
        await self.home.hass.config_entries.async_unload(self.home.entry.entry_id)

    async def happen(self) -> str:
        await self.home.hass.config_entries.async_setup(self.home.entry.entry_id)
        await self.home.wait_until_idle()
        ends = {
            ConfigEntryState.LOADED: "loaded",
            ConfigEntryState.SETUP_RETRY: "retry",
            ConfigEntryState.SETUP_ERROR: "reauth",
        }
        return ends[self.home.entry.state]

    async def work(self) -> None:
        await super().work()
        await self.home.hass.config_entries.async_unload(self.home.entry.entry_id)


class Poll(Moment):
    """All hubs are asked for."""

    async def begin(self) -> None:
        self.home.simulator.settings.list_state = self.endpoint != "single hub"
        await super().begin()

    async def happen(self) -> str:
        self.replug()
        if self.endpoint == "spaces":
            await self.home.advance_time(HOUR)
        await self.home.poll(2)
        if self.home.flow_sources:
            assert self.shown == "unavailable"
            return "reauth"
        if self.shown == "unavailable":
            return "unavailable"
        return "goes on" if self.shown == self.true else "as before"

    async def pass_by(self) -> None:
        await super().pass_by()
        if not self.home.flow_sources:
            assert self.shown == self.true


class Command(Moment):
    """The user makes another port active."""

    access = "control"

    async def happen(self) -> str:
        before = self.active
        try:
            await self.switch()
        except HomeAssistantError as err:
            assert self.active == before
            return str(err.translation_key)
        return "done"

    async def work(self) -> None:
        await super().work()
        await self.switch()
        assert self.active == str(self.hub.active)

    async def switch(self) -> None:
        option = "3" if self.hub.active == 2 else "2"
        await self.home.call_action(
            "select", "select_option", "Boardroom", "active_port", option=option
        )

    @property
    def active(self) -> str | None:
        return self.home.state("select", "Boardroom", "active_port")


class Push(Moment):
    """Changes arrive at once, or are to."""

    async def begin(self) -> None:
        await self.home.set_external_url()
        await super().begin()
        await self.home.wait_until_idle()

    async def happen(self) -> str:
        match self.endpoint:
            case "single hub":
                self.replug()
                await self.home.wait_for_deliveries()
                await self.home.advance_time(2)
            case "extend":
                await self.home.advance_time(EXTENDED)
            case "delivery":
                await self.home.wait_for_deliveries()
                await self.home.advance_time(2)
            case _:
                for url in (None, FRONTEND_URL):
                    await self.home.hass.config.async_update(external_url=url)
                    await self.home.wait_until_idle()
                await self.home.poll()
        return self.end()

    def end(self) -> str:
        if self.home.flow_sources:
            return "reauth"
        if self.shown == "unavailable":
            return "unavailable"
        assert self.shown == self.true
        state = str(self.home.instant_updates_state)
        return {"failing": "polling"}.get(state, state)

    async def pass_by(self) -> None:
        await super().pass_by()
        # Subscribing is tried again ever more rarely; and what was said to be extended, and was
        # not, is found to have lapsed.
        await self.home.advance_time(EXTENDED)

    async def work(self) -> None:
        assert self.home.instant_updates_state == "active"
        # One that the cloud made or kept, but said that it had not, lapses by itself.
        for lost in self.home.simulator.subscriptions.active()[:-1]:
            lost.expires = 0
        self.replug()
        await self.home.wait_for_deliveries()
        assert self.shown == self.true
        await super().work()


class Unload(Push):
    """Home Assistant stops, or the entry is reloaded."""

    async def happen(self) -> str:
        assert await self.home.hass.config_entries.async_unload(self.home.entry.entry_id)
        return "done"

    async def pass_by(self) -> None:
        await self.home.hass.config_entries.async_setup(self.home.entry.entry_id)
        await self.home.wait_until_idle()


MOMENTS: dict[str, type[Moment]] = {
    "flow": Flow,
    "setup": Setup,
    "poll": Poll,
    "command": Command,
    "push": Push,
    "unload": Unload,
}


# The matrix


def strange(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the tracebacks and errors in the log that are not Home Assistant's own wording."""
    return [
        f"{record.name}: {record.getMessage()} {record.exc_text or ''}"
        for record in caplog.records
        if record.levelno > logging.DEBUG
        and (record.levelno >= logging.ERROR or record.exc_info)
        and not is_outage(record)
        and not is_undecodable(record)
    ]


def is_outage(record: logging.LogRecord) -> bool:
    """Whether it says that an update failed, for a reason that the integration put into words."""
    return (
        record.msg in OUTAGE
        and isinstance(record.args, tuple)
        and isinstance(record.args[1], HomeAssistantError)
    )


def is_undecodable(record: logging.LogRecord) -> bool:
    """Whether it is how aiohttp's server takes leave of a body that is not the gzip it should be.

    That comes after the integration, and every other endpoint of Home Assistant, has answered.
    """
    error = record.exc_info[1] if record.exc_info else None
    return record.name == "aiohttp.server" and isinstance(error, RequestPayloadError)


def was_asked(home: Home, method: str, path: str) -> bool:
    """Whether the simulator had a request that the fault was for."""
    return any(
        request.method == method and request.path.startswith(path.rstrip("*"))
        for request in home.simulator.requests
    )


async def time_passes(home: Home) -> None:
    """Let time pass with everything that happens, so that what never ends is given up."""
    assert home.freezer is not None
    while True:
        home.freezer.tick(0.01)
        await asyncio.sleep(0)


async def try_all(
    row: Row,
    moment: Moment,
    caplog: pytest.LogCaptureFixture,
    subtests: pytest.Subtests,
    fail: Callable[[str], Awaitable[None]],
    heal: Fail,
) -> None:
    await moment.begin()
    for fault, expected in row.expected.items():
        with subtests.test(fault=fault):
            caplog.clear()
            clock = None
            if fault.startswith("slow") or row.moment == "command":
                clock = asyncio.create_task(time_passes(moment.home))
            try:
                ends = [await moment.strike(partial(fail, fault))]
            finally:
                if clock:
                    clock.cancel()
                await heal()
            await moment.pass_by()
            if moment.home.flow_sources:
                ends = list(dict.fromkeys([*ends, "reauth"]))
                await moment.sign_in_again()
            assert ", ".join(ends) == expected
            await moment.work()
            assert strange(caplog) == []
    caplog.clear()
    gc.collect()
    assert strange(caplog) == []


@rows(server=True)
async def test_fault(
    home: Home, row: Row, caplog: pytest.LogCaptureFixture, subtests: pytest.Subtests
) -> None:
    async with Simulator() as other:
        faults = FAULTS | {
            f"redirect {code}": Fault.redirect(f"{other.url}{HUBS_PATH}", code)
            for code in (302, 307)
        }

        async def fail(fault: str) -> None:
            home.simulator.requests.clear()
            if row.endpoint == "delivery":
                await deliver(home, fault)
            else:
                home.simulator.add_fault(*ENDPOINTS[row.endpoint], faults[fault], times=None)

        async def heal() -> None:
            home.simulator.clear_faults()
            assert row.endpoint == "delivery" or was_asked(home, *ENDPOINTS[row.endpoint])

        moment = MOMENTS[row.moment](home, home.simulator.url, row.endpoint)
        await try_all(row, moment, caplog, subtests, fail, heal)
        assert other.requests == []


@pytest.fixture
async def https_proxy(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[HttpsProxy]:
    """Put the internet in front of the simulator."""
    async with HttpsProxy(simulator.port, tmp_path, monkeypatch) as https_proxy:
        yield https_proxy


@rows(server=False)
async def test_no_server(
    https_proxy: HttpsProxy,
    home: Home,
    row: Row,
    caplog: pytest.LogCaptureFixture,
    subtests: pytest.Subtests,
) -> None:
    async def fail(fault: str) -> None:
        await https_proxy.inject_fault(fault)
        # Home Assistant remembers for ten seconds where a name was found.
        await home.advance_time(11)

    moment = MOMENTS[row.moment](home, https_proxy.url, row.endpoint)
    await try_all(row, moment, caplog, subtests, fail, https_proxy.clear_faults)


# What does not come from the cloud, but from the browser, or from anybody


async def deliver(home: Home, fault: str) -> None:
    """Deliver a change to the webhook with a fault."""
    hub = home.simulator.hub("Boardroom")
    sound = orjson.dumps({"event": "hub:state:change", "hubId": hub.id, "data": {"newState": {}}})
    bodies = {
        "page": b"<!DOCTYPE html><html><p>Please accept the terms.</p></html>",
        "empty body": b"",
        "NaN": b'{"event": "hub:state:change", "data": {"newState": {"active": NaN}}}',
        "deep nesting": b"[" * 100_000,
        "wrong charset": b'{"hubId": "K\xf6k"}',
        "other type": b'"a text"',
        "null": b"null",
        "truncated JSON": sound[: len(sound) // 2],
        "50 MB": sound + b" " * 50_000_000,
    }
    body = bodies.get(fault, sound)
    [subscription] = home.simulator.subscriptions.active()
    encoding = "Content-Encoding: gzip\r\n" if fault == "not gzip" else ""
    head = (
        f"POST {URL(subscription.webhook_url).path} HTTP/1.1\r\nHost: localhost\r\n"
        f"{encoding}Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", home.client.port)
    pieces = {
        "slow headers": [head[:40]],
        "slow body": [head, body[:20], body[20:]],
        "connection reset": [head, body[:20]],
    }
    for piece in pieces.get(fault, [head, body]):
        writer.write(piece)
        for _ in range(100):  # until it has been noticed
            await asyncio.sleep(0)
    if fault not in ("slow headers", "connection reset"):
        assert b" 200 OK" in await reader.readline()
    writer.transport.abort()


@pytest.mark.parametrize("line", CALLBACKS, ids=lambda line: line["what the browser brings back"])
async def test_callback(home: Home, line: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    flow = Flow(home, home.simulator.url, "callback")
    await flow.begin()
    step = await home.submit_form(await home.start_flow(), server=flow.server, access="read")
    location = URL(await home.simulator.approve(step["url"]), encoded=True)
    state = location.query["state"]
    query = {
        "a made-up code": {"state": state, "code": "made-up"},
        "neither code nor error": {"state": state},
        "no state": {"code": "made-up"},
        "a made-up state": {"state": "made-up", "code": "made-up"},
        "nothing": {},
    }
    what = line["what the browser brings back"]
    sent = query.get(what, {"state": state, "error": what})
    async with home.client.get(location.path, params=sent) as answer:
        assert answer.status in (200, 400)
    step = await home.request("GET", f"{FLOWS_PATH}/{step['flow_id']}")
    await home.wait_until_idle()
    if line["the dialog"] == "waits":
        assert step["type"] == "external"
        assert (await home.follow_redirect(step, str(location)))["type"] == "create_entry"
    else:
        assert step["reason"] == line["the dialog"]
        await flow.work()
    assert strange(caplog) == []
