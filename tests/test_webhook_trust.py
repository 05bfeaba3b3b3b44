"""Tests of what a delivery can change, with and without the verification token."""

import asyncio
from typing import Any

import pytest
from yarl import URL

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er

from .automation import create_automation
from .home import HUBS_PATH, SUBSCRIPTIONS_PATH, Home
from .simulator import Fault, SimHub

STATE_CHANGE = "hub:state:change"


@pytest.fixture
async def entry(home: Home) -> ConfigEntry:
    """Link the first account with an external URL. Deliveries have no verification token."""
    home.simulator.settings.delivery_token = None
    home.enable_instant_updates_sensor()
    await home.set_external_url()
    entry = await home.link_account(access="control")
    await home.wait_until_idle()
    await home.advance_time(11)
    return entry


@pytest.fixture
def hub(home: Home, entry: ConfigEntry) -> SimHub:
    """Return the hub of the boardroom. Port 1 is active and has the room system."""
    return home.simulator.hub("Boardroom")


def state_change(hub: SimHub, **state: Any) -> dict[str, Any]:
    """Return the body of a delivery with these changed keys of the state."""
    return {"event": STATE_CHANGE, "hubId": hub.id, "data": {"newState": state}}


def token(home: Home) -> str:
    """Return the verification token of the subscription."""
    [subscription] = home.simulator.subscriptions.active()
    return subscription.token


async def post_verified(home: Home, body: dict[str, Any]) -> None:
    """Post a delivery with the verification token."""
    await home.post_to_webhook({"verificationToken": token(home), **body})


def shown_ports(home: Home) -> list[str | None]:
    """Return the states of *Port connected* of all ports of the boardroom."""
    return [
        home.state("binary_sensor", "Boardroom", f"port_{port}_connected") for port in range(1, 5)
    ]


async def test_forged_delivery_changes_no_state_and_fires_no_trigger(
    hass: HomeAssistant, home: Home, hub: SimHub
) -> None:
    device = home.device("Boardroom")
    assert device is not None
    automation = await create_automation(home, "laptop_plugged_in", {"device_id": device.id})
    before = shown_ports(home)
    home.simulator.requests.clear()
    await home.post_to_webhook(state_change(hub, connected=[1, 1, 1, 1], active=3))
    assert shown_ports(home) == before
    await home.advance_time(1)
    assert shown_ports(home) == before
    assert home.state("select", "Boardroom", "active_port") == "1"
    assert automation.pop_hubs() == []
    assert [request.path for request in home.simulator.requests] == [f"{HUBS_PATH}/{hub.id}"]


async def test_change_without_token_arrives_through_fetch_after_one_second(
    home: Home, hub: SimHub
) -> None:
    hub.plug(2)
    await home.wait_for_deliveries()
    assert shown_ports(home)[1] == "off"
    await home.advance_time(1)
    assert shown_ports(home)[1] == "on"


@pytest.mark.parametrize("place", ["verificationToken", "header", "query"])
async def test_delivery_without_token_is_dropped_after_delivery_with_token(
    home: Home, hub: SimHub, place: Any
) -> None:
    home.simulator.settings.delivery_token = place
    hub.plug(2)
    await home.wait_for_deliveries()
    assert shown_ports(home)[1] == "on"
    await home.advance_time(2)
    home.simulator.requests.clear()
    home.simulator.settings.delivery_token = None
    hub.plug(3)
    await home.wait_for_deliveries()
    await home.advance_time(2)
    assert shown_ports(home)[2] == "off"
    assert home.simulator.requests == []


async def test_delivery_with_wrong_or_empty_token_changes_no_state_while_token_is_unknown(
    home: Home, hub: SimHub, hass: HomeAssistant
) -> None:
    # The subscription cannot be deleted, so it still exists after the reload, as after a crash.
    home.simulator.add_fault("DELETE", f"{SUBSCRIPTIONS_PATH}*", Fault.status(500), times=None)
    await hass.config_entries.async_reload(home.entry.entry_id)
    await home.wait_until_idle()
    assert home.instant_updates_state == "failing"
    home.simulator.requests.clear()
    # A delivery with an empty token only causes a fetch, like one without a token.
    for sent_token, paths in (("guessed", []), ("", [f"{HUBS_PATH}/{hub.id}"])):
        body = {**state_change(hub, connected=[1, 1, 1, 1]), "verificationToken": sent_token}
        await home.post_to_webhook(body)
        assert shown_ports(home) == ["on", "off", "off", "off"]
        await home.advance_time(1)
        assert [request.path for request in home.simulator.requests] == paths


@pytest.mark.parametrize("ports", [64, 2, 5])
async def test_delivery_with_token_and_other_number_of_ports_changes_no_port(
    hass: HomeAssistant, home: Home, hub: SimHub, ports: int
) -> None:
    before = set(er.async_get(hass).entities)
    states = shown_ports(home)
    await post_verified(home, state_change(hub, connected=[1] * ports))
    # The fetch that follows would restore the ports.
    assert shown_ports(home) == states
    await home.advance_time(2)
    assert set(er.async_get(hass).entities) == before
    assert shown_ports(home) == states


async def test_delivery_with_token_and_key_that_hub_never_reported_adds_no_entity(
    hass: HomeAssistant, home: Home, hub: SimHub
) -> None:
    lab = home.simulator.add_hub("Lab")
    lab.omit.add("data.state.adminmode")
    await home.advance_time(122)
    assert home.state("binary_sensor", "Lab", "connectivity") == "on"
    before = set(er.async_get(hass).entities)
    await post_verified(home, state_change(lab, adminmode=True))
    await home.advance_time(2)
    assert set(er.async_get(hass).entities) == before
    # The boardroom reports this key.
    await post_verified(home, state_change(hub, adminmode=True))
    assert home.state("binary_sensor", "Boardroom", "admin_mode") == "on"


async def test_keys_and_values_of_unusual_size_are_not_kept(home: Home, hub: SimHub) -> None:
    coordinator = home.entry.runtime_data.coordinator
    size = len(coordinator.data[hub.id].raw)
    home.simulator.add_fault("GET", f"{HUBS_PATH}*", Fault.status(500), times=None)
    for number in range(20):
        await post_verified(home, state_change(hub, **{f"key_{number}": "x" * 100}))
        await post_verified(home, state_change(hub, otp="x" * 100_000))
    assert len(coordinator.data[hub.id].raw) == size


async def test_body_that_does_not_arrive_in_time_is_dropped(home: Home, hub: SimHub) -> None:
    finish = asyncio.Event()

    async def parts() -> Any:
        yield b'{"event": '
        await finish.wait()
        yield b'"hub:con:change"}'

    [subscription] = home.simulator.subscriptions.active()
    path = URL(subscription.webhook_url).path
    request = asyncio.create_task(home.client.post(path, data=parts()))
    for seconds in (0, 9):
        home.fire_time_changed(seconds)
        for _ in range(50):
            await asyncio.sleep(0)
        assert not request.done()
    home.fire_time_changed(2)
    async with await request as response:
        assert response.status == 200
    finish.set()
