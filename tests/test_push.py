"""Instant updates: what deliveries over real HTTP show, and what they make Home Assistant fetch."""

import asyncio
import json
from typing import Any

import pytest
from pytest_homeassistant_custom_component.typing import WebSocketGenerator
from yarl import URL

from homeassistant.components import webhook
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.util.aiohttp import MockRequest

from .home import HUBS, Home
from .simulator import Fault, SimHub

STATE_CHANGE = "hub:state:change"


@pytest.fixture
async def entry(home: Home) -> ConfigEntry:
    """Link the first account while Home Assistant can be reached from outside."""
    home.enable_instant_updates_sensor()
    await home.be_reachable()
    entry = await home.link(access="control")
    await home.settle()
    assert home.instant_updates == "active"
    # Home Assistant lets ten seconds pass between two requested refreshes.
    await home.wait(11)
    return entry


@pytest.fixture
def hub(home: Home, entry: ConfigEntry) -> SimHub:
    """Return the hub of the boardroom: port 1 is active, its device is the room system."""
    hub = home.simulator.hub("Boardroom")
    assert hub.active == 1
    return hub


def connected(home: Home, port: int, hub: str = "Boardroom") -> str | None:
    return home.state("binary_sensor", hub, f"port_{port}_connected")


def active(home: Home) -> str | None:
    return home.state("select", "Boardroom", "active_port")


def fetched(home: Home) -> dict[str, int]:
    """Count what was read of hubs, by path."""
    paths = [r.path for r in home.simulator.requests if r.method == "GET" and HUBS in r.path]
    return {path: paths.count(path) for path in paths}


def since(home: Home, before: dict[str, int]) -> dict[str, int]:
    """Count what was read of hubs since then."""
    now = fetched(home)
    return {path: now[path] - before.get(path, 0) for path in now if now[path] != before.get(path)}


def change(hub: SimHub, **state: Any) -> dict[str, Any]:
    """Return what tells that these keys of the state changed."""
    return {"event": STATE_CHANGE, "hubId": hub.id, "data": {"newState": state}}


def last_delivery(home: Home) -> Any:
    """Return what the sensor *Instant updates* says of it."""
    unique_id = f"{home.entry.unique_id}_instant_updates"
    entity_id = er.async_get(home.hass).async_get_entity_id("sensor", "ochno", unique_id)
    state = home.hass.states.get(entity_id or "")
    assert state is not None
    return state.attributes["last_delivery"]


# What shows


@pytest.mark.parametrize("partial", [True, False], ids=["partial", "full"])
async def test_plugged_laptop_shows_at_once(home: Home, hub: SimHub, partial: bool) -> None:
    home.simulator.settings.delivery_partial = partial
    before = fetched(home)
    hub.plug(2)
    await home.delivered()
    assert connected(home, 2) == "on"
    assert since(home, before) == {}


async def test_facts_that_a_delivery_does_not_mention_stay(home: Home, hub: SimHub) -> None:
    assert await home.post(change(hub, otp="warning")) == 200
    assert home.state("binary_sensor", "Boardroom", "overheating") == "on"
    assert active(home) == "1"
    assert connected(home, 1) == "on"
    assert home.state("binary_sensor", "Boardroom", "room_system") == "on"
    assert home.state("binary_sensor", "Boardroom", "connectivity") == "on"


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "text/plain", "application/vnd.ochno.event", "x", "multipart/form-data"],
)
async def test_delivery_of_any_content_type_counts(
    home: Home, hub: SimHub, content_type: str
) -> None:
    home.simulator.settings.delivery_content_type = content_type
    hub.plug(2)
    await home.delivered()
    assert connected(home, 2) == "on"


@pytest.mark.parametrize("delivery_id", ["hubId", "serialNumber", "data.hubId"])
async def test_hub_goes_by_its_id_or_its_serial_number(
    home: Home, hub: SimHub, delivery_id: Any
) -> None:
    home.simulator.settings.delivery_id = delivery_id
    before = fetched(home)
    hub.plug(2)
    await home.delivered()
    assert connected(home, 2) == "on"
    await home.wait(1)
    assert since(home, before) == {f"{HUBS}/{hub.id}": 1}


