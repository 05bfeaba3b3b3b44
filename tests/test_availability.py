"""Tests of the log messages about hubs that become unavailable and available again."""

import logging

import pytest

from homeassistant.config_entries import ConfigEntry
from homeassistant.helpers import device_registry as dr

from .home import HUBS_PATH, Home
from .simulator import Fault
from .test_devices import log_messages, remove_hub, return_hub

ACCOUNT = "Example Organisation: "


def availability_log(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the messages about the availability of hubs, without the account, since last asked."""
    texts = (" offline", " missing from the hub list", " available again")
    messages = [
        message.removeprefix(ACCOUNT)
        for message in log_messages(caplog, logging.INFO, ACCOUNT)
        if any(text in message for text in texts)
    ]
    caplog.clear()
    return messages


async def test_setup_logs_only_the_offline_hub(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    await home.link_account()
    await home.poll(3)
    assert availability_log(caplog) == ["hub Reception is offline"]


async def test_hub_that_goes_offline_and_comes_back_is_logged_once_each(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    hub = home.simulator.hub("Boardroom")
    for _ in range(2):
        hub.online = False
        await home.poll(3)
        assert availability_log(caplog) == ["hub Boardroom is offline"]
        hub.online = True
        await home.poll(3)
        assert availability_log(caplog) == ["hub Boardroom is available again"]


async def test_connectivity_fetched_after_delivery_is_logged_once(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    await home.set_external_url()
    await home.link_account()
    caplog.clear()
    hub = home.simulator.hub("Boardroom")
    for online, message in ((False, "offline"), (True, "available again")):
        hub.online = online
        await home.simulator.deliver(hub, "hub:state:change", {"newState": {"adminmode": True}})
        await home.advance_time(2)
        assert availability_log(caplog) == [f"hub Boardroom is {message}"]
    await home.poll(3)
    assert availability_log(caplog) == []


async def test_hub_that_no_longer_reports_its_connectivity_is_logged_as_available(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    hub = home.simulator.hub("Boardroom")
    hub.online = False
    await home.poll()
    caplog.clear()
    hub.omit = {"data.presence"}
    await home.poll(2)
    assert home.state("sensor", "Boardroom", "active_port") != "unavailable"
    assert availability_log(caplog) == ["hub Boardroom is available again"]


async def test_new_hub_is_logged_only_if_it_is_offline(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    home.simulator.add_hub("Library")
    home.simulator.add_hub("Attic").online = False
    await home.poll(2)
    assert availability_log(caplog) == ["hub Attic is offline"]


async def test_log_has_name_that_user_gave_the_device(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    device = home.device("Boardroom")
    assert device is not None
    dr.async_get(home.hass).async_update_device(device.id, name_by_user="Mine")
    home.simulator.hub("Boardroom").online = False
    await home.poll()
    assert availability_log(caplog) == ["hub Mine is offline"]


async def test_hub_of_disabled_device_is_not_logged(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    device, hub = home.device("Boardroom"), home.simulator.hub("Boardroom")
    assert device is not None
    registry = dr.async_get(home.hass)
    registry.async_update_device(device.id, disabled_by=dr.DeviceEntryDisabler.USER)
    for online in (False, True, False):
        hub.online = online
        await home.poll(2)
    remove_hub(home, "Boardroom")
    await home.poll()
    assert availability_log(caplog) == []


async def test_offline_hub_whose_device_is_disabled_is_not_logged_as_available(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    device, hub = home.device("Boardroom"), home.simulator.hub("Boardroom")
    assert device is not None
    hub.online = False
    await home.poll()
    caplog.clear()
    dr.async_get(home.hass).async_update_device(device.id, disabled_by=dr.DeviceEntryDisabler.USER)
    await home.poll(2)
    assert availability_log(caplog) == []


async def test_hubs_that_go_offline_together_are_logged_in_one_line(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("Workshop", "Boardroom"):
        home.simulator.hub(name).online = False
    await home.poll(2)
    assert availability_log(caplog) == ["2 hubs are offline: Boardroom, Workshop"]
    home.simulator.hub("Focus room").online = False
    home.simulator.hub("Workshop").online = True
    await home.poll(2)
    assert sorted(availability_log(caplog)) == [
        "hub Focus room is offline",
        "hub Workshop is available again",
    ]


async def test_thousand_hubs_that_go_offline_are_logged_in_one_line_with_ten_names(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    hubs = [home.simulator.add_hub(f"Room {number:04}") for number in range(1000)]
    for hub in hubs:
        hub.omit = {"data.state", "data.connections", "data.config"}
    await home.link_account()
    caplog.clear()
    names = ", ".join(f"Room {number:04}" for number in range(10))
    for online, message in ((False, "offline"), (True, "available again")):
        for hub in hubs:
            hub.online = online
        await home.poll()
        [line] = availability_log(caplog)
        assert line == f"1000 hubs are {message}: {names} and 990 more"


async def test_failed_polls_log_no_hub(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    home.simulator.hub("Boardroom").online = False
    await home.poll()
    caplog.clear()
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(503), times=None)
    await home.poll(3)
    home.simulator.clear_faults()
    await home.poll()
    assert len(log_messages(caplog, logging.ERROR, "(status 503)")) == 1
    assert len(log_messages(caplog, logging.INFO, "Fetching Example Organisation data recov")) == 1
    assert availability_log(caplog) == []


async def test_hub_that_goes_offline_during_failed_polls_is_logged_after_recovery(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(503), times=None)
    await home.poll()
    home.simulator.hub("Boardroom").online = False
    await home.poll()
    assert availability_log(caplog) == []
    home.simulator.clear_faults()
    await home.poll(2)
    assert availability_log(caplog) == ["hub Boardroom is offline"]


async def test_hub_that_is_missing_and_returns_is_logged_once_each(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    hub = remove_hub(home, "Boardroom")
    await home.poll(3)
    assert availability_log(caplog) == ["hub Boardroom is missing from the hub list"]
    return_hub(home, hub)
    await home.poll(2)
    assert availability_log(caplog) == ["hub Boardroom is available again"]


async def test_empty_hub_list_is_logged_in_one_line(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, Fault.body("[]"), times=None)
    await home.poll(3)
    assert home.state("sensor", "Boardroom", "active_port") == "unavailable"
    assert availability_log(caplog) == [
        "4 hubs are missing from the hub list: Boardroom, Focus room, Reception, Workshop"
    ]


async def test_hub_that_returns_after_its_device_was_removed_is_not_logged_as_available(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    hub = remove_hub(home, "Boardroom")
    await home.poll(6)
    assert home.hass.config_entries.async_get_entry(entry.entry_id) is entry
    caplog.clear()
    return_hub(home, hub)
    await home.poll(2)
    assert availability_log(caplog) == []


async def test_hub_that_is_registered_again_with_another_id_is_not_logged(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    hub = home.simulator.hub("Boardroom")
    del home.simulator.database.hubs[hub.id]
    hub.id = "another-id"
    return_hub(home, hub)
    await home.poll(2)
    assert home.state("sensor", "Boardroom", "active_port") == "1"
    assert availability_log(caplog) == []
