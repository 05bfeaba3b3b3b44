"""Fault injection: each fault at each endpoint during each operation, as listed in faults.md.

During a fault, the log has no traceback, and no redirect is followed. After the fault, everything
works again without a restart. Only if the sign-in is lost, the user must sign in again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
import gc
import logging
from pathlib import Path
import re
from typing import override

from aiohttp.web import RequestPayloadError
import orjson
import pytest
from yarl import URL

from homeassistant.config_entries import ConfigEntryState
from homeassistant.exceptions import HomeAssistantError

from .home import FLOWS_PATH, FRONTEND_URL, HUBS_PATH, SUBSCRIPTIONS_PATH, TOKEN_PATH, Home, Step
from .https_proxy import HttpsProxy
from .simulator import Fault, SimHub, Simulator

# Each test case injects about 30 faults, one after another.
pytestmark = pytest.mark.timeout(300)

HOUR = 3600
# Seconds within which the integration retries everything except a subscription.
RETRY_PERIOD = 200
# Seconds within which the integration extends or retries a subscription.
SUBSCRIPTION_PERIOD = 67 * 60

type InjectFault = Callable[[], Awaitable[None]]

TOKEN_ENDPOINT = ("POST", TOKEN_PATH)
ENDPOINTS = {
    "code exchange": TOKEN_ENDPOINT,
    "refresh": TOKEN_ENDPOINT,
    "user info": ("GET", "/identity/oauth/v2/userinfo"),
    "accounts": ("GET", "/api/accounts/v1"),
    "hub list": ("GET", HUBS_PATH),
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
    "HTML page": Fault.html(),
    "empty body": Fault.empty(),
    "NaN": Fault.body("NaN"),
    "deep nesting": Fault.nested(),
    "invalid UTF-8": Fault.bad_utf8(),
    "JSON string": Fault.body('"a text"'),
    "null": Fault.body("null"),
    "truncated JSON": Fault.truncated(),
    "slow headers": Fault.hang(),
    "slow body": Fault.slow(100),
    "connection reset": Fault.reset(),
    "invalid gzip": Fault.bad_gzip(),
    "50 MB": Fault.huge(50_000_000),
    "redirect loop": Fault.redirect_loop(),
}
# Home Assistant logs a failed update with one of these messages, once per outage.
UPDATE_FAILED_MESSAGES = (
    "Error fetching %s data: %s",
    "Error requesting %s data: %s",
    "Authentication failed while fetching %s data: %s",
)


def read_tables() -> Iterator[list[dict[str, str]]]:
    """Read the tables of faults.md. A row is a dict with the column headings as keys."""
    text = Path(__file__).with_name("faults.md").read_text(encoding="utf-8")
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        header, _, *rows = (
            [cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()
        )
        yield [dict(zip(header, row, strict=True)) for row in rows]


FAULT_GROUPS, RESULTS, CALLBACKS = read_tables()


@dataclass(frozen=True, kw_only=True)
class FaultCase:
    """An operation, an endpoint, and the expected result by fault."""

    operation: str
    endpoint: str
    expected: dict[str, str]

    def __str__(self) -> str:
        return f"{self.operation}, {self.endpoint}"


def parametrize_cases(*, unreachable: bool) -> pytest.MarkDecorator:
    """Run a test with each row of the table of results.

    The cases have only the faults of the group *unreachable*, or only all other faults.
    """
    cases = []
    for row in RESULTS:
        expected = {
            fault: row[group["group"]]
            for group in FAULT_GROUPS
            for fault in group["faults"].split(", ")
            if row[group["group"]] != "-" and unreachable == (group["group"] == "unreachable")
        }
        if expected:
            case = FaultCase(
                operation=row["operation"], endpoint=row["endpoint"], expected=expected
            )
            cases.append(case)
    return pytest.mark.parametrize("case", cases, ids=str)


class Operation:
    """Operation that sends requests to the API. It is repeated with each fault."""

    access = "read"

    def __init__(self, home: Home, server: str, endpoint: str) -> None:
        self.home = home
        self.server = server
        self.endpoint = endpoint

    @property
    def hub(self) -> SimHub:
        """The hub whose port 3 shows whether updates arrive."""
        return self.home.simulator.hub("Boardroom")

    async def prepare(self) -> None:
        """Link the account."""
        self.home.simulator.settings.command_delay = 0
        self.home.enable_instant_updates_sensor()
        await self.home.add_credentials()
        assert (await self.run_user_flow())["type"] == "create_entry"

    async def run_user_flow(self, inject_fault: InjectFault | None = None) -> Step:
        """Complete the user flow. The fault starts when the sign-in page redirects back."""
        home = self.home
        step = await home.submit_form(
            await home.start_flow(), server=self.server, access=self.access
        )
        location = await home.simulator.approve(
            step["url"].replace(self.server, home.simulator.url)
        )
        if inject_fault:
            await inject_fault()
        return await home.follow_redirect(step, location)

    async def run_with_fault(self, inject_fault: InjectFault) -> str:
        """Inject the fault, run the operation and return the result as in the table."""
        if self.endpoint == "refresh":
            self.home.simulator.expire_access_tokens()
        await inject_fault()
        return await self.run()

    async def run(self) -> str:
        """Run the operation and return the result as in the table."""
        raise NotImplementedError

    async def recover(self) -> None:
        """Advance time until the integration must have recovered. The fault has ended."""
        for _ in range(2):
            await self.home.advance_time(RETRY_PERIOD / 2)

    async def sign_in_again(self) -> None:
        """Complete the reauth flow."""
        [flow] = self.home.hass.config_entries.flow.async_progress_by_handler("ochno")
        step = await self.home.submit_form({"flow_id": flow["flow_id"]})
        url = step["url"].replace(self.server, self.home.simulator.url)
        step = await self.home.follow_redirect(step, await self.home.simulator.approve(url))
        assert step["reason"] == "reauth_successful"

    async def check_recovery(self) -> None:
        """Assert that everything works, and prepare for the next fault."""
        self.change_port()
        await self.home.advance_time(RETRY_PERIOD)
        assert self.shown_state == self.actual_state

    def change_port(self) -> None:
        """Plug in a laptop at port 3, or unplug it."""
        (self.hub.unplug if self.hub.state["connected"][2] else self.hub.plug)(3)

    @property
    def shown_state(self) -> str | None:
        """The state of port 3 in Home Assistant."""
        return self.home.state("binary_sensor", "Boardroom", "port_3_connected")

    @property
    def actual_state(self) -> str:
        """The state of port 3 in the simulator."""
        return "on" if self.hub.state["connected"][2] else "off"


class ConfigFlow(Operation):
    """Return of the browser from the sign-in page to Home Assistant."""

    @override
    async def prepare(self) -> None:
        await self.home.add_credentials()

    @override
    async def run_with_fault(self, inject_fault: InjectFault) -> str:
        step = await self.run_user_flow(inject_fault)
        return "linked" if step["type"] == "create_entry" else str(step["reason"])

    @override
    async def check_recovery(self) -> None:
        for entry in self.home.hass.config_entries.async_entries("ochno"):
            assert entry.state is ConfigEntryState.LOADED
            await self.home.hass.config_entries.async_remove(entry.entry_id)
        assert (await self.run_user_flow())["type"] == "create_entry"
        await super().check_recovery()
        await self.home.hass.config_entries.async_remove(self.home.entry.entry_id)


class Setup(Operation):
    """Setup of the entry by Home Assistant."""

    @override
    async def prepare(self) -> None:
        self.home.simulator.settings.list_state = self.endpoint != "single hub"
        await super().prepare()
        await self.home.hass.config_entries.async_unload(self.home.entry.entry_id)

    @override
    async def run(self) -> str:
        await self.home.hass.config_entries.async_setup(self.home.entry.entry_id)
        await self.home.wait_until_idle()
        results = {
            ConfigEntryState.LOADED: "loaded",
            ConfigEntryState.SETUP_RETRY: "retry",
            ConfigEntryState.SETUP_ERROR: "reauth",
        }
        return results[self.home.entry.state]

    @override
    async def check_recovery(self) -> None:
        await super().check_recovery()
        await self.home.hass.config_entries.async_unload(self.home.entry.entry_id)


class Poll(Operation):
    """Poll of all hubs by the coordinator."""

    @override
    async def prepare(self) -> None:
        self.home.simulator.settings.list_state = self.endpoint != "single hub"
        await super().prepare()

    @override
    async def run(self) -> str:
        self.change_port()
        if self.endpoint == "spaces":
            await self.home.advance_time(HOUR)
        await self.home.poll(2)
        if self.home.flow_sources:
            assert self.shown_state == "unavailable"
            return "reauth"
        if self.shown_state == "unavailable":
            return "unavailable"
        return "updated" if self.shown_state == self.actual_state else "unchanged"

    @override
    async def recover(self) -> None:
        await super().recover()
        if not self.home.flow_sources:
            assert self.shown_state == self.actual_state


class Command(Operation):
    """Command of the user that selects another active port."""

    access = "control"

    @override
    async def run(self) -> str:
        before = self.active_port
        try:
            await self.select_port()
        except HomeAssistantError as err:
            assert self.active_port == before
            return str(err.translation_key)
        return "done"

    @override
    async def check_recovery(self) -> None:
        await super().check_recovery()
        await self.select_port()
        assert self.active_port == str(self.hub.active)

    async def select_port(self) -> None:
        """Select port 2, or if it is active, port 3."""
        option = "3" if self.hub.active == 2 else "2"
        await self.home.call_action(
            "select", "select_option", "Boardroom", "active_port", option=option
        )

    @property
    def active_port(self) -> str | None:
        """The active port in Home Assistant."""
        return self.home.state("select", "Boardroom", "active_port")


class Push(Operation):
    """New subscription, extension of a subscription, or delivery."""

    @override
    async def prepare(self) -> None:
        await self.home.set_external_url()
        await super().prepare()
        await self.home.wait_until_idle()

    @override
    async def run(self) -> str:
        match self.endpoint:
            case "single hub":
                self.change_port()
                await self.home.wait_for_deliveries()
                await self.home.advance_time(2)
            case "extend":
                await self.home.advance_time(SUBSCRIPTION_PERIOD)
            case "delivery":
                await self.home.wait_for_deliveries()
                await self.home.advance_time(2)
            case _:
                for url in (None, FRONTEND_URL):
                    await self.home.hass.config.async_update(external_url=url)
                    # Changes of the URL are handled at most once a minute.
                    await self.home.advance_time(61)
                await self.home.poll()
        return self.result()

    def result(self) -> str:
        """Return the result as in the table."""
        if self.home.flow_sources:
            return "reauth"
        if self.shown_state == "unavailable":
            return "unavailable"
        assert self.shown_state == self.actual_state
        state = str(self.home.instant_updates_state)
        return {"failing": "polling"}.get(state, state)

    @override
    async def recover(self) -> None:
        await super().recover()
        # The retries have a back-off. A subscription that was not really extended expires.
        await self.home.advance_time(SUBSCRIPTION_PERIOD)

    @override
    async def check_recovery(self) -> None:
        assert self.home.instant_updates_state == "active"
        # A subscription whose response was lost remains at the simulator until it expires.
        for subscription in self.home.simulator.subscriptions.active()[:-1]:
            subscription.expires = 0
        self.change_port()
        await self.home.wait_for_deliveries()
        assert self.shown_state == self.actual_state
        await super().check_recovery()


class Unload(Push):
    """Unload of the entry by Home Assistant."""

    @override
    async def run(self) -> str:
        assert await self.home.hass.config_entries.async_unload(self.home.entry.entry_id)
        return "done"

    @override
    async def recover(self) -> None:
        await self.home.hass.config_entries.async_setup(self.home.entry.entry_id)
        await self.home.wait_until_idle()
        if self.home.entry.state is ConfigEntryState.SETUP_RETRY:
            # The fault demanded to wait.
            await self.home.advance_time(RETRY_PERIOD)


OPERATIONS: dict[str, type[Operation]] = {
    "config flow": ConfigFlow,
    "setup": Setup,
    "poll": Poll,
    "command": Command,
    "push": Push,
    "unload": Unload,
}


def unexpected_log_messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the logged errors and tracebacks that are not expected during a fault."""
    return [
        f"{record.name}: {record.getMessage()} {record.exc_text or ''}"
        for record in caplog.records
        if record.levelno > logging.DEBUG
        and (record.levelno >= logging.ERROR or record.exc_info)
        and not is_update_failed_message(record)
        and not is_payload_error(record)
    ]