async def test_serial_number_within_the_data_counts(home: Home, hub: SimHub) -> None:
    data = {"serialNumber": hub.serial, "newState": {"active": 2}}
    await home.post({"event": STATE_CHANGE, "hubId": "another-id", "data": data})
    assert active(home) == "2"


async def test_delivery_through_nabu_casa_counts(
    hass: HomeAssistant, home: Home, hub: SimHub
) -> None:
    [subscription] = home.simulator.subscriptions.live()
    body = b'{"event":"hub:state:change","hubId":"%b","data":{"newState":{"active":2}}}'
    request = MockRequest(
        body % hub.id.encode(), mock_source="cloud", method="POST", query_string="a=b"
    )
    webhook_id = URL(subscription.webhook_url).name
    answer = await webhook.async_handle_webhook(hass, webhook_id, request)
    assert answer.status == 200
    assert active(home) == "2"


async def test_last_delivery_is_told(home: Home, hub: SimHub) -> None:
    assert last_delivery(home) is None
    await home.post(change(hub, active=2))
    assert home.freezer is not None
    assert last_delivery(home).timestamp() == home.freezer().timestamp()


# What is fetched


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("hub:con:change", {"connections": {"usb2": {"connected": True}}}),
        ("hub:config:change", {"newConfig": {"defaultport": 2}}),
        ("hub:charging", {"newState": {"active": 4}}),
        ("hub:temp", {"temp": 80}),
        ("hub:something:new", {"newState": {"active": 4}}),
        (STATE_CHANGE, {"newState": ["active", 4]}),
        (STATE_CHANGE, {"newState": "active"}),
        (STATE_CHANGE, {"newState": None}),
        (STATE_CHANGE, ["newState"]),
        (STATE_CHANGE, None),
        (STATE_CHANGE, {"newState": {"active": 4}}),
    ],
)
async def test_any_event_has_its_hub_fetched_once(
    home: Home, hub: SimHub, event: str, data: Any
) -> None:
    home.simulator.settings.delivery_drop = True
    hub.plug(2)
    hub.set_active(2)
    before = fetched(home)
    await home.simulator.deliver(hub, event, data)
    assert active(home) in ("1", "4")
    await home.wait(1)
    assert since(home, before) == {f"{HUBS}/{hub.id}": 1}
    assert active(home) == "2"
    assert connected(home, 2) == "on"
    await home.wait(10)
    assert since(home, before) == {f"{HUBS}/{hub.id}": 1}


async def test_several_deliveries_have_each_hub_fetched_once(home: Home, hub: SimHub) -> None:
    focus = home.simulator.hub("Focus room")
    before = fetched(home)
    for port in (2, 3):
        hub.plug(port)
        hub.press(port)
        await home.delivered()
    focus.set_active(2)
    await home.delivered()
    await home.wait(1)
    assert since(home, before) == {f"{HUBS}/{hub.id}": 1, f"{HUBS}/{focus.id}": 1}
    hub.unplug(3)
    await home.delivered()
    await home.wait(1)
    assert since(home, before) == {f"{HUBS}/{hub.id}": 2, f"{HUBS}/{focus.id}": 1}


@pytest.mark.parametrize(("count", "lists", "single"), [(4, 0, 4), (5, 1, 0)])
async def test_many_hubs_at_once_are_fetched_together(
    home: Home, count: int, lists: int, single: int
) -> None:
    hubs = [home.simulator.add_hub(f"Room {number}") for number in range(count)]
    await home.be_reachable()
    await home.link()
    await home.settle()
    before = fetched(home)
    for one in hubs:
        one.plug(1)
    await home.delivered()
    await home.wait(1)
    new = since(home, before)
    assert new.pop(HUBS, 0) == lists
    assert sum(new.values()) == single


@pytest.mark.parametrize(
    "message",
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
)
async def test_unknown_hub_has_the_list_fetched_once(home: Home, hub: SimHub, message: Any) -> None:
    home.simulator.add_hub("Library")
    before = fetched(home)
    for _ in range(3):
        assert await home.post(message) == 200
    await home.settle()
    assert since(home, before) == {HUBS: 1}
    assert home.state("binary_sensor", "Library", "connectivity") == "on"


