"""Tests of what remains in memory after an entry or a hub is gone."""

from asyncio import TimerHandle
from collections.abc import Mapping
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import pytest

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HassJob
from homeassistant.helpers.debounce import Debouncer
from homeassistant.util.async_ import get_scheduled_timer_handles

from .automation import create_automation
from .home import HUBS_PATH, Home
from .simulator import Fault
from .test_moves import SECOND, link_second_account, register_again
from .test_target import set_disabled

PACKAGE = "custom_components.ochno"


def child_objects(value: Any) -> dict[str, Any]:
    """Return the objects in a container, or in an object or function of the integration."""
    if isinstance(value, Mapping):
        return {f"[{key!r}]": item for key, item in value.items()} | {
            f"key {key!r}": key for key in value
        }
    if isinstance(value, list | tuple | set):
        return {f"item {number}": item for number, item in enumerate(value)}
    if isinstance(value, FunctionType) and value.__module__.startswith(PACKAGE):
        names = value.__code__.co_freevars
        return dict(
            zip(names, (cell.cell_contents for cell in value.__closure__ or ()), strict=True)
        )
    if isinstance(value, partial | MethodType):
        return {name: getattr(value, name, None) for name in ("func", "args", "__self__")}
    if type(value).__module__.startswith(PACKAGE):
        slots = [name for cls in type(value).__mro__ for name in getattr(cls, "__slots__", ())]
        return {**getattr(value, "__dict__", {}), **{name: getattr(value, name) for name in slots}}
    return {}


def find_text(root: Any, text: str) -> list[str]:
    """Return the paths of the strings in an object that contain a text."""
    paths = []
    pending, seen = [("", root)], {id(root)}
    while pending:
        path, value = pending.pop()
        if isinstance(value, bytes):
            value = value.decode(errors="replace")
        if isinstance(value, str) and text in value:
            paths.append(path)
        for name, child in child_objects(value).items():
            if id(child) not in seen:
                seen.add(id(child))
                pending.append((f"{path}.{name}", child))
    return paths


def stored_objects(home: Home) -> dict[str, object]:
    """Return the objects in `hass.data` of the integration and of the component `webhook`."""
    data: dict[str, object] = {str(key): value for key, value in home.hass.data.items()}
    return {key: value for key, value in data.items() if key.startswith(("ochno", "webhook"))}


def timers(home: Home) -> list[TimerHandle]:
    """Return the timers of the integration that are scheduled."""

    def is_own(callback: Any) -> bool:
        match callback:
            case HassJob():
                return is_own(callback.target)
            case partial():
                return is_own(callback.func) or any(map(is_own, callback.args))
            case MethodType():
                return is_own(callback.__self__)
            case Debouncer():
                return is_own(callback.function)
            case FunctionType():
                return callback.__module__.startswith(PACKAGE)
            case _:
                children = getattr(callback, "job", None), getattr(callback, "action", None)
                return type(callback).__module__.startswith(PACKAGE) or any(
                    child is not None and is_own(child) for child in children
                )

    return [
        handle
        for handle in get_scheduled_timer_handles(home.hass.loop)
        if not handle.cancelled() and any(map(is_own, (handle._callback, *handle._args)))  # type: ignore[attr-defined]  # noqa: SLF001
    ]


@pytest.mark.parametrize("state", ["available", "outage", "rejected token", "no access"])
async def test_removed_entry_leaves_nothing_in_memory(home: Home, state: str) -> None:
    await home.set_external_url()
    entry = await home.link_account(access="control")
    account_id = home.simulator.database.account().id
    [subscription] = home.simulator.subscriptions.active()
    webhook_id = subscription.webhook_url.rpartition("/")[2]
    texts = [entry.entry_id, account_id, webhook_id, *entry.runtime_data.coordinator.data]
    match state:
        case "outage":
            home.simulator.add_fault("GET", HUBS_PATH, Fault.html(), times=None)
        case "rejected token":
            home.simulator.add_fault("GET", HUBS_PATH, Fault.status(401), times=None)
        case "no access":
            home.simulator.revoke_access()
    await home.advance_time(121)
    assert find_text(stored_objects(home), entry.entry_id)
    assert find_text(stored_objects(home), webhook_id)
    await home.hass.config_entries.async_remove(entry.entry_id)
    await home.wait_until_idle()
    for text in texts:
        assert find_text(stored_objects(home), text) == []