def is_update_failed_message(record: logging.LogRecord) -> bool:
    """Return whether Home Assistant logged a failed update with an error of the integration."""
    return (
        record.msg in UPDATE_FAILED_MESSAGES
        and isinstance(record.args, tuple)
        and isinstance(record.args[1], HomeAssistantError)
    )


def is_payload_error(record: logging.LogRecord) -> bool:
    """Return whether the server of aiohttp logged a request body that is not valid gzip.

    It logs this after the webhook has responded, and does so for each URL of Home Assistant.
    """
    error = record.exc_info[1] if record.exc_info else None
    return record.name == "aiohttp.server" and isinstance(error, RequestPayloadError)


def was_requested(home: Home, method: str, path: str) -> bool:
    """Return whether the simulator received a request that the fault applied to."""
    return any(
        request.method == method and request.path.startswith(path.rstrip("*"))
        for request in home.simulator.requests
    )


async def advance_time_until_cancelled(home: Home) -> None:
    """Advance time in small steps, so that requests without a response time out."""
    assert home.freezer is not None
    while True:
        home.freezer.tick(0.01)
        await asyncio.sleep(0)


async def run_case(
    case: FaultCase,
    operation: Operation,
    caplog: pytest.LogCaptureFixture,
    subtests: pytest.Subtests,
    inject_fault: Callable[[str], Awaitable[None]],
    clear_faults: Callable[[], Awaitable[None]],
) -> None:
    """Run the operation with each fault, and assert the result and the recovery."""
    await operation.prepare()
    for fault, expected in case.expected.items():
        with subtests.test(fault=fault):
            caplog.clear()
            clock = None
            if fault.startswith("slow") or case.operation == "command":
                clock = asyncio.create_task(advance_time_until_cancelled(operation.home))
            try:
                results = [await operation.run_with_fault(partial(inject_fault, fault))]
            finally:
                if clock:
                    clock.cancel()
                await clear_faults()
            await operation.recover()
            if operation.home.flow_sources:
                results = list(dict.fromkeys([*results, "reauth"]))
                await operation.sign_in_again()
            assert ", ".join(results) == expected
            await operation.check_recovery()
            assert unexpected_log_messages(caplog) == []
    caplog.clear()
    # asyncio logs an exception that nobody retrieved when it deletes the task.
    gc.collect()
    assert unexpected_log_messages(caplog) == []


