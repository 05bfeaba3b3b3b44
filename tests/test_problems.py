"""Problems that last: the repair issues, and what the system information page tells."""

import pytest

from homeassistant.components.system_health import get_info
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir

from .home import HUBS_PATH, SUBSCRIPTIONS_PATH, Home
from .simulator import Fault

HOUR = 3600
PARTLY_UNKNOWN = '[{"id": "1", "data": {"state": {"active": 1}}}, {"id": null}]'


def issues(hass: HomeAssistant) -> set[str | None]:
    """Return the kinds of the issues that the user is shown."""
    return {
        issue.translation_key
        for (domain, _), issue in ir.async_get(hass).issues.items()
        if domain == "ochno"
    }


async def test_missing_scope_is_an_issue_until_it_is_there(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(403))
    await home.poll()
    assert issues(hass) == {"scope_missing"}
    await home.poll()
    assert issues(hass) == set()


async def test_missing_scope_to_control_is_an_issue_until_a_command_succeeds(
    hass: HomeAssistant, home: Home
) -> None:
    await home.link_account(access="control")
    path = f"{HUBS_PATH}/{home.simulator.hub('Boardroom').id}/state"
    home.simulator.add_fault("PUT", path, Fault.status(403))
    with pytest.raises(HomeAssistantError):
        await home.call_action("select", "select_option", "Boardroom", "active_port", option="1")
    assert issues(hass) == {"control_scope_missing"}
    await home.call_action("select", "select_option", "Boardroom", "active_port", option="1")
    assert issues(hass) == set()


@pytest.mark.parametrize("answer", ['{"hubs": []}', PARTLY_UNKNOWN])
async def test_answers_of_an_unknown_shape_are_an_issue_after_a_day(
    hass: HomeAssistant, home: Home, entry: ConfigEntry, answer: str
) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, Fault.body(answer), times=None)
    await home.poll()
    await hass.config_entries.async_reload(entry.entry_id)
    await home.advance_time(23 * HOUR)
    assert issues(hass) == set()
    await home.advance_time(2 * HOUR)
    assert issues(hass) == {"answer_not_understood"}
    home.simulator.clear_faults()
    await home.advance_time(HOUR)
    assert issues(hass) == set()


async def test_instant_updates_refused_for_hours_are_an_issue_until_they_work(
    hass: HomeAssistant, home: Home
) -> None:
    await home.set_external_url()
    home.simulator.add_fault("POST", SUBSCRIPTIONS_PATH, Fault.status(403), times=None)
    await home.link_account()
    await home.advance_time(HOUR)
    assert issues(hass) == set()
    for _ in range(60):
        await home.advance_time(HOUR / 6)
    assert issues(hass) == {"push_refused"}
    home.simulator.clear_faults()
    await home.advance_time(7 * HOUR)
    assert issues(hass) == set()


async def test_issues_go_with_the_entry(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(403), times=None)
    await home.poll()
    await hass.config_entries.async_reload(entry.entry_id)
    assert issues(hass) == {"scope_missing"}
    await hass.config_entries.async_remove(entry.entry_id)
    assert issues(hass) == set()


async def test_system_information_tells_how_updates_arrive(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    told = (await get_info(hass))["ochno"]
    assert told["server_reachable"] == "ok"
    assert told["instant_updates"] == "no_url"
    assert told["last_poll"] is not None


async def test_system_information_tells_that_the_server_is_away(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    away = {**entry.data, "server": "http://127.0.0.1:1"}
    hass.config_entries.async_update_entry(entry, data=away)
    assert (await get_info(hass))["ochno"]["server_reachable"] == "Failed: unreachable"
