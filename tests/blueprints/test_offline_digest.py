"""Tests of the blueprint *Offline digest*."""

from typing import Any

from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from homeassistant.components import persistent_notification
from homeassistant.helpers import device_registry as dr

from ..automation import area_target_config
from ..home import HUBS_PATH, Home
from ..simulator import Fault, SimHub
from .blueprint import FOCUS, create_blueprint_automation, device_id, get_notifications, restart


async def create_digest(home: Home, *hubs: str, **inputs: Any) -> None:
    """Set up the digest for the areas of hubs. The automation waits from then on."""
    target = area_target_config(home, *hubs)
    await create_blueprint_automation(home, "offline_digest", hubs=target, **inputs)
    home.automations_wait = True


def digest(*hubs: str) -> list[tuple[str, str, str]]:
    """Return the notifications if these hubs are listed."""
    return [("ochno_offline_digest", "Hubs offline", ", ".join(hubs))] if hubs else []


async def list_boardroom(home: Home, hub: SimHub) -> None:
    """Create a digest for two hubs, of which the boardroom's is offline, and let it list this."""
    await create_digest(home, "Boardroom", FOCUS)
    hub.online = False
    await home.poll()
    await home.advance_time(610)
    await home.advance_time(3)


async def test_digest_lists_hubs_offline_for_the_time_and_clears_itself(
    home: Home, hub: SimHub, hass_ws_client: WebSocketGenerator
) -> None:
    focus, workshop = home.simulator.hub(FOCUS), home.simulator.hub("Workshop")
    await create_digest(home, "Boardroom", FOCUS)
    for offline_hub in (focus, workshop):
        offline_hub.online = False
    await home.poll()
    await home.advance_time(560)
    hub.online = False
    await home.poll()
    assert await get_notifications(home, hass_ws_client) == []
    await home.advance_time(20)
    await home.advance_time(3)
    assert await get_notifications(home, hass_ws_client) == digest(FOCUS)
    await home.advance_time(580)
    await home.advance_time(3)
    assert await get_notifications(home, hass_ws_client) == digest("Boardroom", FOCUS)
    focus.online = True
    await home.poll()
    await home.advance_time(3)
    assert await get_notifications(home, hass_ws_client) == digest("Boardroom")
    hub.online = True
    await home.poll()
    await home.advance_time(3)
    assert await get_notifications(home, hass_ws_client) == []


async def test_digest_hub_back_before_the_time_creates_no_notification(
    home: Home, hub: SimHub, hass_ws_client: WebSocketGenerator
) -> None:
    await create_digest(home, "Boardroom", FOCUS)
    home.simulator.hub(FOCUS).online = False
    hub.online = False
    await home.poll()
    hub.online = True
    await home.poll()
    await home.advance_time(300)
    assert await get_notifications(home, hass_ws_client) == []


async def test_digest_lists_offline_hubs_again_after_restart(
    home: Home, hub: SimHub, hass_ws_client: WebSocketGenerator
) -> None:
    await list_boardroom(home, hub)
    assert await get_notifications(home, hass_ws_client) == digest("Boardroom")
    await restart(home)
    await home.advance_time(3)
    await home.advance_time(590)
    assert await get_notifications(home, hass_ws_client) == []
    await home.advance_time(15)
    assert await get_notifications(home, hass_ws_client) == digest("Boardroom")


async def test_digest_account_unreachable_at_start_lists_hub_when_it_is_known(
    home: Home, hub: SimHub, hass_ws_client: WebSocketGenerator
) -> None:
    await create_digest(home, "Boardroom")
    hub.online = False
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(503), times=None)
    await restart(home)
    await home.advance_time(900)
    home.simulator.clear_faults()
    await home.poll(10)
    assert home.state("binary_sensor", "Boardroom", "connectivity") == "off"
    await home.advance_time(605)
    await home.advance_time(605)
    assert await get_notifications(home, hass_ws_client) == digest("Boardroom")


async def test_digest_after_failed_poll_keeps_offline_hub_when_other_hub_comes_back(
    home: Home, hub: SimHub, hass_ws_client: WebSocketGenerator
) -> None:
    await list_boardroom(home, hub)
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(503))
    await home.poll(2)
    for online in (False, True):
        home.simulator.hub(FOCUS).online = online
        await home.poll()
    await home.advance_time(3)
    assert await get_notifications(home, hass_ws_client) == digest("Boardroom")
    await home.advance_time(605)
    assert await get_notifications(home, hass_ws_client) == digest("Boardroom")
    hub.online = True
    await home.poll()
    await home.advance_time(3)
    assert await get_notifications(home, hass_ws_client) == []


async def test_digest_without_listed_hubs_is_cleared_although_other_hub_just_went_offline(
    home: Home, hub: SimHub, hass_ws_client: WebSocketGenerator
) -> None:
    await list_boardroom(home, hub)
    assert await get_notifications(home, hass_ws_client) == digest("Boardroom")
    home.simulator.hub(FOCUS).online = False
    await home.poll()
    hub.online = True
    await home.poll()
    await home.advance_time(3)
    assert await get_notifications(home, hass_ws_client) == []


async def test_digest_removed_hub_is_no_longer_listed(
    home: Home, hub: SimHub, hass_ws_client: WebSocketGenerator
) -> None:
    await create_digest(home, "Boardroom", FOCUS)
    for name in ("Boardroom", FOCUS):
        home.simulator.hub(name).online = False
    await home.poll()
    await home.advance_time(610)
    await home.advance_time(3)
    assert await get_notifications(home, hass_ws_client) == digest("Boardroom", FOCUS)
    dr.async_get(home.hass).async_remove_device(device_id(home))
    await home.wait_until_idle()
    await home.advance_time(3)
    assert await get_notifications(home, hass_ws_client) == digest(FOCUS)


async def test_digest_dismissed_notification_stays_dismissed_until_the_list_changes(
    home: Home, hub: SimHub, hass_ws_client: WebSocketGenerator
) -> None:
    await list_boardroom(home, hub)
    persistent_notification.async_dismiss(home.hass, "ochno_offline_digest")
    for _ in range(3):
        await home.advance_time(610)
    assert await get_notifications(home, hass_ws_client) == []


async def test_digest_removed_device_of_other_integration_does_not_notify_again(
    home: Home, hub: SimHub, hass_ws_client: WebSocketGenerator
) -> None:
    await create_digest(home, "Boardroom")
    hub.online = False
    await home.poll()
    await home.advance_time(610)
    await home.advance_time(3)
    persistent_notification.async_dismiss(home.hass, "ochno_offline_digest")
    other_entry = MockConfigEntry(domain="other")
    other_entry.add_to_hass(home.hass)
    registry = dr.async_get(home.hass)
    device = registry.async_get_or_create(
        config_entry_id=other_entry.entry_id, identifiers={("other", "lamp")}
    )
    registry.async_remove_device(device.id)
    await home.wait_until_idle()
    await home.advance_time(3)
    assert await get_notifications(home, hass_ws_client) == []