@parametrize_cases(unreachable=False)
async def test_fault_has_expected_result_and_recovers(
    home: Home, case: FaultCase, caplog: pytest.LogCaptureFixture, subtests: pytest.Subtests
) -> None:
    async with Simulator() as redirect_target:
        faults = FAULTS | {
            f"redirect {code}": Fault.redirect(f"{redirect_target.url}{HUBS_PATH}", code)
            for code in (302, 307)
        }

        async def inject_fault(fault: str) -> None:
            home.simulator.requests.clear()
            if case.endpoint == "delivery":
                await send_delivery(home, fault)
            else:
                home.simulator.add_fault(*ENDPOINTS[case.endpoint], faults[fault], times=None)

        async def clear_faults() -> None:
            home.simulator.clear_faults()
            assert case.endpoint == "delivery" or was_requested(home, *ENDPOINTS[case.endpoint])

        operation = OPERATIONS[case.operation](home, home.simulator.url, case.endpoint)
        await run_case(case, operation, caplog, subtests, inject_fault, clear_faults)
        assert redirect_target.requests == []


@pytest.fixture
async def https_proxy(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[HttpsProxy]:
    """Return a running HTTPS proxy to the simulator."""
    async with HttpsProxy(simulator.port, tmp_path, monkeypatch) as https_proxy:
        yield https_proxy


@parametrize_cases(unreachable=True)
async def test_unreachable_server_has_expected_result_and_recovers(
    https_proxy: HttpsProxy,
    home: Home,
    case: FaultCase,
    caplog: pytest.LogCaptureFixture,
    subtests: pytest.Subtests,
) -> None:
    async def inject_fault(fault: str) -> None:
        await https_proxy.inject_fault(fault)
        # Home Assistant caches DNS responses for ten seconds.
        await home.advance_time(11)

    operation = OPERATIONS[case.operation](home, https_proxy.url, case.endpoint)
    await run_case(case, operation, caplog, subtests, inject_fault, https_proxy.clear_faults)


async def send_delivery(home: Home, fault: str) -> None:
    """Send a delivery with a fault to the webhook."""
    hub = home.simulator.hub("Boardroom")
    valid = orjson.dumps({"event": "hub:state:change", "hubId": hub.id, "data": {"newState": {}}})
    bodies = {
        "HTML page": b"<!DOCTYPE html><html><p>Please accept the terms.</p></html>",
        "empty body": b"",
        "NaN": b'{"event": "hub:state:change", "data": {"newState": {"active": NaN}}}',
        "deep nesting": b"[" * 100_000,
        "invalid UTF-8": b'{"hubId": "K\xf6k"}',
        "JSON string": b'"a text"',
        "null": b"null",
        "truncated JSON": valid[: len(valid) // 2],
        "50 MB": valid + b" " * 50_000_000,
    }
    body = bodies.get(fault, valid)
    [subscription] = home.simulator.subscriptions.active()
    encoding = "Content-Encoding: gzip\r\n" if fault == "invalid gzip" else ""
    head = (
        f"POST {URL(subscription.webhook_url).path} HTTP/1.1\r\nHost: localhost\r\n"
        f"{encoding}Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", home.client.port)
    chunks = {
        "slow headers": [head[:40]],
        "slow body": [head, body[:20], body[20:]],
        "connection reset": [head, body[:20]],
    }
    for chunk in chunks.get(fault, [head, body]):
        writer.write(chunk)
        # Enough time for Home Assistant to read the chunk.
        for _ in range(100):
            await asyncio.sleep(0)
    if fault not in ("slow headers", "connection reset"):
        assert b" 200 OK" in await reader.readline()
    writer.transport.abort()


@pytest.mark.parametrize("row", CALLBACKS, ids=lambda row: row["callback"])
async def test_sign_in_callback_ends_flow_or_leaves_it_open(
    home: Home, row: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    flow = ConfigFlow(home, home.simulator.url, "callback")
    await flow.prepare()
    step = await home.submit_form(await home.start_flow(), server=flow.server, access="read")
    location = URL(await home.simulator.approve(step["url"]), encoded=True)
    state = location.query["state"]
    callback, result = row["callback"], row["result"]
    queries = {
        "unknown code": {"state": state, "code": "made-up"},
        "no code and no error": {"state": state},
        "no state": {"code": "made-up"},
        "unknown state": {"state": "made-up", "code": "made-up"},
        "no parameters": {},
    }
    query = queries.get(callback, {"state": state, "error": callback})
    async with home.client.get(location.path, params=query) as response:
        assert response.status in (200, 400)
    step = await home.request("GET", f"{FLOWS_PATH}/{step['flow_id']}")
    await home.wait_until_idle()
    if result == "open":
        assert step["type"] == "external"
        assert (await home.follow_redirect(step, str(location)))["type"] == "create_entry"
    else:
        assert step["reason"] == result
        await flow.check_recovery()
    assert unexpected_log_messages(caplog) == []
