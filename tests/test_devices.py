"""Tests of the devices: attributes, areas, and hubs that join, leave and return."""

import logging
from typing import Any

import pytest
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from custom_components.ochno.devices import GONE_AFTER
from homeassistant.config_entries import ConfigEntry
from homeassistant.helpers import area_registry as ar, device_registry as dr, entity_registry as er

from .home import HUBS_PATH, Home
from .simulator import Fault, SimHub


def hub_device(home: Home, hub: SimHub) -> dr.DeviceEntry | None:
    """Return the device of a hub, which may have left the account."""
    registry = dr.async_get(home.hass)
    return registry.async_get_device_by_identifier(("ochno", hub.id), home.entry.entry_id)


def hub_area(home: Home, name: str) -> str | None:
    """Return the name of the area of a hub's device."""
    device = hub_device(home, home.simulator.hub(name))
    assert device is not None
    if device.area_id is None:
        return None
    area = ar.async_get(home.hass).async_get_area(device.area_id)
    return None if area is None else area.name


def active_port(home: Home, hub: SimHub) -> str | None:
    """Return the state of the sensor *Active port* of a hub, which may have left the account."""
    registry = er.async_get(home.hass)
    entity_id = registry.async_get_entity_id("sensor", "ochno", f"{hub.id}_active_port")
    state = home.hass.states.get(entity_id) if entity_id else None
    return state.state if state else None


def remove_hub(home: Home, name: str) -> SimHub:
    """Remove a hub from the account and return it."""
    hub = home.simulator.hub(name)
    home.simulator.remove_hub(name)
    return hub


def return_hub(home: Home, hub: SimHub) -> None:
    """Add a removed hub to the account again."""
    home.simulator.database.hubs[hub.id] = hub


def device_ids(home: Home, entry: ConfigEntry) -> dict[str | None, str]:
    """Return the ids of the devices of an entry by name."""
    registry = dr.async_get(home.hass)
    devices = dr.async_entries_for_config_entry(registry, entry.entry_id)
    return {device.name: device.id for device in devices}


async def delete_device(
    home: Home, hass_ws_client: WebSocketGenerator, device_id: str
) -> dict[str, Any]:
    """Delete a device as the frontend does, and return the response."""
    client = await hass_ws_client(home.hass)
    await client.send_json_auto_id(
        {"type": "config/device_registry/remove", "device_id": device_id}
    )
    response: dict[str, Any] = await client.receive_json()
    return response


