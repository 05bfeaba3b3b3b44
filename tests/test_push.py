"""Instant updates: the life of the subscription, and polling as the net below."""

import asyncio
import itertools
import logging
import re
from typing import Any

import pytest
from yarl import URL

from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.const import EVENT_CORE_CONFIG_UPDATE, EVENT_HOMEASSISTANT_STOP
from homeassistant.core import CoreState, HomeAssistant
from homeassistant.helpers import entity_registry as er

from .home import FRONTEND_URL, HUBS_PATH, SUBSCRIPTIONS_PATH, TOKEN_PATH, Home
from .simulator import Fault, SimHub, Simulator

OPTIONS = "/api/config/config_entries/options/flow"
STATE_CHANGE = "hub:state:change"
MINUTE, HOUR = 60, 3600


@pytest.fixture
async def reachable(home: Home) -> None:
    """Let the simulator reach Home Assistant, and the sensor say how updates arrive."""
    home.enable_instant_updates_sensor()
    await home.set_external_url()


@pytest.fixture
async def entry(home: Home, reachable: None) -> ConfigEntry:
    """Link the first account."""
    return await link(home)


@pytest.fixture
def hub(home: Home, entry: ConfigEntry) -> SimHub:
    """Return the hub of the boardroom."""
    assert home.instant_updates_state == "active"
    return home.simulator.hub("Boardroom")


async def link(home: Home) -> ConfigEntry:
    """Link the first account and let it subscribe, if it can."""
    entry = await home.link_account()
    await home.wait_until_idle()
    return entry


def live(home: Home) -> list[str]:
    """Return the ids of the subscriptions that live."""
    return [subscription.id for subscription in home.simulator.subscriptions.active()]


def calls(home: Home) -> list[str]:
    """Return the methods of all requests about subscriptions."""
    return [r.method for r in home.simulator.requests if r.path.startswith(SUBSCRIPTIONS_PATH)]


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the integration logged for the user."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("custom_components.ochno") and record.levelno >= logging.INFO
    ]


async def restart(home: Home) -> None:
    """Unload and set up again."""
    await home.hass.config_entries.async_reload(home.entry.entry_id)
    await home.wait_until_idle()


# Life


async def test_one_subscription_hears_everything_at_an_address_nobody_guesses(
    home: Home, entry: ConfigEntry
) -> None:
    [subscription] = home.simulator.subscriptions.active()
    assert set(subscription.events) == {
        "hub:state:change",
        "hub:config:change",
        "hub:con:change",
        "hub:charging",
        "hub:temp",
    }
    assert re.fullmatch(f"{FRONTEND_URL}/api/webhook/[0-9a-f]{{64}}", subscription.webhook_url)
    assert re.fullmatch(r"[\w-]{32,}", subscription.token)
    assert calls(home) == ["POST"]


async def test_token_is_new_at_each_subscription_and_the_address_stays(
    home: Home, entry: ConfigEntry
) -> None:
    [first] = home.simulator.subscriptions.active()
    await restart(home)
    [second] = home.simulator.subscriptions.active()
    assert first.id != second.id
    assert first.token != second.token
    assert first.webhook_url == second.webhook_url


async def test_subscription_never_lapses_within_a_day(home: Home, entry: ConfigEntry) -> None:
    [first] = live(home)
    assert home.freezer is not None
    extended = [home.freezer().timestamp()]
    while home.freezer().timestamp() < extended[0] + 24 * HOUR:
        before = len(calls(home))
        await home.advance_time(5 * MINUTE)
        assert live(home) == [first]
        extended += [home.freezer().timestamp()] * (len(calls(home)) - before)
    assert calls(home) == ["POST"] + ["PATCH"] * (len(extended) - 1)
    pauses = [after - before for before, after in itertools.pairwise(extended)]
    assert all(54 * MINUTE <= pause <= 71 * MINUTE for pause in pauses)
    assert len(set(pauses)) > 1
    assert 20 <= len(extended) - 1 <= 27


async def test_subscription_that_lapsed_is_made_anew(home: Home, hub: SimHub) -> None:
    [first] = home.simulator.subscriptions.active()
    first.expires = 0
    await home.advance_time(67 * MINUTE)
    [second] = home.simulator.subscriptions.active()
    assert calls(home) == ["POST", "PATCH", "POST"]
    assert first.token != second.token
    assert home.instant_updates_state == "active"
    hub.plug(2)
    await home.wait_for_deliveries()
    assert home.state("binary_sensor", "Boardroom", "port_2_connected") == "on"