async def test_failing_fetch_waits_for_the_next_poll(home: Home, hub: SimHub) -> None:
    home.simulator.fail("GET", f"{HUBS}/{hub.id}", Fault.status(500))
    await home.simulator.deliver(hub, "hub:temp", {})
    home.simulator.settings.delivery_drop = True
    hub.set_active(2)
    await home.wait(1)
    assert active(home) == "1"
    await home.wait(122)
    assert active(home) == "2"


async def test_hub_that_leaves_before_it_is_fetched_changes_nothing(
    home: Home, hub: SimHub
) -> None:
    await home.post(change(hub, active=2))
    entity_id = home.entity_id("select", "Boardroom", "active_port")
    home.simulator.remove_hub("Boardroom")
    before = fetched(home)
    await home.wait(1)
    assert since(home, before) == {f"{HUBS}/{hub.id}": 1}
    await home.wait(122)
    assert shown(home, entity_id) == "unavailable"


async def test_hub_that_left_does_not_come_back_by_a_delivery(home: Home, hub: SimHub) -> None:
    entity_id = home.entity_id("select", "Boardroom", "active_port")
    home.simulator.remove_hub("Boardroom")
    await home.wait(122)
    before = fetched(home)
    assert await home.post(change(hub, active=2)) == 200
    await home.wait(1)
    assert since(home, before) == {HUBS: 1}
    assert shown(home, entity_id) == "unavailable"


async def test_hub_fetched_while_it_leaves_the_list_stays_away(home: Home, hub: SimHub) -> None:
    home.simulator.fail("GET", f"{HUBS}/{hub.id}", Fault.delay(1000))
    await home.simulator.deliver(hub, "hub:temp", {})
    asked = f"{HUBS}/{hub.id}"
    entity_id = home.entity_id("select", "Boardroom", "active_port")
    home.pass_time(1)
    await home.until(lambda: home.requests(asked))
    home.simulator.remove_hub("Boardroom")
    await home.post({"hubId": "unknown"})
    await home.until(lambda: shown(home, entity_id) == "unavailable")
    home.simulator.clear_faults()
    await home.settle()
    assert shown(home, entity_id) == "unavailable"


async def test_unloading_between_delivery_and_fetch_fetches_nothing(
    hass: HomeAssistant, home: Home, hub: SimHub
) -> None:
    before = fetched(home)
    await home.post(change(hub, active=2))
    await hass.config_entries.async_unload(home.entry.entry_id)
    await home.wait(1)
    assert since(home, before) == {}


def shown(home: Home, entity_id: str | None) -> str | None:
    """Return the state of an entity, also when the simulator forgot its hub."""
    state = home.hass.states.get(entity_id or "")
    return None if state is None else state.state


# What is dropped


NO_DELIVERIES = {
    "not_json": b"hello",
    "form": b"hubId=1&event=hub%3Astate%3Achange",
    "empty": b"",
    "bad_utf8": b'{"event": "hub:state:change", "hubId": "\xff\xfe"}',
    "nested": b"[" * 100_000,
    "truncated": b'{"event": "hub:state:change", "data": {"newState": {"act',
    "too_long": b'{"event": "hub:state:change"}' + b" " * 256 * 1024,
    "far_too_long": b" " * 8 * 1024 * 1024,
}