def log_messages(caplog: pytest.LogCaptureFixture, level: int, text: str = "") -> list[str]:
    """Return the messages of the integration and of Home Assistant that contain a text."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno == level
        and record.name.startswith(("custom_components.ochno", "homeassistant"))
        and text in record.getMessage()
    ]


async def test_devices_of_hub_and_account_have_all_attributes(
    home: Home, entry: ConfigEntry
) -> None:
    hub = home.simulator.hub("Boardroom")
    device = hub_device(home, hub)
    account = dr.async_get(home.hass).async_get_device_by_identifier(
        ("ochno", entry.entry_id), entry.entry_id
    )
    assert device is not None
    assert account is not None
    assert (device.manufacturer, device.model, device.model_id, device.name) == (
        "Ochno",
        "Power Conference 4",
        "O-PC-4",
        "Boardroom",
    )
    assert (device.serial_number, device.sw_version, device.hw_version) == (
        hub.serial,
        "4.2.1",
        "1.3",
    )
    assert device.configuration_url == home.simulator.url
    assert device.via_device_id == account.id
    assert (account.manufacturer, account.model, account.name) == (
        "Ochno",
        "Ochno Operated",
        "Example Organisation",
    )
    assert account.entry_type is dr.DeviceEntryType.SERVICE
    assert account.configuration_url == home.simulator.url


async def test_account_device_of_earlier_version_keeps_name_and_area(
    home: Home, entry: ConfigEntry
) -> None:
    registry = dr.async_get(home.hass)
    area = ar.async_get(home.hass).async_create("Office")
    device_id = device_ids(home, entry)["Example Organisation"]
    registry.async_update_device(
        device_id,
        new_identifiers={("ochno", f"account_{entry.unique_id} ")},
        area_id=area.id,
        name_by_user="Our hubs",
    )
    await home.hass.config_entries.async_reload(entry.entry_id)
    device = registry.async_get_device_by_identifier(("ochno", entry.entry_id), entry.entry_id)
    assert device is not None
    assert (device.id, device.area_id, device.name_by_user) == (device_id, area.id, "Our hubs")


async def test_account_device_of_earlier_version_beside_current_one_does_not_fail_setup(
    home: Home, entry: ConfigEntry
) -> None:
    dr.async_get(home.hass).async_get_or_create(
        config_entry_id=entry.entry_id, identifiers={("ochno", f"account_{entry.unique_id} ")}
    )
    account_id = device_ids(home, entry)["Example Organisation"]
    assert await home.hass.config_entries.async_reload(entry.entry_id)
    assert device_ids(home, entry)["Example Organisation"] == account_id


@pytest.mark.parametrize(
    ("product", "model", "model_id"),
    [
        ("O-PC-2", "Power Conference 2", "O-PC-2"),
        ("O-PC-3", "Power Conference 3", "O-PC-3"),
        ("O-PD", "Power Desktop", "O-PD"),
        ("O-NEW-1", "O-NEW-1", None),
    ],
)
async def test_device_has_product_name_or_unknown_product_code_as_model(
    home: Home, product: str, model: str, model_id: str | None
) -> None:
    hub = home.simulator.add_hub("New", product=product)
    await home.link_account()
    device = hub_device(home, hub)
    assert device is not None
    assert (device.model, device.model_id) == (model, model_id)


async def test_device_area_is_set_from_space_only_at_creation(
    home: Home, entry: ConfigEntry
) -> None:
    assert hub_area(home, "Boardroom") == "Boardroom"
    home.simulator.hub("Boardroom").space_ids = home.simulator.hub("Workshop").space_ids
    await home.poll()
    assert hub_area(home, "Boardroom") == "Boardroom"


async def test_device_area_removed_by_user_is_not_set_again_when_space_returns(
    home: Home, entry: ConfigEntry
) -> None:
    hub = home.simulator.hub("Boardroom")
    device = hub_device(home, hub)
    assert device is not None
    dr.async_get(home.hass).async_update_device(device.id, area_id=None)
    space_ids = hub.space_ids
    for hub.space_ids in ([], space_ids):
        await home.poll()
        await home.advance_time(3601)
    assert hub_area(home, "Boardroom") is None


async def test_device_area_set_by_user_before_space_is_known_stays(home: Home) -> None:
    home.simulator.add_fault("GET", "/api/spaces/v1", Fault.status(500))
    await home.link_account()
    device = hub_device(home, home.simulator.hub("Boardroom"))
    assert device is not None
    attic = ar.async_get(home.hass).async_create("Attic")
    dr.async_get(home.hass).async_update_device(device.id, area_id=attic.id)
    await home.advance_time(400)
    assert hub_area(home, "Boardroom") == "Attic"
    assert hub_area(home, "Workshop") == "Workshop"


async def test_hub_changes_update_device_but_not_name_and_area_from_user(
    home: Home, entry: ConfigEntry
) -> None:
    hub = home.simulator.hub("Boardroom")
    attic = ar.async_get(home.hass).async_create("Attic")
    device = hub_device(home, hub)
    assert device is not None
    dr.async_get(home.hass).async_update_device(device.id, area_id=attic.id, name_by_user="Mine")
    hub.name, hub.firmware, hub.hardware_version = "Big room", "5.0", "2.0"
    hub.serial, hub.product = "O999", "O-PC-5"
    await home.poll()
    device = hub_device(home, hub)
    assert device is not None
    assert (device.name, device.sw_version, device.hw_version) == ("Big room", "5.0", "2.0")
    assert (device.serial_number, device.model, device.model_id) == ("O999", "O-PC-5", None)
    assert (device.name_by_user, device.area_id) == ("Mine", attic.id)


async def test_new_hub_gets_device_and_entities(home: Home, entry: ConfigEntry) -> None:
    home.simulator.add_hub("Library", connected=[2], active=2)
    await home.poll()
    assert hub_device(home, home.simulator.hub("Library")) is not None
    assert home.state("sensor", "Library", "active_port") == "2"


async def test_missing_hub_is_unavailable_at_once_and_its_device_removed_later(
    home: Home, entry: ConfigEntry
) -> None:
    hub = remove_hub(home, "Focus room")
    await home.poll()
    for _ in range(GONE_AFTER - 2):
        assert active_port(home, hub) == "unavailable"
        await home.poll()
    assert hub_device(home, hub) is not None
    await home.poll()
    assert hub_device(home, hub) is None
    assert active_port(home, hub) is None
    assert hub_device(home, home.simulator.hub("Boardroom")) is not None
    assert GONE_AFTER >= 3


async def test_hub_removed_while_entry_was_unloaded_loses_its_device(
    home: Home, entry: ConfigEntry
) -> None:
    await home.hass.config_entries.async_unload(entry.entry_id)
    hub = remove_hub(home, "Focus room")
    await home.hass.config_entries.async_setup(entry.entry_id)
    assert hub_device(home, hub) is not None
    await home.poll(GONE_AFTER - 1)
    assert hub_device(home, hub) is None


async def test_empty_hub_lists_remove_no_device(home: Home, entry: ConfigEntry) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, Fault.body("[]"), times=None)
    await home.poll(GONE_AFTER * 2)
    assert hub_device(home, home.simulator.hub("Boardroom")) is not None
    assert home.state("sensor", "Boardroom", "active_port") == "unavailable"
    home.simulator.clear_faults()
    await home.poll()
    assert home.state("sensor", "Boardroom", "active_port") == "1"


async def test_hub_lists_with_malformed_hub_remove_no_device(
    home: Home, entry: ConfigEntry
) -> None:
    hub, workshop = remove_hub(home, "Focus room"), home.simulator.hub("Workshop")
    workshop.json_override = "malformed"
    await home.poll(GONE_AFTER * 2)
    assert hub_device(home, hub) is not None
    assert hub_device(home, workshop) is not None
    workshop.json_override = {"id": workshop.id}
    await home.poll(GONE_AFTER - 1)
    assert hub_device(home, hub) is not None
    await home.poll()
    assert hub_device(home, hub) is None


async def test_hub_that_returns_before_removal_restarts_the_count(
    home: Home, entry: ConfigEntry
) -> None:
    hub = remove_hub(home, "Focus room")
    await home.poll(GONE_AFTER - 1)
    return_hub(home, hub)
    await home.poll()
    assert active_port(home, hub) == "none"
    remove_hub(home, "Focus room")
    await home.poll(GONE_AFTER - 1)
    assert hub_device(home, hub) is not None
    await home.poll()
    assert hub_device(home, hub) is None


@pytest.mark.parametrize("polls", [1, GONE_AFTER, GONE_AFTER + 3])
async def test_hub_that_returns_gets_device_and_entities_again(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture, polls: int
) -> None:
    hub = remove_hub(home, "Focus room")
    await home.poll(polls)
    hub.set_active(3)
    return_hub(home, hub)
    await home.poll()
    assert active_port(home, hub) == "3"
    device = hub_device(home, hub)
    assert device is not None
    assert (device.name, device.model) == ("Focus room", "Power Conference 3")
    hub.set_active(4)
    await home.poll()
    assert active_port(home, hub) == "4"
    assert log_messages(caplog, logging.ERROR) == []


async def test_hub_that_returns_after_user_deleted_device_gets_entities_again(
    home: Home,
    entry: ConfigEntry,
    hass_ws_client: WebSocketGenerator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    device_id = device_ids(home, entry)["Focus room"]
    hub = remove_hub(home, "Focus room")
    await home.poll()
    assert (await delete_device(home, hass_ws_client, device_id))["success"]
    assert active_port(home, hub) is None
    return_hub(home, hub)
    await home.poll()
    device = hub_device(home, hub)
    assert device is not None
    assert active_port(home, hub) == "none"
    assert (device.name, device.model, device.sw_version) == (
        "Focus room",
        "Power Conference 3",
        "4.2.1",
    )
    assert log_messages(caplog, logging.ERROR) == []


async def test_missing_hub_loses_its_device_with_fifth_list(home: Home, entry: ConfigEntry) -> None:
    hub = remove_hub(home, "Focus room")
    await home.poll(4)
    assert hub_device(home, hub) is not None
    await home.poll()
    assert hub_device(home, hub) is None


@pytest.mark.parametrize("reload", [False, True])
async def test_device_area_removed_by_user_is_not_assigned_when_space_returns(
    home: Home, entry: ConfigEntry, reload: bool
) -> None:
    hub = home.simulator.hub("Boardroom")
    device = hub_device(home, hub)
    assert device is not None
    dr.async_get(home.hass).async_update_device(device.id, area_id=None)
    spaces = home.simulator.database.spaces
    space = spaces.pop(hub.space_ids[0])
    await home.advance_time(3601)
    if reload:
        await home.hass.config_entries.async_reload(entry.entry_id)
    spaces[space.id] = space
    await home.advance_time(3601)
    hub.firmware = "5.0"
    await home.poll()
    assert hub_area(home, "Boardroom") is None


async def test_device_area_removed_by_user_is_not_assigned_when_hub_returns(
    home: Home, entry: ConfigEntry
) -> None:
    device = hub_device(home, home.simulator.hub("Boardroom"))
    assert device is not None
    dr.async_get(home.hass).async_update_device(device.id, area_id=None)
    hub = home.simulator.hub("Boardroom")
    del home.simulator.database.hubs[hub.id]
    await home.poll(6)
    assert hub_device(home, hub) is None
    return_hub(home, hub)
    await home.poll()
    await home.advance_time(3601)
    assert hub_device(home, hub) is not None
    assert hub_area(home, "Boardroom") is None


async def test_device_area_removed_by_user_before_space_is_known_stays_empty(
    home: Home,
) -> None:
    home.simulator.add_fault("GET", "/api/spaces/v1", Fault.status(500))
    await home.link_account()
    device = hub_device(home, home.simulator.hub("Boardroom"))
    assert device is not None
    attic = ar.async_get(home.hass).async_create("Attic")
    for area_id in (attic.id, None):
        dr.async_get(home.hass).async_update_device(device.id, area_id=area_id)
        await home.wait_until_idle()
    await home.advance_time(301)
    assert hub_area(home, "Boardroom") is None
    assert hub_area(home, "Focus room") == "Focus room"


@pytest.mark.parametrize("area", ["Attic", None])
async def test_device_area_of_hub_that_returns_before_its_space_is_the_choice_of_the_user(
    home: Home, entry: ConfigEntry, area: str | None
) -> None:
    hub = home.simulator.hub("Boardroom")
    device = hub_device(home, hub)
    assert device is not None
    area_id = ar.async_get(home.hass).async_create(area).id if area else None
    dr.async_get(home.hass).async_update_device(device.id, area_id=area_id)
    del home.simulator.database.hubs[hub.id]
    space = home.simulator.database.spaces.pop(hub.space_ids[0])
    await home.advance_time(3601)
    await home.poll(5)
    assert hub_device(home, hub) is None
    return_hub(home, hub)
    await home.poll()
    assert hub_area(home, "Boardroom") == area
    home.simulator.database.spaces[space.id] = space
    await home.advance_time(3601)
    assert hub_area(home, "Boardroom") == area