@pytest.mark.parametrize("status", [400, 403, 404, 410, 422])
async def test_subscription_that_the_vendor_says_is_gone_is_made_anew(
    home: Home, hub: SimHub, status: int
) -> None:
    home.simulator.add_fault("PATCH", f"{SUBSCRIPTIONS_PATH}*", Fault.status(status), times=None)
    await home.advance_time(67 * MINUTE)
    assert calls(home) == ["POST", "PATCH", "POST"]
    assert home.instant_updates_state == "active"


async def test_unloading_unsubscribes(hass: HomeAssistant, home: Home, entry: ConfigEntry) -> None:
    await hass.config_entries.async_unload(entry.entry_id)
    assert live(home) == []
    await home.advance_time(24 * HOUR)
    assert calls(home) == ["POST", "DELETE"]


async def test_delivery_that_comes_while_unsubscribing_does_not_put_the_webhook_into_the_log(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    [subscription] = home.simulator.subscriptions.active()
    home.simulator.add_fault("DELETE", f"{SUBSCRIPTIONS_PATH}*", Fault.hang())
    unloading = hass.async_create_task(hass.config_entries.async_unload(entry.entry_id))
    await home.wait_until(lambda: "DELETE" in calls(home))
    async with home.client.post(URL(subscription.webhook_url).path, json={}) as response:
        assert response.status == 200
    home.simulator.clear_faults()
    assert await unloading


async def test_unloading_before_home_assistant_has_started_leaves_no_listener(
    hass: HomeAssistant, home: Home, reachable: None
) -> None:
    entry = await link(home)
    await hass.config_entries.async_unload(entry.entry_id)
    before = hass.bus.async_listeners()
    hass.set_state(CoreState.starting)
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.config_entries.async_unload(entry.entry_id)
    assert hass.bus.async_listeners() == before


async def test_unloading_with_an_expired_token_unsubscribes(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    home.simulator.expire_access_tokens()
    await hass.config_entries.async_unload(entry.entry_id)
    assert live(home) == []


async def test_reload_never_leaves_two(home: Home, entry: ConfigEntry) -> None:
    for _ in range(3):
        await restart(home)
        assert len(live(home)) == 1
    assert calls(home) == ["POST"] + ["DELETE", "POST"] * 3
    assert home.instant_updates_state == "active"


async def test_removal_leaves_nothing(
    hass: HomeAssistant, home: Home, hass_storage: dict[str, Any], entry: ConfigEntry
) -> None:
    key = f"ochno.{entry.entry_id}"
    assert hass_storage[key]["data"]["subscription_id"] == live(home)[0]
    await hass.config_entries.async_remove(entry.entry_id)
    await home.wait_until_idle()
    assert live(home) == []
    assert key not in hass_storage


async def test_entry_can_be_removed_although_its_file_was_lost(
    hass: HomeAssistant, home: Home, hass_storage: dict[str, Any], entry: ConfigEntry
) -> None:
    await hass.config_entries.async_unload(entry.entry_id)
    del hass_storage[f"ochno.{entry.entry_id}"]
    await hass.config_entries.async_remove(entry.entry_id)
    assert hass.config_entries.async_entries("ochno") == []


async def test_stopping_home_assistant_unsubscribes(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    await home.wait_until_idle()
    assert live(home) == []


async def test_nothing_is_subscribed_again_while_home_assistant_stops(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    home.simulator.add_fault("DELETE", f"{SUBSCRIPTIONS_PATH}*", Fault.delay(1000))
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    await home.wait_until(lambda: calls(home) == ["POST", "DELETE"])
    hass.bus.async_fire(EVENT_CORE_CONFIG_UPDATE)
    home.simulator.clear_faults()
    await home.wait_until_idle()
    assert live(home) == []
    assert calls(home) == ["POST", "DELETE"]


async def test_nothing_is_subscribed_before_home_assistant_has_started(
    hass: HomeAssistant, home: Home, reachable: None
) -> None:
    hass.set_state(CoreState.starting)
    await link(home)
    assert calls(home) == []
    hass.set_state(CoreState.running)
    hass.bus.async_fire("homeassistant_started")
    await home.wait_until_idle()
    assert calls(home) == ["POST"]


async def test_leftover_of_a_crash_is_ended_at_the_next_start(
    hass: HomeAssistant, home: Home, hass_storage: dict[str, Any], entry: ConfigEntry
) -> None:
    [leftover] = live(home)
    home.simulator.add_fault("DELETE", f"{SUBSCRIPTIONS_PATH}*", Fault.reset(), times=None)
    await hass.config_entries.async_unload(entry.entry_id)
    assert hass_storage[f"ochno.{entry.entry_id}"]["data"]["subscription_id"] == leftover
    assert live(home) == [leftover]
    home.simulator.clear_faults()
    await hass.config_entries.async_setup(entry.entry_id)
    await home.wait_until_idle()
    [new] = live(home)
    assert new != leftover
    assert calls(home)[-2:] == ["DELETE", "POST"]
    assert home.instant_updates_state == "active"


async def test_delivery_to_the_leftover_of_a_crash_is_dropped_quietly(
    hass: HomeAssistant, home: Home, caplog: pytest.LogCaptureFixture, entry: ConfigEntry
) -> None:
    home.simulator.add_fault("DELETE", f"{SUBSCRIPTIONS_PATH}*", Fault.reset(), times=None)
    await hass.config_entries.async_unload(entry.entry_id)
    hass.set_state(CoreState.starting)
    await hass.config_entries.async_setup(entry.entry_id)
    home.simulator.settings.delivery_token = "verificationToken"
    hub = home.simulator.hub("Boardroom")
    [delivery] = await home.simulator.deliver(hub, STATE_CHANGE, {"newState": {"active": 2}})
    assert delivery.status == 200
    assert home.state("sensor", "Boardroom", "active_port") == "1"
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("status", [400, 403, 404, 410, 422])
async def test_leftover_that_lapsed_meanwhile_is_forgotten(
    hass: HomeAssistant, home: Home, hass_storage: dict[str, Any], entry: ConfigEntry, status: int
) -> None:
    home.simulator.add_fault("DELETE", f"{SUBSCRIPTIONS_PATH}*", Fault.status(500))
    await hass.config_entries.async_unload(entry.entry_id)
    home.simulator.subscriptions.active()[0].expires = 0
    home.simulator.add_fault("DELETE", f"{SUBSCRIPTIONS_PATH}*", Fault.status(status), times=None)
    await hass.config_entries.async_setup(entry.entry_id)
    await home.wait_until_idle()
    assert calls(home)[-2:] == ["DELETE", "POST"]
    assert [hass_storage[f"ochno.{entry.entry_id}"]["data"]["subscription_id"]] == live(home)


async def test_leftover_that_can_neither_be_ended_nor_told_to_be_gone_is_forgotten_in_the_end(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    home.simulator.add_fault("DELETE", f"{SUBSCRIPTIONS_PATH}*", Fault.status(500), times=None)
    await hass.config_entries.async_unload(entry.entry_id)
    await hass.config_entries.async_setup(entry.entry_id)
    await home.wait_until_idle()
    assert home.instant_updates_state == "failing"
    for _ in range(4):
        # It may still live.
        await home.advance_time(30 * MINUTE)
        assert calls(home)[-1] == "DELETE"
    # Two pauses of six hours, more or less.
    for _ in range(20):
        await home.advance_time(HOUR)
    assert home.instant_updates_state == "active"
    assert len(live(home)) == 1


async def test_account_that_moves_to_another_server_ends_its_subscription_at_the_old_one(
    home: Home, entry: ConfigEntry
) -> None:
    home.simulator.requests.clear()
    async with Simulator() as other:
        home.leak_detector.record_simulator(other)
        other.settings.deliver_to = home.simulator.settings.deliver_to
        step = await home.submit_form(
            await home.start_flow(entry_id=entry.entry_id), server=other.url, access="read"
        )
        step = await home.follow_redirect(step, await other.approve(step["url"]))
        assert step["reason"] == "reconfigure_successful"
        assert live(home) == []
        assert [request.method for request in home.simulator.requests] == ["DELETE"]
        assert len(other.subscriptions.active()) == 1
        assert home.flow_sources == []
        await home.hass.config_entries.async_unload(entry.entry_id)


# The address


@pytest.mark.parametrize("url", [None, "http://example.com:8123"])
async def test_without_an_https_address_changes_arrive_by_polling(
    hass: HomeAssistant,
    home: Home,
    hass_storage: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    reachable: None,
    url: str | None,
) -> None:
    await hass.config.async_update(external_url=url, internal_url="https://10.0.0.2:8123")
    entry = await link(home)
    assert calls(home) == []
    assert home.instant_updates_state == "no_url"
    assert await home.measure_poll_interval() == 30
    home.simulator.hub("Boardroom").plug(2)
    await home.poll()
    assert home.state("binary_sensor", "Boardroom", "port_2_connected") == "on"
    await home.advance_time(10)
    assert home.instant_updates_state == "no_url"
    reason = "there is no https address that the internet can reach"
    assert told(caplog) == [f"{entry.title}: updates arrive by polling: {reason}"]
    await hass.config_entries.async_remove(entry.entry_id)
    assert calls(home) == []
    assert f"ochno.{entry.entry_id}" not in hass_storage


async def test_address_set_later_subscribes_at_once(
    hass: HomeAssistant, home: Home, reachable: None
) -> None:
    await hass.config.async_update(external_url=None)
    await link(home)
    await hass.config.async_update(external_url=FRONTEND_URL)
    await home.wait_until_idle()
    assert len(live(home)) == 1
    assert home.instant_updates_state == "active"
    assert await home.measure_poll_interval() == 120


async def test_changed_address_ends_the_old_subscription(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    [old] = home.simulator.subscriptions.active()
    await hass.config.async_update(external_url="https://elsewhere.example.com")
    await home.wait_until_idle()
    [new] = home.simulator.subscriptions.active()
    assert calls(home) == ["POST", "DELETE", "POST"]
    assert new.webhook_url == old.webhook_url.replace("example.com", "elsewhere.example.com")
    assert new.token != old.token
    assert home.instant_updates_state == "active"


async def test_address_taken_away_ends_the_subscription(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    await hass.config.async_update(external_url=None)
    await home.wait_until_idle()
    assert live(home) == []
    assert home.instant_updates_state == "no_url"
    assert await home.measure_poll_interval() == 30


async def test_old_subscription_that_can_not_be_ended_now_is_ended_later(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    home.simulator.add_fault("DELETE", f"{SUBSCRIPTIONS_PATH}*", Fault.status(500))
    await hass.config.async_update(external_url="https://elsewhere.example.com")
    await home.wait_until_idle()
    assert home.instant_updates_state == "failing"
    await home.advance_time(67)
    assert home.instant_updates_state == "active"
    [new] = home.simulator.subscriptions.active()
    assert URL(new.webhook_url).host == "elsewhere.example.com"


async def test_other_changes_of_the_configuration_keep_the_subscription(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    before = live(home)
    await hass.config.async_update(location_name="Office")
    await home.wait_until_idle()
    assert live(home) == before


# The service refuses


REFUSALS = [
    (Fault.status(401), "refused"),
    (Fault.status(403), "refused"),
    (Fault.status(404), "failing"),
    (Fault.status(429, {"Retry-After": "7"}), "failing"),
    (Fault.status(500), "failing"),
    (Fault.status(503), "failing"),
    (Fault.html(), "failing"),
    (Fault.empty(), "failing"),
    (Fault.body("{}"), "failing"),
    (Fault.body('{"id": null}'), "failing"),
    (Fault.body("[]"), "failing"),
    (Fault.reset(), "failing"),
]
IDS = ["401", "403", "404", "429", "500", "503", "html", "empty", "no_id", "null", "list", "reset"]


@pytest.mark.parametrize(("fault", "state"), REFUSALS, ids=IDS)
async def test_refusal_leaves_polling_as_it_was_and_is_retried_ever_more_rarely(
    hass: HomeAssistant,
    home: Home,
    caplog: pytest.LogCaptureFixture,
    reachable: None,
    fault: Fault,
    state: str,
) -> None:
    home.simulator.add_fault("POST", SUBSCRIPTIONS_PATH, fault, times=None)
    entry = await link(home)
    assert entry.state is ConfigEntryState.LOADED
    assert home.instant_updates_state == state
    for minutes in (1, 2, 5, 15, 60, 360, 360):
        before = len(calls(home))
        await home.advance_time(minutes * MINUTE * 0.9 - 3)
        assert len(calls(home)) == before
        await home.advance_time(minutes * MINUTE * 0.2 + 5)
        assert len(calls(home)) == before + (2 if fault is REFUSALS[0][0] else 1)
    assert await home.measure_poll_interval() == 30
    home.simulator.hub("Boardroom").plug(2)
    await home.poll()
    assert home.state("binary_sensor", "Boardroom", "port_2_connected") == "on"
    assert home.flow_sources == []
    assert len(told(caplog)) == 1
    assert re.search(r": updates arrive by polling: \w+Error\(", told(caplog)[0])
    home.simulator.clear_faults()
    await home.advance_time(7 * HOUR)
    assert home.instant_updates_state == "active"
    assert len(live(home)) == 1
    assert len(told(caplog)) == 2
    assert await home.measure_poll_interval() == 120


async def test_pauses_begin_anew_after_a_success(home: Home, reachable: None) -> None:
    home.simulator.add_fault("POST", SUBSCRIPTIONS_PATH, Fault.status(503), times=3)
    await link(home)
    await home.advance_time(67)
    await home.advance_time(133)
    await home.advance_time(6 * MINUTE)
    assert home.instant_updates_state == "active"
    home.simulator.add_fault("PATCH", f"{SUBSCRIPTIONS_PATH}*", Fault.status(503))
    await home.advance_time(67 * MINUTE)
    assert home.instant_updates_state == "failing"
    await home.advance_time(67)
    assert home.instant_updates_state == "active"


async def test_failing_extension_means_polling_until_it_succeeds(
    home: Home, hub: SimHub, caplog: pytest.LogCaptureFixture
) -> None:
    before = live(home)
    home.simulator.add_fault("PATCH", f"{SUBSCRIPTIONS_PATH}*", Fault.status(503), times=None)
    await home.advance_time(67 * MINUTE)
    assert home.instant_updates_state == "failing"
    assert await home.measure_poll_interval() == 30
    hub.plug(2)
    await home.wait_for_deliveries()
    assert home.state("binary_sensor", "Boardroom", "port_2_connected") == "on"
    home.simulator.clear_faults()
    await home.advance_time(20 * MINUTE)
    assert home.instant_updates_state == "active"
    assert live(home) == before
    assert await home.measure_poll_interval() == 120
    assert len([line for line in told(caplog) if "polling" in line]) == 1


async def test_rate_limit_is_heeded_although_the_extension_fails_meanwhile(
    home: Home, entry: ConfigEntry
) -> None:
    for _ in range(53):
        await home.advance_time(MINUTE)
    home.simulator.add_fault(
        "GET", HUBS_PATH, Fault.status(429, {"Retry-After": "1200"}), times=None
    )
    home.simulator.add_fault("PATCH", f"{SUBSCRIPTIONS_PATH}*", Fault.status(503), times=None)
    home.simulator.requests.clear()
    for _ in range(14):
        await home.advance_time(MINUTE)
    assert "PATCH" in calls(home)
    assert home.count_requests(HUBS_PATH) == 1


async def test_cloud_that_was_away_for_long_is_subscribed_to_with_the_next_good_poll(
    home: Home, reachable: None, entry: ConfigEntry
) -> None:
    home.simulator.add_fault("*", "/*", Fault.status(503), times=None)
    for _ in range(6):
        await home.advance_time(HOUR)
    assert home.instant_updates_state == "unavailable"
    home.simulator.clear_faults()
    home.simulator.requests.clear()
    await home.poll()
    assert home.instant_updates_state == "active"
    assert len(live(home)) == 1
    assert calls(home) == ["PATCH", "POST"]
    await home.poll()
    assert calls(home) == ["PATCH", "POST"]


async def test_failing_token_server_means_polling_and_nothing_more(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    home.simulator.add_fault("POST", TOKEN_PATH, Fault.status(503), times=None)
    await home.advance_time(67 * MINUTE)
    assert home.instant_updates_state == "unavailable"
    assert f"{entry.title}: updates arrive by polling: OAuth2TokenRequestTransientError" in told(
        caplog
    )
    home.simulator.clear_faults()
    await home.advance_time(67)
    await home.advance_time(67)
    assert home.instant_updates_state == "active"
    assert home.flow_sources == []


async def test_service_that_hangs_does_not_keep_it_from_unloading(
    hass: HomeAssistant, home: Home, caplog: pytest.LogCaptureFixture, entry: ConfigEntry
) -> None:
    home.simulator.add_fault("DELETE", f"{SUBSCRIPTIONS_PATH}*", Fault.hang(), times=None)
    unloading = asyncio.create_task(hass.config_entries.async_unload(entry.entry_id))
    await home.wait_until(lambda: "DELETE" in calls(home))
    home.fire_time_changed(9)
    assert await unloading
    assert entry.state is ConfigEntryState.NOT_LOADED
    assert "didn't complete" not in caplog.text
    home.simulator.clear_faults()


async def link_slowly(home: Home, fault: Fault) -> ConfigEntry:
    """Link the first account; return while it subscribes."""
    await home.hass.config.async_update(external_url=None)
    entry = await link(home)
    home.simulator.add_fault("POST", SUBSCRIPTIONS_PATH, fault)
    await home.hass.config.async_update(external_url=FRONTEND_URL)
    await home.wait_until(lambda: calls(home))
    return entry


async def test_service_that_hangs_while_subscribing_does_not_keep_it_from_unloading(
    hass: HomeAssistant, home: Home, reachable: None
) -> None:
    entry = await link_slowly(home, Fault.hang())
    unloading = asyncio.create_task(hass.config_entries.async_unload(entry.entry_id))
    for _ in range(100):
        await asyncio.sleep(0)
    home.fire_time_changed(9)
    assert await unloading
    assert entry.state is ConfigEntryState.NOT_LOADED
    home.simulator.clear_faults()
    await home.wait_until_idle()
    assert live(home) == []
    await home.advance_time(7 * HOUR)
    assert calls(home) == ["POST"]


async def test_subscription_made_too_late_that_can_not_be_ended_is_no_error(
    hass: HomeAssistant, home: Home, caplog: pytest.LogCaptureFixture, reachable: None
) -> None:
    entry = await link_slowly(home, Fault.delay(1000))
    unloading = asyncio.create_task(hass.config_entries.async_unload(entry.entry_id))
    for _ in range(100):
        await asyncio.sleep(0)
    home.fire_time_changed(9)
    assert await unloading
    home.simulator.clear_faults()
    home.simulator.add_fault("DELETE", f"{SUBSCRIPTIONS_PATH}*", Fault.status(500))
    await home.wait_until_idle()
    assert calls(home) == ["POST", "DELETE"]
    assert "Traceback" not in caplog.text


async def test_slow_subscribing_during_a_reload_does_not_leave_two(
    hass: HomeAssistant, home: Home, reachable: None
) -> None:
    entry = await link_slowly(home, Fault.delay(1000))
    reloading = asyncio.create_task(hass.config_entries.async_reload(entry.entry_id))
    for _ in range(100):
        await asyncio.sleep(0)
    home.fire_time_changed(9)
    assert await reloading
    home.simulator.clear_faults()
    await home.wait_until_idle()
    assert len(live(home)) == 1
    await home.advance_time(67 * MINUTE)
    assert len(live(home)) == 1


async def test_slow_subscribing_during_the_removal_leaves_nothing(
    hass: HomeAssistant, home: Home, hass_storage: dict[str, Any], reachable: None
) -> None:
    entry = await link_slowly(home, Fault.delay(1000))
    removing = asyncio.create_task(hass.config_entries.async_remove(entry.entry_id))
    for _ in range(100):
        await asyncio.sleep(0)
    home.fire_time_changed(9)
    await removing
    home.simulator.clear_faults()
    await home.wait_until_idle()
    await home.advance_time(67 * MINUTE)
    assert live(home) == []
    assert f"ochno.{entry.entry_id}" not in hass_storage


# How often is polled


async def test_polls_are_rare_while_changes_arrive_at_once(home: Home, entry: ConfigEntry) -> None:
    assert await home.measure_poll_interval() == 120


async def miss(home: Home, hub: SimHub) -> None:
    """Let a change happen that a poll finds and no delivery tells."""
    home.simulator.settings.delivery_drop = True
    hub.plug(2)
    await home.advance_time(122)
    assert home.state("binary_sensor", "Boardroom", "port_2_connected") == "on"


async def test_change_that_is_never_delivered_brings_back_frequent_polls(
    home: Home, hub: SimHub, caplog: pytest.LogCaptureFixture
) -> None:
    [old] = home.simulator.subscriptions.active()
    await miss(home, hub)
    await home.advance_time(9)
    assert home.instant_updates_state == "active"
    await home.advance_time(2)
    assert home.instant_updates_state == "failing"
    [new] = home.simulator.subscriptions.active()
    assert new.id != old.id
    assert new.token != old.token
    polls = home.count_requests(HUBS_PATH)
    await home.advance_time(31)
    assert home.count_requests(HUBS_PATH) == polls + 1
    assert await home.measure_poll_interval() == 30
    await home.advance_time(67 * MINUTE)
    assert home.instant_updates_state == "failing"
    assert live(home) == [new.id]
    assert calls(home)[:3] == ["POST", "DELETE", "POST"]
    [told_of_polling] = [line for line in told(caplog) if "polling" in line]
    assert told_of_polling.endswith(": updates arrive by polling: a change was not delivered")
    home.simulator.settings.delivery_drop = False
    hub.plug(3)
    await home.wait_for_deliveries()
    assert home.instant_updates_state == "active"
    assert await home.measure_poll_interval() == 120
    await home.advance_time(67 * MINUTE)
    assert home.instant_updates_state == "active"


async def test_further_missed_changes_while_in_doubt_change_nothing(
    home: Home, hub: SimHub
) -> None:
    await miss(home, hub)
    await home.advance_time(11)
    before = live(home)
    hub.plug(3)
    await home.poll()
    await home.advance_time(11)
    assert live(home) == before
    assert home.instant_updates_state == "failing"


async def test_missed_change_shows_although_the_service_hangs(home: Home, hub: SimHub) -> None:
    await miss(home, hub)
    home.simulator.add_fault("DELETE", f"{SUBSCRIPTIONS_PATH}*", Fault.hang())
    home.fire_time_changed(11)
    await home.wait_until(lambda: "DELETE" in calls(home))
    assert home.instant_updates_state == "failing"


async def test_several_missed_changes_subscribe_anew_once(home: Home, hub: SimHub) -> None:
    home.simulator.settings.delivery_drop = True
    home.simulator.hub("Focus room").plug(2)
    await miss(home, hub)
    hub.plug(3)
    await home.post_to_webhook({"event": STATE_CHANGE, "hubId": "unknown"})
    await home.wait_until_idle()
    assert home.state("binary_sensor", "Boardroom", "port_3_connected") == "on"
    await home.advance_time(11)
    assert calls(home) == ["POST", "DELETE", "POST"]
    await home.advance_time(11)
    assert calls(home) == ["POST", "DELETE", "POST"]


async def test_change_delivered_just_after_the_poll_is_no_reason_for_doubt(
    home: Home, hub: SimHub
) -> None:
    await miss(home, hub)
    await home.advance_time(9)
    await home.simulator.deliver(hub, STATE_CHANGE, {"newState": hub.state})
    await home.advance_time(20)
    assert home.instant_updates_state == "active"
    assert calls(home) == ["POST"]


async def test_delivery_about_another_hub_does_not_dispel_the_doubt(
    home: Home, hub: SimHub
) -> None:
    await miss(home, hub)
    focus = home.simulator.hub("Focus room")
    await home.simulator.deliver(focus, STATE_CHANGE, {"newState": focus.state})
    await home.advance_time(11)
    assert home.instant_updates_state == "failing"


async def test_hub_going_offline_and_online_is_never_pushed_and_no_reason_for_doubt(
    home: Home, hub: SimHub
) -> None:
    for online in (False, True):
        hub.online = online
        await home.advance_time(122)
        expected = "on" if online else "off"
        assert home.state("binary_sensor", "Boardroom", "connectivity") == expected
        await home.advance_time(11)
    assert home.instant_updates_state == "active"
    assert calls(home) == ["POST"]


async def test_unloading_amid_a_doubt_ends_quietly(
    hass: HomeAssistant, home: Home, hub: SimHub
) -> None:
    await miss(home, hub)
    await hass.config_entries.async_unload(home.entry.entry_id)
    await home.advance_time(11)
    assert live(home) == []
    assert calls(home) == ["POST", "DELETE"]


async def test_change_just_before_subscribing_is_found_and_no_reason_for_doubt(
    hass: HomeAssistant, home: Home, reachable: None
) -> None:
    await hass.config.async_update(external_url=None)
    await link(home)
    home.simulator.hub("Boardroom").plug(2)
    await hass.config.async_update(external_url=FRONTEND_URL)
    await home.wait_until_idle()
    await home.advance_time(31)
    shown = home.state("binary_sensor", "Boardroom", "port_2_connected")
    await home.advance_time(91)
    await home.advance_time(11)
    assert (shown, home.instant_updates_state) == ("on", "active")


async def test_late_delivery_does_not_hide_that_there_is_no_subscription(
    home: Home, hub: SimHub
) -> None:
    [old] = home.simulator.subscriptions.active()
    home.simulator.add_fault("POST", SUBSCRIPTIONS_PATH, Fault.status(503), times=None)
    await miss(home, hub)
    await home.advance_time(11)
    assert live(home) == []
    message = {"event": STATE_CHANGE, "hubId": hub.id, "data": {"newState": hub.state}}
    async with home.client.post(URL(old.webhook_url).path, json=message) as response:
        assert response.status == 200
    assert home.instant_updates_state == "failing"


async def test_log_does_not_blame_the_address_after_a_refusal_in_doubt(
    home: Home, hub: SimHub, caplog: pytest.LogCaptureFixture
) -> None:
    home.simulator.add_fault("POST", SUBSCRIPTIONS_PATH, Fault.status(403))
    await miss(home, hub)
    await home.advance_time(11)
    assert home.instant_updates_state == "refused"
    await home.advance_time(67)
    assert home.instant_updates_state == "failing"
    assert "no https address" not in "".join(told(caplog))


# Options and sensor


async def choose(home: Home, push: bool) -> None:
    """Answer the options dialog."""
    form = await home.request("POST", OPTIONS, {"handler": home.entry.entry_id})
    assert (form["type"], form["step_id"]) == ("form", "init")
    step = await home.request("POST", f"{OPTIONS}/{form['flow_id']}", {"push": push})
    assert step["type"] == "create_entry"
    await home.wait_until_idle()


async def test_options_turn_instant_updates_off_and_on(home: Home, entry: ConfigEntry) -> None:
    form = await home.request("POST", OPTIONS, {"handler": entry.entry_id})
    [question] = form["data_schema"]
    assert (question["name"], question["default"]) == ("push", True)
    await choose(home, push=False)
    assert live(home) == []
    assert home.instant_updates_state == "off"
    assert await home.measure_poll_interval() == 30
    form = await home.request("POST", OPTIONS, {"handler": entry.entry_id})
    assert form["data_schema"][0]["description"] == {"suggested_value": False}
    await choose(home, push=True)
    assert len(live(home)) == 1
    assert home.instant_updates_state == "active"
    assert await home.measure_poll_interval() == 120


async def test_turned_off_nothing_is_subscribed_after_a_restart(
    home: Home, entry: ConfigEntry
) -> None:
    await choose(home, push=False)
    before = calls(home)
    await restart(home)
    home.simulator.hub("Boardroom").plug(2)
    await home.poll()
    assert home.state("binary_sensor", "Boardroom", "port_2_connected") == "on"
    assert calls(home) == before


async def test_sensor_is_disabled_until_the_user_enables_it(
    hass: HomeAssistant, home: Home
) -> None:
    await home.set_external_url()
    entry = await link(home)
    assert home.instant_updates_state is None
    registry = er.async_get(hass)
    unique_id = f"{entry.unique_id}_instant_updates"
    entity_id = registry.async_get_entity_id("sensor", "ochno", unique_id)
    assert entity_id is not None
    registered = registry.async_get(entity_id)
    assert registered is not None
    assert registered.disabled_by is er.RegistryEntryDisabler.INTEGRATION
    registry.async_update_entity(entity_id, disabled_by=None)
    await restart(home)
    state = hass.states.get(entity_id)
    assert state is not None
    assert state.state == "active"
    assert state.attributes["last_delivery"] is None
    assert state.attributes["options"] == ["active", "off", "no_url", "refused", "failing"]
    assert state.name == "Example Organisation Instant updates"
    home.simulator.hub("Boardroom").plug(2)
    await home.wait_for_deliveries()
    state = hass.states.get(entity_id)
    assert state is not None
    assert home.freezer is not None
    assert state.attributes["last_delivery"].timestamp() == home.freezer().timestamp()
