"""Tests of the webhook: deliveries over HTTP, and the requests that follow them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
import json
import logging
from typing import Any, Literal
from unittest.mock import patch

from aiohttp.web import Request
import pytest
from pytest_homeassistant_custom_component.typing import WebSocketGenerator
from yarl import URL

from custom_components.ochno.webhook import _read_body
from homeassistant.components import webhook
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.setup import async_setup_component
from homeassistant.util.aiohttp import MockRequest

from .home import HUBS_PATH, Home
from .oauth import HeldResponse
from .simulator import Fault, SimHub

STATE_CHANGE = "hub:state:change"


@pytest.fixture
async def entry(home: Home) -> ConfigEntry:
    """Link the first account with an external URL. Deliveries have the verification token."""
    home.enable_instant_updates_sensor()
    await home.set_external_url()
    entry = await home.link_account(access="control")
    await home.wait_until_idle()
    assert home.instant_updates_state == "active"
    # Home Assistant requests a refresh at most every ten seconds.
    await home.advance_time(11)
    return entry


@pytest.fixture
def hub(home: Home, entry: ConfigEntry) -> SimHub:
    """Return the hub of the boardroom. Port 1 is active and has the room system."""
    hub = home.simulator.hub("Boardroom")
    assert hub.active == 1
    return hub


def connected_state(home: Home, port: int) -> str | None:
    return home.state("binary_sensor", "Boardroom", f"port_{port}_connected")


def active_port(home: Home) -> str | None:
    return home.state("select", "Boardroom", "active_port")


def count_hub_requests(home: Home) -> dict[str, int]:
    """Return the number of GET requests for hubs, by path."""
    paths = [
        request.path
        for request in home.simulator.requests
        if request.method == "GET" and HUBS_PATH in request.path
    ]
    return {path: paths.count(path) for path in paths}


def new_hub_requests(home: Home, before: dict[str, int]) -> dict[str, int]:
    """Return the number of GET requests for hubs since an earlier count, by path."""
    now = count_hub_requests(home)
    return {path: now[path] - before.get(path, 0) for path in now if now[path] != before.get(path)}


def state_change(hub: SimHub, **state: Any) -> dict[str, Any]:
    """Return the body of a delivery with these changed keys of the state."""
    return {"event": STATE_CHANGE, "hubId": hub.id, "data": {"newState": state}}


def last_delivery(home: Home) -> datetime | None:
    """Return the attribute `last_delivery` of the sensor *Instant updates*."""
    unique_id = f"{home.entry.unique_id}_instant_updates"
    entity_id = er.async_get(home.hass).async_get_entity_id("sensor", "ochno", unique_id)
    state = home.hass.states.get(entity_id or "")
    assert state is not None
    delivered_at: datetime | None = state.attributes["last_delivery"]
    return delivered_at


def entity_state(home: Home, entity_id: str | None) -> str | None:
    """Return the state of an entity. The simulator may have removed its hub."""
    state = home.hass.states.get(entity_id or "")
    return None if state is None else state.state


# Applied deliveries


@pytest.mark.parametrize("partial", [True, False], ids=["partial", "full"])
async def test_delivery_plugged_laptop_updates_port_without_request(
    home: Home, hub: SimHub, partial: bool
) -> None:
    home.simulator.settings.delivery_partial = partial
    before = count_hub_requests(home)
    hub.plug(2)
    await home.wait_for_deliveries()
    assert connected_state(home, 2) == "on"
    assert new_hub_requests(home, before) == {}


async def test_delivery_partial_state_keeps_other_values(home: Home, hub: SimHub) -> None:
    assert await home.post_to_webhook(state_change(hub, otp="warning")) == 200
    assert home.state("binary_sensor", "Boardroom", "overheating") == "on"
    assert active_port(home) == "1"
    assert connected_state(home, 1) == "on"
    assert home.state("binary_sensor", "Boardroom", "room_system") == "on"
    assert home.state("binary_sensor", "Boardroom", "connectivity") == "on"


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "text/plain", "application/vnd.ochno.event", "x", "multipart/form-data"],
)
async def test_delivery_any_content_type_is_applied(
    home: Home, hub: SimHub, content_type: str
) -> None:
    home.simulator.settings.delivery_content_type = content_type
    hub.plug(2)
    await home.wait_for_deliveries()
    assert connected_state(home, 2) == "on"


@pytest.mark.parametrize("delivery_id", ["hubId", "serialNumber", "data.hubId"])
async def test_delivery_hub_id_or_serial_number_identifies_hub(
    home: Home, hub: SimHub, delivery_id: Literal["hubId", "serialNumber", "data.hubId"]
) -> None:
    home.simulator.settings.delivery_id = delivery_id
    before = count_hub_requests(home)
    hub.plug(2)
    await home.wait_for_deliveries()
    assert connected_state(home, 2) == "on"
    await home.advance_time(1)
    assert new_hub_requests(home, before) == {f"{HUBS_PATH}/{hub.id}": 1}


async def test_delivery_serial_number_in_data_identifies_hub(home: Home, hub: SimHub) -> None:
    data = {"serialNumber": hub.serial, "newState": {"active": 2}}
    await home.post_to_webhook({"event": STATE_CHANGE, "hubId": "another-id", "data": data})
    assert active_port(home) == "2"


async def test_delivery_through_cloudhook_is_applied(
    hass: HomeAssistant, home: Home, hub: SimHub
) -> None:
    [subscription] = home.simulator.subscriptions.active()
    body = b'{"event":"hub:state:change","hubId":"%b","data":{"newState":{"active":2}}}'
    request = MockRequest(
        body % hub.id.encode(),
        mock_source="cloud",
        method="POST",
        query_string=f"verificationToken={subscription.token}",
    )
    webhook_id = URL(subscription.webhook_url).name
    response = await webhook.async_handle_webhook(hass, webhook_id, request)
    assert response.status == 200
    assert active_port(home) == "2"


async def test_instant_updates_sensor_after_delivery_has_its_time(home: Home, hub: SimHub) -> None:
    assert last_delivery(home) is None
    await home.post_to_webhook(state_change(hub, active=2))
    delivered_at = last_delivery(home)
    assert delivered_at is not None
    assert home.freezer is not None
    assert delivered_at.timestamp() == home.freezer().timestamp()


# Requests after a delivery


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("hub:con:change", {"connections": {"usb2": {"connected": True}}}),
        ("hub:config:change", {"newConfig": {"defaultport": 2}}),
        ("hub:something:new", {"newState": {"active": 4}}),
        (STATE_CHANGE, {"newState": ["active", 4]}),
        (STATE_CHANGE, {"newState": "active"}),
        (STATE_CHANGE, {"newState": None}),
        (STATE_CHANGE, ["newState"]),
        (STATE_CHANGE, None),
        (STATE_CHANGE, {"newState": {"active": 4}}),
    ],
    ids=[
        "connections",
        "config",
        "unknown_event",
        "state_is_list",
        "state_is_text",
        "state_is_null",
        "data_is_list",
        "data_is_null",
        "state",
    ],
)
async def test_delivery_any_event_fetches_hub_once(
    home: Home, hub: SimHub, event: str, data: Any
) -> None:
    home.simulator.settings.delivery_drop = True
    hub.plug(2)
    hub.set_active(2)
    before = count_hub_requests(home)
    await home.simulator.deliver(hub, event, data)
    assert active_port(home) in ("1", "4")
    await home.advance_time(1)
    assert new_hub_requests(home, before) == {f"{HUBS_PATH}/{hub.id}": 1}
    assert active_port(home) == "2"
    assert connected_state(home, 2) == "on"
    await home.advance_time(10)
    assert new_hub_requests(home, before) == {f"{HUBS_PATH}/{hub.id}": 1}


async def test_deliveries_in_quick_succession_fetch_each_hub_once(home: Home, hub: SimHub) -> None:
    focus = home.simulator.hub("Focus room")
    before = count_hub_requests(home)
    for port in (2, 3):
        hub.plug(port)
        hub.press(port)
        await home.wait_for_deliveries()
    focus.set_active(2)
    await home.wait_for_deliveries()
    await home.advance_time(1)
    assert new_hub_requests(home, before) == {
        f"{HUBS_PATH}/{hub.id}": 1,
        f"{HUBS_PATH}/{focus.id}": 1,
    }
    hub.unplug(3)
    await home.wait_for_deliveries()
    await home.advance_time(1)
    assert new_hub_requests(home, before) == {
        f"{HUBS_PATH}/{hub.id}": 2,
        f"{HUBS_PATH}/{focus.id}": 1,
    }


@pytest.mark.parametrize(("hub_count", "list_requests", "single_requests"), [(4, 0, 4), (5, 1, 0)])
async def test_deliveries_for_more_than_four_hubs_fetch_list_instead(
    home: Home, hub_count: int, list_requests: int, single_requests: int
) -> None:
    hubs = [home.simulator.add_hub(f"Room {number}") for number in range(hub_count)]
    await home.set_external_url()
    await home.link_account()
    await home.wait_until_idle()
    before = count_hub_requests(home)
    for hub in hubs:
        hub.plug(1)
    await home.wait_for_deliveries()
    await home.advance_time(1)
    requests = new_hub_requests(home, before)
    assert requests.pop(HUBS_PATH, 0) == list_requests
    assert sum(requests.values()) == single_requests


@pytest.mark.parametrize(
    "body",
    [
        {"event": STATE_CHANGE, "hubId": "new", "data": {"newState": {"active": 1}}},
        {"event": STATE_CHANGE, "serialNumber": "new", "data": {}},
        {"event": STATE_CHANGE},
        [{"event": STATE_CHANGE, "hubId": "new", "data": {"newState": {"active": 1}}}],
        STATE_CHANGE,
        17,
        True,
        None,
    ],
    ids=[
        "hub_id",
        "serial_number",
        "no_hub",
        "list",
        "text",
        "number",
        "boolean",
        "null",
    ],
)
async def test_delivery_unknown_hub_fetches_list_once(home: Home, hub: SimHub, body: Any) -> None:
    home.simulator.add_hub("Library")
    before = count_hub_requests(home)
    for _ in range(3):
        assert await home.post_to_webhook(body) == 200
    await home.advance_time(1)
    assert new_hub_requests(home, before) == {HUBS_PATH: 1}
    assert home.state("binary_sensor", "Library", "connectivity") == "on"


# Limits of the requests


def count_new_requests(home: Home, before: dict[str, int]) -> tuple[int, int]:
    """Return the number of new requests for the list and for single hubs."""
    new = new_hub_requests(home, before)
    return new.get(HUBS_PATH, 0), sum(count for path, count in new.items() if path != HUBS_PATH)


@pytest.mark.parametrize("event", ["hub:temp", "hub:charging"])
async def test_measurements_of_many_hubs_cause_no_request(
    home: Home, hub: SimHub, event: str
) -> None:
    hubs = [home.simulator.add_hub(f"Room {number}") for number in range(20)]
    await home.advance_time(122)
    before = count_hub_requests(home)
    for _ in range(20):
        for one in (hub, *hubs):
            await home.simulator.deliver(one, event, {"temp": 45, "newState": {"active": 4}})
        await home.advance_time(3)
    assert count_new_requests(home, before) == (0, 0)
    assert active_port(home) == "1"


async def test_deliveries_each_second_fetch_hubs_in_bursts_and_then_each_ten_seconds(
    home: Home, hub: SimHub
) -> None:
    before = count_hub_requests(home)
    names = ("Boardroom", "Focus room", "Workshop", "Reception")
    for _ in range(60):
        for name in names:
            await home.simulator.deliver(name, "hub:con:change", {})
        await home.advance_time(1)
    lists, fetches = count_new_requests(home, before)
    # Five in a row, and then one in ten seconds.
    assert (lists, fetches) == (0, 4 * 10)
    hub.set_active(2)
    home.simulator.settings.delivery_drop = True
    await home.simulator.deliver(hub, "hub:con:change", {})
    await home.advance_time(10)
    assert active_port(home) == "2"


async def test_delivery_of_hub_is_not_delayed_by_another_hub_that_must_wait(
    home: Home, hub: SimHub
) -> None:
    home.simulator.settings.delivery_token = None
    for _ in range(6):
        await home.simulator.deliver("Focus room", "hub:con:change", {})
        await home.advance_time(1)
    hub.plug(2)
    await home.wait_for_deliveries()
    await home.advance_time(1)
    assert connected_state(home, 2) == "on"


async def test_deliveries_for_more_than_four_hubs_fetch_only_these_if_the_list_has_no_states(
    home: Home, hub: SimHub
) -> None:
    home.simulator.settings.list_state = False
    hubs = [home.simulator.add_hub(f"Room {number}") for number in range(20)]
    await home.advance_time(122)
    before = count_hub_requests(home)
    for one in hubs[:6]:
        await home.simulator.deliver(one, "hub:con:change", {})
    await home.advance_time(1)
    assert new_hub_requests(home, before) == {f"{HUBS_PATH}/{one.id}": 1 for one in hubs[:6]}


async def test_deliveries_of_many_hubs_fetch_list_each_15_seconds(home: Home, hub: SimHub) -> None:
    hubs = [home.simulator.add_hub(f"Room {number}") for number in range(20)]
    await home.advance_time(122)
    before = count_hub_requests(home)
    for _ in range(60):
        for one in hubs:
            await home.simulator.deliver(one, "hub:con:change", {})
        await home.advance_time(1)
    assert count_new_requests(home, before) == (4, 0)
    home.simulator.settings.delivery_drop = True
    hubs[7].plug(2)
    await home.simulator.deliver(hubs[7], "hub:con:change", {})
    await home.advance_time(15)
    assert home.state("binary_sensor", "Room 7", "port_2_connected") == "on"


@pytest.mark.parametrize("body", [{"hubId": "elsewhere"}, {"event": "heartbeat"}, 17], ids=str)
async def test_deliveries_of_unknown_hub_fetch_list_once_an_hour(
    home: Home, hub: SimHub, body: Any
) -> None:
    before = count_hub_requests(home)
    for _ in range(100):
        await home.post_to_webhook(body)
        await home.advance_time(1)
    assert count_new_requests(home, before) == (1, 0)
    await home.advance_time(3600)
    before = count_hub_requests(home)
    await home.post_to_webhook(body)
    await home.advance_time(1)
    assert count_new_requests(home, before) == (1, 0)


async def test_deliveries_of_many_unknown_hubs_fetch_list_each_15_seconds(
    home: Home, hub: SimHub
) -> None:
    before = count_hub_requests(home)
    for number in range(300):
        await home.post_to_webhook({"hubId": f"forged {number}"})
        if number % 5 == 0:
            await home.advance_time(1)
    assert count_new_requests(home, before) == (4, 0)


async def test_unknown_hub_is_forgotten_after_deliveries_of_100_other_unknown_hubs(
    home: Home, hub: SimHub
) -> None:
    for number in range(101):
        await home.post_to_webhook({"hubId": f"forged {number}"})
    await home.advance_time(1)
    # The list is fetched at most once in 15 seconds.
    await home.advance_time(15)
    before = count_hub_requests(home)
    for number in range(1, 101):
        await home.post_to_webhook({"hubId": f"forged {number}"})
    await home.advance_time(1)
    assert count_new_requests(home, before) == (0, 0)
    await home.post_to_webhook({"hubId": "forged 0"})
    await home.advance_time(1)
    assert count_new_requests(home, before) == (1, 0)


async def test_delivery_fetch_fails_next_poll_updates_hub(home: Home, hub: SimHub) -> None:
    home.simulator.add_fault("GET", f"{HUBS_PATH}/{hub.id}", Fault.status(500))
    await home.simulator.deliver(hub, "hub:con:change", {})
    home.simulator.settings.delivery_drop = True
    hub.set_active(2)
    await home.advance_time(1)
    assert active_port(home) == "1"
    await home.advance_time(122)
    assert active_port(home) == "2"


async def test_hub_removed_between_delivery_and_fetch_becomes_unavailable(
    home: Home, hub: SimHub
) -> None:
    await home.post_to_webhook(state_change(hub, active=2))
    entity_id = home.entity_id("select", "Boardroom", "active_port")
    home.simulator.remove_hub("Boardroom")
    before = count_hub_requests(home)
    await home.advance_time(1)
    assert new_hub_requests(home, before) == {f"{HUBS_PATH}/{hub.id}": 1}
    await home.advance_time(122)
    assert entity_state(home, entity_id) == "unavailable"


async def test_delivery_removed_hub_keeps_it_unavailable(home: Home, hub: SimHub) -> None:
    entity_id = home.entity_id("select", "Boardroom", "active_port")
    home.simulator.remove_hub("Boardroom")
    await home.advance_time(122)
    before = count_hub_requests(home)
    assert await home.post_to_webhook(state_change(hub, active=2)) == 200
    await home.advance_time(1)
    assert new_hub_requests(home, before) == {HUBS_PATH: 1}
    assert entity_state(home, entity_id) == "unavailable"


async def test_hub_removed_during_fetch_stays_unavailable(home: Home, hub: SimHub) -> None:
    home.simulator.add_fault("GET", f"{HUBS_PATH}/{hub.id}", Fault.delay(1000))
    await home.simulator.deliver(hub, "hub:con:change", {})
    path = f"{HUBS_PATH}/{hub.id}"
    entity_id = home.entity_id("select", "Boardroom", "active_port")
    home.fire_time_changed(1)
    await home.wait_until(lambda: home.count_requests(path))
    home.simulator.remove_hub("Boardroom")
    assert await async_setup_component(home.hass, "homeassistant", {})
    action = home.hass.services.async_call(
        "homeassistant", "update_entity", {"entity_id": entity_id}, blocking=True
    )
    poll = asyncio.create_task(action)
    await home.wait_until(lambda: entity_state(home, entity_id) == "unavailable")
    home.simulator.clear_faults()
    await poll
    await home.wait_until_idle()
    assert entity_state(home, entity_id) == "unavailable"


async def test_unload_between_delivery_and_fetch_sends_no_request(
    hass: HomeAssistant, home: Home, hub: SimHub
) -> None:
    before = count_hub_requests(home)
    await home.post_to_webhook(state_change(hub, active=2))
    await hass.config_entries.async_unload(home.entry.entry_id)
    await home.advance_time(1)
    assert new_hub_requests(home, before) == {}


# Dropped deliveries

INVALID_BODIES = {
    "not_json": b"hello",
    "form": b"hubId=1&event=hub%3Astate%3Achange",
    "empty": b"",
    "bad_utf8": b'{"event": "hub:state:change", "hubId": "\xff\xfe"}',
    "nested": b"[" * 100_000,
    "truncated": b'{"event": "hub:state:change", "data": {"newState": {"act',
    "too_long": b'{"event": "hub:state:change"}' + b" " * 256 * 1024,
}


@pytest.mark.parametrize("body", INVALID_BODIES.values(), ids=INVALID_BODIES)
async def test_delivery_invalid_body_is_dropped_without_error(
    home: Home, hub: SimHub, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    caplog.clear()
    home.simulator.settings.delivery_drop = True
    hub.set_active(2)
    before = count_hub_requests(home)
    assert await home.post_to_webhook(body) == 200
    await home.advance_time(1)
    assert new_hub_requests(home, before) == {}
    assert active_port(home) == "1"
    assert last_delivery(home) is None
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_delivery_too_long_is_dropped_before_its_end_arrives(home: Home, hub: SimHub) -> None:
    end = asyncio.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield b" " * (256 * 1024 + 1)
        await end.wait()

    [subscription] = home.simulator.subscriptions.active()
    path = URL(subscription.webhook_url).path
    request = asyncio.create_task(home.client.post(path, data=parts()))
    await home.wait_until(request.done)
    async with await request as response:
        assert response.status == 200
    end.set()
    assert last_delivery(home) is None


async def test_delivery_maximum_length_is_applied(home: Home, hub: SimHub) -> None:
    body = b'{"event":"hub:state:change","hubId":"%b","data":{"newState":{"active":2}}}'
    [subscription] = home.simulator.subscriptions.active()
    query = {"verificationToken": subscription.token}
    body = (body % hub.id.encode()).ljust(256 * 1024)
    assert await home.post_to_webhook(body, query=query) == 200
    assert active_port(home) == "2"


@pytest.mark.parametrize(
    "token",
    ["guessed", "", "käse", "\ud800", 17, True, ["x"]],
    ids=["guess", "empty", "not ASCII", "lone surrogate", "number", "boolean", "list"],
)
@pytest.mark.parametrize("in_data", [False, True], ids=["body", "data"])
async def test_delivery_wrong_token_in_body_is_dropped_without_error(
    home: Home, hub: SimHub, caplog: pytest.LogCaptureFixture, in_data: bool, token: Any
) -> None:
    caplog.clear()
    message = state_change(hub, active=2)
    (message["data"] if in_data else message)["verificationToken"] = token
    before = count_hub_requests(home)
    # orjson cannot write the lone surrogate; json escapes it.
    assert await home.post_to_webhook(json.dumps(message).encode()) == 200
    await home.advance_time(1)
    assert active_port(home) == "1"
    assert new_hub_requests(home, before) == {}
    assert last_delivery(home) is None
    assert "Traceback" not in caplog.text


async def test_delivery_token_header_not_utf8_is_dropped_without_error(
    home: Home, hub: SimHub, caplog: pytest.LogCaptureFixture
) -> None:
    [subscription] = home.simulator.subscriptions.active()
    url = URL(subscription.webhook_url)
    body = json.dumps(state_change(hub, active=2))
    request = f"POST {url.path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    # HTTP clients refuse to send such a header.
    reader, writer = await asyncio.open_connection("127.0.0.1", home.client.port)
    writer.write(request.encode() + b"X-Verification-Token: \xff\r\n\r\n" + body.encode())
    assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    writer.close()
    assert active_port(home) == "1"
    assert last_delivery(home) is None
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("place", ["verificationToken", "header", "query"])
async def test_delivery_token_in_any_place_is_checked(
    home: Home, hub: SimHub, place: Literal["verificationToken", "header", "query"]
) -> None:
    home.simulator.settings.delivery_token = place
    before = count_hub_requests(home)
    data = {"newState": {"active": 2}}
    [delivery] = await home.simulator.deliver(hub, STATE_CHANGE, data, token="wrong")
    assert delivery.status == 200
    await home.advance_time(1)
    assert active_port(home) == "1"
    assert new_hub_requests(home, before) == {}
    [delivery] = await home.simulator.deliver(hub, STATE_CHANGE, data)
    assert delivery.status == 200
    assert active_port(home) == "2"


@pytest.mark.parametrize(
    "name",
    ["verificationToken", "Verification-Token", "X-Verification-Token", "x_verification_token"],
)
@pytest.mark.parametrize("place", ["query", "headers"])
async def test_delivery_token_in_header_or_query_under_any_name_is_checked(
    home: Home, hub: SimHub, name: str, place: str
) -> None:
    [subscription] = home.simulator.subscriptions.active()
    for token, expected in (("wrong", "1"), (subscription.token, "2")):
        await home.post_to_webhook(state_change(hub, active=2), **{place: {name: token}})
        assert active_port(home) == expected


async def test_delivery_right_token_in_data_and_wrong_token_in_body_is_dropped(
    home: Home, hub: SimHub
) -> None:
    [subscription] = home.simulator.subscriptions.active()
    message = state_change(hub, active=2)
    message["data"]["verificationToken"] = subscription.token
    await home.post_to_webhook({**message, "verificationToken": "wrong"})
    assert active_port(home) == "1"
    await home.post_to_webhook(message)
    assert active_port(home) == "2"


async def test_delivery_token_of_previous_subscription_is_dropped(
    hass: HomeAssistant, home: Home, hub: SimHub
) -> None:
    [previous] = home.simulator.subscriptions.active()
    await hass.config_entries.async_reload(home.entry.entry_id)
    await home.wait_until_idle()
    await home.post_to_webhook({**state_change(hub, active=2), "verificationToken": previous.token})
    assert active_port(home) == "1"


async def test_webhook_other_method_or_unknown_id_changes_nothing(home: Home, hub: SimHub) -> None:
    [subscription] = home.simulator.subscriptions.active()
    before = count_hub_requests(home)
    path, message = URL(subscription.webhook_url).path, state_change(hub, active=2)
    for method in ("GET", "PUT"):
        async with home.client.request(method, path, json=message) as response:
            assert response.status == 405
    async with home.client.post("/api/webhook/guessed", json=message) as response:
        assert response.status == 200
    await home.advance_time(1)
    assert active_port(home) == "1"
    assert new_hub_requests(home, before) == {}


async def test_webhook_list_shows_domain_and_account(
    hass: HomeAssistant, hass_ws_client: WebSocketGenerator, entry: ConfigEntry
) -> None:
    websocket = await hass_ws_client(hass)
    await websocket.send_json_auto_id({"type": "webhook/list"})
    [webhook_info] = (await websocket.receive_json())["result"]
    assert (webhook_info["domain"], webhook_info["name"]) == ("ochno", entry.title)


# Order of deliveries and responses


async def test_delivery_repeated_fetches_hub_once(home: Home, hub: SimHub) -> None:
    home.simulator.settings.delivery_repeat = 2
    before = count_hub_requests(home)
    hub.plug(2)
    await home.wait_for_deliveries()
    await home.advance_time(1)
    assert new_hub_requests(home, before) == {f"{HUBS_PATH}/{hub.id}": 1}
    assert connected_state(home, 2) == "on"


async def test_delivery_stale_is_corrected_by_fetch(home: Home, hub: SimHub) -> None:
    hub.set_active(2)
    hub.set_active(3)
    await home.wait_for_deliveries()
    await home.advance_time(1)
    before = count_hub_requests(home)
    await home.post_to_webhook(state_change(hub, active=2))
    assert active_port(home) == "2"
    await home.advance_time(1)
    assert active_port(home) == "3"
    assert new_hub_requests(home, before) == {f"{HUBS_PATH}/{hub.id}": 1}


async def test_delivery_during_poll_is_not_overwritten_by_older_list(
    home: Home, hub: SimHub
) -> None:
    polls = home.count_requests(HUBS_PATH)
    home.simulator.add_fault("GET", HUBS_PATH, Fault.delay(1000))
    home.fire_time_changed(122)
    await home.wait_until(lambda: home.count_requests(HUBS_PATH) > polls)
    hub.set_active(2)
    await home.wait_for_deliveries()
    assert active_port(home) == "2"
    home.simulator.clear_faults()
    await home.wait_until_idle()
    assert active_port(home) == "2"
    assert home.instant_updates_state == "active"


async def test_delivery_during_fetch_is_not_overwritten_by_older_response(
    home: Home, hub: SimHub
) -> None:
    path = f"{HUBS_PATH}/{hub.id}"
    home.simulator.add_fault("GET", path, Fault.delay(1000))
    await home.simulator.deliver(hub, "hub:con:change", {})
    home.fire_time_changed(1)
    await home.wait_until(lambda: home.count_requests(path))
    await home.post_to_webhook(state_change(hub, active=2))
    home.simulator.clear_faults()
    await home.wait_until_idle()
    assert active_port(home) == "2"


# Deliveries during a command


async def start_lost_command(home: Home, hub: SimHub, port: int) -> asyncio.Task[None]:
    """Select a port. The simulator accepts the command, but does not execute it."""
    home.simulator.settings.command_mode = "lose"
    path = f"{HUBS_PATH}/{hub.id}/state"
    commands = home.count_requests(path, "PUT")
    call = home.call_action("select", "select_option", "Boardroom", "active_port", option=str(port))
    task = asyncio.create_task(call)
    await home.wait_until(lambda: home.count_requests(path, "PUT") > commands)
    await home.wait_until(lambda: home.simulator.requests[-1].status)
    # The first request for confirmation follows at once. Its response has the previous port.
    hub_path = f"{HUBS_PATH}/{hub.id}"
    await home.wait_until(lambda: home.count_requests(hub_path))
    await home.wait_until(lambda: home.simulator.requests[-1].status)
    for _ in range(20):
        await asyncio.sleep(0)
    assert active_port(home) == str(port)
    return task


async def test_command_target_port_delivered_is_confirmed_without_request(
    home: Home, hub: SimHub
) -> None:
    task = await start_lost_command(home, hub, 2)
    before = count_hub_requests(home)
    hub.set_active(2)
    await task
    assert active_port(home) == "2"
    assert new_hub_requests(home, before) == {}


async def test_command_third_port_delivered_shows_third_port(home: Home, hub: SimHub) -> None:
    task = await start_lost_command(home, hub, 2)
    hub.press(3)
    await task
    assert active_port(home) == "3"


async def test_command_previous_port_delivered_stays_pending(home: Home, hub: SimHub) -> None:
    home.simulator.settings.delivery_partial = True
    task = await start_lost_command(home, hub, 2)
    await home.simulator.deliver(hub, STATE_CHANGE, {"newState": {"active": 1, "otp": "warning"}})
    assert active_port(home) == "2"
    assert home.state("binary_sensor", "Boardroom", "overheating") == "on"
    assert not task.done()
    hub.set_active(2)
    await task
    assert active_port(home) == "2"
    assert home.state("binary_sensor", "Boardroom", "overheating") == "on"


# Deliveries during an unload


class SlowDelivery:
    """Delivery whose body arrives in two parts; the second one with `finish`."""

    def __init__(self, home: Home, body: object) -> None:
        [subscription] = home.simulator.subscriptions.active()
        self._path = URL(subscription.webhook_url).path
        self._home = home
        self._body = json.dumps(body).encode()
        self._finish = asyncio.Event()

    async def start(self) -> None:
        """Send the first part; return when Home Assistant reads the body."""
        reading = asyncio.Event()
        read_body = _read_body

        async def read(request: Request) -> bytes:
            reading.set()
            return await read_body(request)

        with patch("custom_components.ochno.webhook._read_body", read):
            self._request = asyncio.create_task(self._send())
            await reading.wait()

    async def finish(self) -> None:
        """Send the second part; return when the delivery is handled."""
        self._finish.set()
        assert await self._request == 200
        await self._home.wait_until_idle()

    async def _send(self) -> int:
        async with self._home.client.post(self._path, data=self._parts()) as response:
            return response.status

    async def _parts(self) -> AsyncIterator[bytes]:
        yield self._body[:10]
        await self._finish.wait()
        yield self._body[10:]


@pytest.mark.parametrize("known", [True, False], ids=["known hub", "unknown hub"])
@pytest.mark.parametrize("removed", [False, True], ids=["unloaded", "removed"])
async def test_delivery_body_still_read_when_entry_is_gone_ends_without_request_or_log(
    hass: HomeAssistant,
    home: Home,
    hub: SimHub,
    caplog: pytest.LogCaptureFixture,
    removed: bool,
    known: bool,
) -> None:
    entry = home.entry
    body = state_change(hub, active=3)
    delivery = SlowDelivery(home, body if known else {**body, "hubId": "unknown"})
    await delivery.start()
    if removed:
        await hass.config_entries.async_remove(entry.entry_id)
    else:
        await hass.config_entries.async_unload(entry.entry_id)
    home.simulator.expire_access_tokens()
    home.simulator.requests.clear()
    caplog.clear()
    await delivery.finish()
    await home.advance_time(60)
    assert home.simulator.requests == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_delivery_body_still_read_during_reload_updates_new_instance(
    hass: HomeAssistant, home: Home, hub: SimHub
) -> None:
    delivery = SlowDelivery(home, state_change(hub, active=3))
    await delivery.start()
    await hass.config_entries.async_reload(home.entry.entry_id)
    await home.wait_until_idle()
    # The cloud can deliver a change before its list contains it.
    home.simulator.settings.delivery_drop = True
    hub.set_active(3)
    assert active_port(home) == "1"
    await delivery.finish()
    await home.advance_time(11)
    assert active_port(home) == "3"


async def test_delivery_with_wrong_token_still_read_during_reload_sends_no_request(
    hass: HomeAssistant, home: Home, hub: SimHub
) -> None:
    body = {**state_change(hub, active=3), "verificationToken": "wrong"}
    delivery = SlowDelivery(home, body)
    await delivery.start()
    await hass.config_entries.async_reload(home.entry.entry_id)
    await home.wait_until_idle()
    home.simulator.requests.clear()
    await delivery.finish()
    await home.advance_time(11)
    assert home.simulator.requests == []


async def test_unload_during_fetches_after_deliveries_sends_no_more_requests(
    hass: HomeAssistant, home: Home, hub: SimHub
) -> None:
    held = HeldResponse()
    home.simulator.add_fault("GET", f"{HUBS_PATH}/*", held.fault)
    for name in ("Boardroom", "Focus room"):
        await home.simulator.deliver(name, "hub:con:change", {})
    home.fire_time_changed(2)
    await held.received.wait()
    await hass.config_entries.async_unload(home.entry.entry_id)
    home.simulator.requests.clear()
    held.release.set()
    await home.wait_until_idle()
    assert home.simulator.requests == []


async def test_hub_response_with_part_of_state_keeps_other_values(home: Home, hub: SimHub) -> None:
    path = f"{HUBS_PATH}/{hub.id}"
    fault = Fault.body(json.dumps({"data": {"state": {"active": 2}}}))
    home.simulator.add_fault("GET", path, fault, times=None)
    await home.simulator.deliver(hub, "hub:con:change", {})
    await home.advance_time(2)
    assert active_port(home) == "2"
    assert home.state("binary_sensor", "Boardroom", "port_1_connected") == "on"
    assert home.state("binary_sensor", "Boardroom", "room_system") == "on"