@pytest.mark.parametrize("body", NO_DELIVERIES.values(), ids=NO_DELIVERIES)
async def test_what_is_no_delivery_changes_and_fetches_nothing(
    home: Home, hub: SimHub, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    caplog.clear()
    home.simulator.settings.delivery_drop = True
    hub.set_active(2)
    before = fetched(home)
    assert await home.post(body) == 200
    await home.wait(1)
    assert since(home, before) == {}
    assert active(home) == "1"
    assert last_delivery(home) is None
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_delivery_that_is_just_not_too_long_counts(home: Home, hub: SimHub) -> None:
    body = b'{"event":"hub:state:change","hubId":"%b","data":{"newState":{"active":2}}}'
    assert await home.post((body % hub.id.encode()).ljust(256 * 1024)) == 200
    assert active(home) == "2"


@pytest.mark.parametrize("wrong", ["guessed", "", "käse", "\ud800", 17, True, ["x"]], ids=repr)
@pytest.mark.parametrize("within", [False, True], ids=["body", "data"])
async def test_wrong_verification_token_in_the_body_changes_and_fetches_nothing(
    home: Home, hub: SimHub, caplog: pytest.LogCaptureFixture, within: bool, wrong: Any
) -> None:
    caplog.clear()
    message = change(hub, active=2)
    (message["data"] if within else message)["verificationToken"] = wrong
    before = fetched(home)
    # A lone surrogate can be written in JSON in the escaped form only.
    assert await home.post(json.dumps(message).encode()) == 200
    await home.wait(1)
    assert active(home) == "1"
    assert since(home, before) == {}
    assert last_delivery(home) is None
    assert "Traceback" not in caplog.text


async def test_verification_token_that_is_no_text_is_wrong(
    home: Home, hub: SimHub, caplog: pytest.LogCaptureFixture
) -> None:
    [subscription] = home.simulator.subscriptions.live()
    url = URL(subscription.webhook_url)
    body = json.dumps(change(hub, active=2))
    request = f"POST {url.path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    # No client writes such a header.
    reader, writer = await asyncio.open_connection("127.0.0.1", home.client.port)
    writer.write(request.encode() + b"X-Verification-Token: \xff\r\n\r\n" + body.encode())
    assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    writer.close()
    assert active(home) == "1"
    assert last_delivery(home) is None
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("place", ["verificationToken", "header", "query"])
async def test_wrong_verification_token_is_dropped_wherever_it_is(
    home: Home, hub: SimHub, place: Any
) -> None:
    home.simulator.settings.delivery_token = place
    before = fetched(home)
    data = {"newState": {"active": 2}}
    [delivery] = await home.simulator.deliver(hub, STATE_CHANGE, data, token="wrong")
    assert delivery.status == 200
    await home.wait(1)
    assert active(home) == "1"
    assert since(home, before) == {}
    [delivery] = await home.simulator.deliver(hub, STATE_CHANGE, data)
    assert delivery.status == 200
    assert active(home) == "2"


@pytest.mark.parametrize(
    "name",
    ["verificationToken", "Verification-Token", "X-Verification-Token", "x_verification_token"],
)
@pytest.mark.parametrize("query", [True, False], ids=["query", "header"])
async def test_token_in_header_or_query_goes_by_several_names(
    home: Home, hub: SimHub, name: str, query: bool
) -> None:
    [subscription] = home.simulator.subscriptions.live()
    wrong, right = {name: "wrong"}, {name: subscription.token}
    for pair, expected in ((wrong, "1"), (right, "2")):
        message = change(hub, active=2)
        await home.post(message, **{"query" if query else "headers": pair})
        assert active(home) == expected


async def test_right_token_in_the_data_counts_and_a_wrong_one_beside_it_does_not(
    home: Home, hub: SimHub
) -> None:
    [subscription] = home.simulator.subscriptions.live()
    message = change(hub, active=2)
    message["data"]["verificationToken"] = subscription.token
    await home.post({**message, "verificationToken": "wrong"})
    assert active(home) == "1"
    await home.post(message)
    assert active(home) == "2"


async def test_token_of_an_earlier_subscription_is_refused(
    hass: HomeAssistant, home: Home, hub: SimHub
) -> None:
    [earlier] = home.simulator.subscriptions.live()
    await hass.config_entries.async_reload(home.entry.entry_id)
    await home.settle()
    await home.post({**change(hub, active=2), "verificationToken": earlier.token})
    assert active(home) == "1"


async def test_other_methods_and_other_webhooks_show_nothing(home: Home, hub: SimHub) -> None:
    [subscription] = home.simulator.subscriptions.live()
    before = fetched(home)
    path, message = URL(subscription.webhook_url).path, change(hub, active=2)
    for method in ("GET", "PUT"):
        async with home.client.request(method, path, json=message) as response:
            assert response.status == 405
    async with home.client.post("/api/webhook/guessed", json=message) as response:
        assert response.status == 200
    await home.wait(1)
    assert active(home) == "1"
    assert since(home, before) == {}


async def test_webhook_is_told_apart_in_the_list_of_webhooks(
    hass: HomeAssistant, hass_ws_client: WebSocketGenerator, entry: ConfigEntry
) -> None:
    websocket = await hass_ws_client(hass)
    await websocket.send_json_auto_id({"type": "webhook/list"})
    [listed] = (await websocket.receive_json())["result"]
    assert (listed["domain"], listed["name"]) == ("ochno", entry.title)


# In the wrong order


async def test_repeated_delivery_shows_once_and_costs_one_fetch(home: Home, hub: SimHub) -> None:
    home.simulator.settings.delivery_repeat = 2
    before = fetched(home)
    hub.plug(2)
    await home.delivered()
    await home.wait(1)
    assert since(home, before) == {f"{HUBS}/{hub.id}": 1}
    assert connected(home, 2) == "on"


async def test_late_delivery_is_corrected_by_the_fetch_that_follows(
    home: Home, hub: SimHub
) -> None:
    hub.set_active(2)
    hub.set_active(3)
    await home.delivered()
    await home.wait(1)
    before = fetched(home)
    await home.post(change(hub, active=2))
    assert active(home) == "2"
    await home.wait(1)
    assert active(home) == "3"
    assert since(home, before) == {f"{HUBS}/{hub.id}": 1}


async def test_delivery_is_not_undone_by_a_list_that_was_asked_for_before(
    home: Home, hub: SimHub
) -> None:
    polls = home.requests(HUBS)
    home.simulator.fail("GET", HUBS, Fault.delay(1000))
    home.pass_time(122)
    await home.until(lambda: home.requests(HUBS) > polls)
    hub.set_active(2)
    await home.delivered()
    assert active(home) == "2"
    home.simulator.clear_faults()
    await home.settle()
    assert active(home) == "2"
    assert home.instant_updates == "active"


async def test_delivery_is_not_undone_by_a_fetch_that_was_begun_before(
    home: Home, hub: SimHub
) -> None:
    path = f"{HUBS}/{hub.id}"
    home.simulator.fail("GET", path, Fault.delay(1000))
    await home.simulator.deliver(hub, "hub:temp", {})
    home.pass_time(1)
    await home.until(lambda: home.requests(path))
    await home.post(change(hub, active=2))
    home.simulator.clear_faults()
    await home.settle()
    assert active(home) == "2"


# While a command is under way


async def begin(home: Home, hub: SimHub, port: int) -> asyncio.Task[None]:
    """Choose a port; return once the cloud took the command, which it loses."""
    home.simulator.settings.command_mode = "lose"
    path = f"{HUBS}/{hub.id}/state"
    commands = home.requests(path, "PUT")
    call = home.call("select", "select_option", "Boardroom", "active_port", option=str(port))
    task = asyncio.create_task(call)
    await home.until(lambda: home.requests(path, "PUT") > commands)
    await home.until(lambda: home.simulator.requests[-1].status)
    # One answer comes at once, and says what was active before.
    read = f"{HUBS}/{hub.id}"
    await home.until(lambda: home.requests(read))
    await home.until(lambda: home.simulator.requests[-1].status)
    for _ in range(20):
        await asyncio.sleep(0)
    assert active(home) == str(port)
    return task


async def test_delivered_effect_confirms_the_command_without_a_fetch(
    home: Home, hub: SimHub
) -> None:
    task = await begin(home, hub, 2)
    before = fetched(home)
    hub.set_active(2)
    await task
    assert active(home) == "2"
    assert since(home, before) == {}


async def test_third_port_in_a_delivery_wins_over_the_command(home: Home, hub: SimHub) -> None:
    task = await begin(home, hub, 2)
    hub.press(3)
    await task
    assert active(home) == "3"


async def test_delivery_of_what_was_before_does_not_end_the_command(
    home: Home, hub: SimHub
) -> None:
    task = await begin(home, hub, 2)
    await home.simulator.deliver(hub, STATE_CHANGE, {"newState": {"active": 1, "otp": "warning"}})
    assert active(home) == "2"
    assert home.state("binary_sensor", "Boardroom", "overheating") == "on"
    assert not task.done()
    hub.set_active(2)
    await task
    assert active(home) == "2"
    assert home.state("binary_sensor", "Boardroom", "overheating") == "on"