@pytest.mark.parametrize("history", ["unchanged", "delivery", "fewer ports", "disabled"])
@pytest.mark.parametrize("departure", ["missing", "moved", "registered again"])
@pytest.mark.parametrize("occasion", ["poll", "setup"])
async def test_hub_that_left_leaves_nothing_in_memory(
    home: Home, occasion: str, departure: str, history: str
) -> None:
    await home.set_external_url()
    entry = await home.link_account(access="control")
    await link_second_account(home)
    hub = home.simulator.hub("Boardroom")
    hub_id = hub.id
    match history:
        case "delivery":
            await home.simulator.deliver(hub, "hub:state:change", {"newState": {"active": 3}})
            await home.advance_time(2)
        case "fewer ports":
            hub.ports = 3
            hub.state["connected"] = [0, 0, 0]
            await home.advance_time(121)
        case "disabled":
            set_disabled(home, "Boardroom", disabled=True)
            await home.wait_until_idle()
    if occasion == "setup":
        await home.hass.config_entries.async_unload(entry.entry_id)
    match departure:
        case "missing":
            home.simulator.remove_hub("Boardroom")
        case "moved":
            home.simulator.move_hub("Boardroom", SECOND)
        case _:
            register_again(home, "Boardroom")
    if occasion == "setup":
        await home.hass.config_entries.async_setup(entry.entry_id)
    for _ in range(7):
        await home.advance_time(121)
    snapshots = home.hass.data["ochno_snapshots"]
    assert find_text([entry.runtime_data, snapshots[entry.entry_id]], hub_id) == []
    # The search finds the hubs that are still in the account.
    workshop_id = home.simulator.hub("Workshop").id
    assert len(find_text(entry.runtime_data, workshop_id)) > 3


@pytest.mark.parametrize("end", ["unload", "remove"])
@pytest.mark.parametrize(
    "activity", ["idle", "polled", "delivery", "missed delivery", "outage", "refresh"]
)
async def test_ended_entry_has_no_timer(home: Home, activity: str, end: str) -> None:
    await home.set_external_url()
    entry = await home.link_account(access="control")
    hub = home.simulator.hub("Boardroom")
    match activity:
        case "polled":
            await home.advance_time(121)
        case "delivery":
            await home.simulator.deliver(hub, "hub:state:change", {"newState": {"active": 3}})
        case "missed delivery":
            home.simulator.settings.delivery_drop = True
            hub.plug(2)
            await home.wait_for_deliveries()
            await home.advance_time(121)
        case "outage":
            home.simulator.add_fault("*", "*", Fault.status(503), times=None)
            await home.advance_time(3601)
        case "refresh":
            for _ in range(2):
                await entry.runtime_data.coordinator.async_request_refresh()
    assert timers(home)
    if end == "unload":
        await home.hass.config_entries.async_unload(entry.entry_id)
    else:
        await home.hass.config_entries.async_remove(entry.entry_id)
    assert timers(home) == []
    await home.wait_until_idle()
    assert timers(home) == []


async def test_removed_listener_of_hub_is_not_called(home: Home, entry: ConfigEntry) -> None:
    calls = []
    coordinator = entry.runtime_data.coordinator
    hub = home.simulator.hub("Boardroom")
    remove_listener = coordinator.async_add_listener(lambda: calls.append(hub.id), hub.id)
    hub.plug(2)
    await home.poll()
    assert calls == [hub.id]
    remove_listener()
    hub.unplug(2)
    await home.poll()
    assert calls == [hub.id]


async def test_unloaded_entry_has_no_listeners(home: Home, entry: ConfigEntry) -> None:
    coordinator = entry.runtime_data.coordinator
    hub_id = home.simulator.hub("Boardroom").id
    remove_listener = coordinator.async_add_listener(lambda: None, hub_id)
    assert any("_hub_listeners" in path for path in find_text(coordinator, hub_id))
    remove_listener()
    await home.hass.config_entries.async_unload(entry.entry_id)
    assert [path for path in find_text(coordinator, hub_id) if "_hub_listeners" in path] == []


async def test_removed_entry_keeps_no_timer_of_automation(home: Home, entry: ConfigEntry) -> None:
    device = home.device("Boardroom")
    assert device is not None
    automation = await create_automation(
        home, "hub_went_offline", {"device_id": device.id}, **{"for": {"minutes": 5}}
    )
    home.simulator.hub("Boardroom").online = False
    await home.poll()
    assert timers(home)
    await home.hass.config_entries.async_remove(entry.entry_id)
    await home.wait_until_idle()
    assert timers(home) == []
    await home.advance_time(600)
    assert automation.pop_hubs() == []
