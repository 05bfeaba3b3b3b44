"""Tests of instant updates: the webhook subscription and the poll interval."""

import asyncio
import itertools
import logging
import re
from typing import Any, Literal

import pytest
from yarl import URL

from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.const import EVENT_CORE_CONFIG_UPDATE, EVENT_HOMEASSISTANT_STOP
from homeassistant.core import CoreState, HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.util.async_ import get_scheduled_timer_handles

from .home import FRONTEND_URL, HUBS_PATH, SUBSCRIPTIONS_PATH, TOKEN_PATH, Home
from .simulator import Fault, SimHub, Simulator

OPTIONS_PATH = "/api/config/config_entries/options/flow"
STATE_CHANGE = "hub:state:change"
MINUTE, HOUR = 60, 3600


@pytest.fixture
async def external_url(home: Home) -> None:
    """Set an external URL and enable the sensor *Instant updates*.

    Deliveries have the verification token.
    """
    home.enable_instant_updates_sensor()
    await home.set_external_url()


@pytest.fixture
async def entry(home: Home, external_url: None) -> ConfigEntry:
    """Link the first account."""
    return await link_account(home)


@pytest.fixture
def hub(home: Home, entry: ConfigEntry) -> SimHub:
    """Return the hub of the boardroom."""
    assert home.instant_updates_state == "active"
    return home.simulator.hub("Boardroom")


async def link_account(home: Home) -> ConfigEntry:
    """Link the first account and wait until it is subscribed, if possible."""
    entry = await home.link_account()
    await home.wait_until_idle()
    return entry


def subscription_ids(home: Home) -> list[str]:
    """Return the ids of the active subscriptions."""
    return [subscription.id for subscription in home.simulator.subscriptions.active()]


def request_methods(home: Home) -> list[str]:
    """Return the methods of all requests for subscriptions."""
    return [
        request.method
        for request in home.simulator.requests
        if request.path.startswith(SUBSCRIPTIONS_PATH)
    ]


def log_messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the messages of the integration from level INFO, without those about single hubs."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("custom_components.ochno")
        and record.levelno >= logging.INFO
        and ": hub " not in record.getMessage()
    ]


def ochno_timers(hass: HomeAssistant) -> list[str]:
    """Return the timers of the integration."""
    timers = [
        repr(handle) for handle in get_scheduled_timer_handles(hass.loop) if not handle.cancelled()
    ]
    return [timer for timer in timers if "ochno" in timer or "refresh interval" in timer]


async def reload_entry(home: Home) -> None:
    """Reload the config entry and wait until it is subscribed, if possible."""
    await home.hass.config_entries.async_reload(home.entry.entry_id)
    await home.wait_until_idle()


# Create, extend and delete


async def test_subscription_has_all_events_and_random_url_and_token(
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
    assert request_methods(home) == ["POST"]


async def test_reload_changes_token_and_keeps_url(home: Home, entry: ConfigEntry) -> None:
    [first] = home.simulator.subscriptions.active()
    await reload_entry(home)
    [second] = home.simulator.subscriptions.active()
    assert first.id != second.id
    assert first.token != second.token
    assert first.webhook_url == second.webhook_url


async def test_subscription_during_one_day_never_expires(home: Home, entry: ConfigEntry) -> None:
    [first] = subscription_ids(home)
    assert home.freezer is not None
    request_times = [home.freezer().timestamp()]
    while home.freezer().timestamp() < request_times[0] + 24 * HOUR:
        before = len(request_methods(home))
        await home.advance_time(5 * MINUTE)
        assert subscription_ids(home) == [first]
        request_times += [home.freezer().timestamp()] * (len(request_methods(home)) - before)
    assert request_methods(home) == ["POST"] + ["PATCH"] * (len(request_times) - 1)
    # The vendor's demo client sends this header, although the request has no body.
    extension = next(request for request in home.simulator.requests if request.method == "PATCH")
    assert (extension.headers["Content-Type"], extension.body) == ("application/json", "")
    intervals = [after - before for before, after in itertools.pairwise(request_times)]
    assert all(54 * MINUTE <= interval <= 71 * MINUTE for interval in intervals)
    assert len(set(intervals)) > 1
    assert 20 <= len(intervals) <= 27


async def test_subscription_expired_is_created_again(home: Home, hub: SimHub) -> None:
    [first] = home.simulator.subscriptions.active()
    first.expires = 0
    await home.advance_time(67 * MINUTE)
    [second] = home.simulator.subscriptions.active()
    assert request_methods(home) == ["POST", "PATCH", "POST"]
    assert first.token != second.token
    assert home.instant_updates_state == "active"
    hub.plug(2)
    await home.wait_for_deliveries()
    assert home.state("binary_sensor", "Boardroom", "port_2_connected") == "on"


@pytest.mark.parametrize("status", [400, 403, 404, 410, 422])
async def test_subscription_gone_at_extension_is_created_again(
    home: Home, hub: SimHub, status: int
) -> None:
    home.simulator.add_fault("PATCH", f"{SUBSCRIPTIONS_PATH}*", Fault.status(status), times=None)
    await home.advance_time(67 * MINUTE)
    assert request_methods(home) == ["POST", "PATCH", "POST"]
    assert home.instant_updates_state == "active"


async def test_unload_deletes_subscription(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    await hass.config_entries.async_unload(entry.entry_id)
    assert subscription_ids(home) == []
    await home.advance_time(24 * HOUR)
    assert request_methods(home) == ["POST", "DELETE"]


async def test_delivery_during_unload_does_not_log_webhook_id(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    [subscription] = home.simulator.subscriptions.active()
    home.simulator.add_fault("DELETE", f"{SUBSCRIPTIONS_PATH}*", Fault.hang())
    unloading = hass.async_create_task(hass.config_entries.async_unload(entry.entry_id))
    await home.wait_until(lambda: "DELETE" in request_methods(home))
    # The fixture `leak_detector` fails the test if the id of the webhook is logged.
    async with home.client.post(URL(subscription.webhook_url).path, json={}) as response:
        assert response.status == 200
    home.simulator.clear_faults()
    assert await unloading


async def test_unload_before_home_assistant_started_leaves_no_listener(
    hass: HomeAssistant, home: Home, external_url: None
) -> None:
    entry = await link_account(home)
    await hass.config_entries.async_unload(entry.entry_id)
    before = hass.bus.async_listeners()
    hass.set_state(CoreState.starting)
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.config_entries.async_unload(entry.entry_id)
    assert hass.bus.async_listeners() == before


async def test_unload_with_expired_access_token_deletes_subscription(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    home.simulator.expire_access_tokens()
    await hass.config_entries.async_unload(entry.entry_id)
    assert subscription_ids(home) == []


async def test_reload_leaves_one_subscription(home: Home, entry: ConfigEntry) -> None:
    for _ in range(3):
        await reload_entry(home)
        assert len(subscription_ids(home)) == 1
    assert request_methods(home) == ["POST"] + ["DELETE", "POST"] * 3
    assert home.instant_updates_state == "active"


async def test_entry_removed_deletes_subscription_and_storage(
    hass: HomeAssistant, home: Home, hass_storage: dict[str, Any], entry: ConfigEntry
) -> None:
    key = f"ochno.{entry.entry_id}"
    assert hass_storage[key]["data"]["subscription_id"] == subscription_ids(home)[0]
    await hass.config_entries.async_remove(entry.entry_id)
    await home.wait_until_idle()
    assert subscription_ids(home) == []
    assert key not in hass_storage


async def test_entry_without_storage_file_can_be_removed(
    hass: HomeAssistant, home: Home, hass_storage: dict[str, Any], entry: ConfigEntry
) -> None:
    await hass.config_entries.async_unload(entry.entry_id)
    del hass_storage[f"ochno.{entry.entry_id}"]
    await hass.config_entries.async_remove(entry.entry_id)
    assert hass.config_entries.async_entries("ochno") == []


async def test_home_assistant_stop_deletes_subscription(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    await home.wait_until_idle()
    assert subscription_ids(home) == []


async def test_config_update_during_home_assistant_stop_does_not_subscribe(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    home.simulator.add_fault("DELETE", f"{SUBSCRIPTIONS_PATH}*", Fault.delay(1000))
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    await home.wait_until(lambda: request_methods(home) == ["POST", "DELETE"])
    hass.bus.async_fire(EVENT_CORE_CONFIG_UPDATE)
    home.simulator.clear_faults()
    await home.wait_until_idle()
    assert subscription_ids(home) == []
    assert request_methods(home) == ["POST", "DELETE"]


async def test_subscription_is_created_after_home_assistant_started(
    hass: HomeAssistant, home: Home, external_url: None
) -> None:
    hass.set_state(CoreState.starting)
    await link_account(home)
    assert request_methods(home) == []
    hass.set_state(CoreState.running)
    hass.bus.async_fire("homeassistant_started")
    await home.wait_until_idle()
    assert request_methods(home) == ["POST"]


async def test_stale_subscription_is_deleted_at_next_setup(
    hass: HomeAssistant, home: Home, hass_storage: dict[str, Any], entry: ConfigEntry
) -> None:
    [stale_id] = subscription_ids(home)
    home.simulator.add_fault("DELETE", f"{SUBSCRIPTIONS_PATH}*", Fault.reset(), times=None)
    await hass.config_entries.async_unload(entry.entry_id)
    assert hass_storage[f"ochno.{entry.entry_id}"]["data"]["subscription_id"] == stale_id
    assert subscription_ids(home) == [stale_id]
    home.simulator.clear_faults()
    await hass.config_entries.async_setup(entry.entry_id)
    await home.wait_until_idle()
    [new_id] = subscription_ids(home)
    assert new_id != stale_id
    assert request_methods(home)[-2:] == ["DELETE", "POST"]
    assert home.instant_updates_state == "active"


async def test_delivery_to_stale_subscription_is_dropped_without_error(
    hass: HomeAssistant, home: Home, caplog: pytest.LogCaptureFixture, entry: ConfigEntry
) -> None:
    home.simulator.add_fault("DELETE", f"{SUBSCRIPTIONS_PATH}*", Fault.reset(), times=None)
    await hass.config_entries.async_unload(entry.entry_id)
    hass.set_state(CoreState.starting)
    await hass.config_entries.async_setup(entry.entry_id)
    hub = home.simulator.hub("Boardroom")
    [delivery] = await home.simulator.deliver(hub, STATE_CHANGE, {"newState": {"active": 2}})
    assert delivery.status == 200
    await home.advance_time(1)
    assert home.state("sensor", "Boardroom", "active_port") == "1"
    assert home.count_requests(f"{HUBS_PATH}/{hub.id}") == 0
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("status", [400, 403, 404, 410, 422])
async def test_stale_subscription_expired_is_replaced_at_next_setup(
    hass: HomeAssistant, home: Home, hass_storage: dict[str, Any], entry: ConfigEntry, status: int
) -> None:
    home.simulator.add_fault("DELETE", f"{SUBSCRIPTIONS_PATH}*", Fault.status(500))
    await hass.config_entries.async_unload(entry.entry_id)
    home.simulator.subscriptions.active()[0].expires = 0
    home.simulator.add_fault("DELETE", f"{SUBSCRIPTIONS_PATH}*", Fault.status(status), times=None)
    await hass.config_entries.async_setup(entry.entry_id)
    await home.wait_until_idle()
    assert request_methods(home)[-2:] == ["DELETE", "POST"]
    stored = hass_storage[f"ochno.{entry.entry_id}"]["data"]
    assert [stored["subscription_id"]] == subscription_ids(home)


async def test_stale_subscription_delete_always_fails_is_replaced_after_last_retry_interval(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    home.simulator.add_fault("DELETE", f"{SUBSCRIPTIONS_PATH}*", Fault.status(500), times=None)
    await hass.config_entries.async_unload(entry.entry_id)
    await hass.config_entries.async_setup(entry.entry_id)
    await home.wait_until_idle()
    assert home.instant_updates_state == "failing"
    # The subscription may exist for two more hours.
    for _ in range(4):
        await home.advance_time(30 * MINUTE)
        assert request_methods(home)[-1] == "DELETE"
    # Long enough for two retry intervals of six hours.
    for _ in range(20):
        await home.advance_time(HOUR)
    assert home.instant_updates_state == "active"
    assert len(subscription_ids(home)) == 1


async def test_reconfigure_to_other_server_deletes_subscription_at_old_server(
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
        assert subscription_ids(home) == []
        assert [request.method for request in home.simulator.requests] == ["DELETE"]
        assert len(other.subscriptions.active()) == 1
        assert home.flow_sources == []
        await home.hass.config_entries.async_unload(entry.entry_id)


# External URL


async def test_poll_fails_while_active_is_repeated_after_30_seconds(home: Home) -> None:
    home.enable_instant_updates_sensor()
    await home.set_external_url()
    await link_account(home)
    assert home.instant_updates_state == "active"
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(500))
    await home.advance_time(121)
    assert home.state("sensor", "Boardroom", "active_port") == "unavailable"
    await home.advance_time(31)
    assert home.state("sensor", "Boardroom", "active_port") == "1"


async def test_token_refresh_fails_while_active_is_repeated_after_30_seconds(home: Home) -> None:
    home.enable_instant_updates_sensor()
    await home.set_external_url()
    await link_account(home)
    assert home.instant_updates_state == "active"
    home.simulator.expire_access_tokens()
    home.simulator.add_fault("POST", TOKEN_PATH, Fault.status(503))
    await home.advance_time(121)
    assert home.state("sensor", "Boardroom", "active_port") == "unavailable"
    await home.advance_time(31)
    assert home.state("sensor", "Boardroom", "active_port") == "1"


@pytest.mark.parametrize("url", ["https://8.8.8.8:8123", "https://[2606:4700::1]", FRONTEND_URL])
async def test_external_url_public_is_subscribed(home: Home, url: str) -> None:
    home.enable_instant_updates_sensor()
    await home.hass.config.async_update(external_url=url)
    await home.link_account()
    await home.wait_until_idle()
    assert home.instant_updates_state == "active"


@pytest.mark.parametrize(
    "url",
    [
        None,
        "http://example.com:8123",
        "https://192.168.1.2:8123",
        "https://127.0.0.1",
        "https://[::1]:8123",
        "https://[fd00::1]",
        "https://homeassistant.local:8123",
        "https://localhost",
    ],
)
async def test_external_url_not_public_or_not_https_uses_polling(
    hass: HomeAssistant,
    home: Home,
    hass_storage: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    external_url: None,
    url: str | None,
) -> None:
    await hass.config.async_update(external_url=url, internal_url="https://10.0.0.2:8123")
    entry = await link_account(home)
    assert request_methods(home) == []
    assert home.instant_updates_state == "no_url"
    assert await home.measure_poll_interval() == 30
    home.simulator.hub("Boardroom").plug(2)
    await home.poll()
    assert home.state("binary_sensor", "Boardroom", "port_2_connected") == "on"
    await home.advance_time(10)
    assert home.instant_updates_state == "no_url"
    reason = "there is no public https URL"
    assert log_messages(caplog) == [f"{entry.title}: updates arrive by polling: {reason}"]
    await hass.config_entries.async_remove(entry.entry_id)
    assert request_methods(home) == []
    assert f"ochno.{entry.entry_id}" not in hass_storage


async def test_external_url_set_later_subscribes_immediately(
    hass: HomeAssistant, home: Home, external_url: None
) -> None:
    await hass.config.async_update(external_url=None)
    await link_account(home)
    await hass.config.async_update(external_url=FRONTEND_URL)
    await home.wait_until_idle()
    assert len(subscription_ids(home)) == 1
    assert home.instant_updates_state == "active"
    assert await home.measure_poll_interval() == 120


async def test_external_url_changed_replaces_subscription(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    [old] = home.simulator.subscriptions.active()
    await hass.config.async_update(external_url="https://elsewhere.example.com")
    await home.wait_until_idle()
    [new] = home.simulator.subscriptions.active()
    assert request_methods(home) == ["POST", "DELETE", "POST"]
    assert new.webhook_url == old.webhook_url.replace("example.com", "elsewhere.example.com")
    assert new.token != old.token
    assert home.instant_updates_state == "active"


async def test_external_url_removed_deletes_subscription(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    await hass.config.async_update(external_url=None)
    await home.wait_until_idle()
    assert subscription_ids(home) == []
    assert home.instant_updates_state == "no_url"
    assert await home.measure_poll_interval() == 30


async def test_external_url_changed_and_delete_fails_is_retried(
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


async def test_location_name_changed_keeps_subscription(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    before = subscription_ids(home)
    await hass.config.async_update(location_name="Office")
    await home.wait_until_idle()
    assert subscription_ids(home) == before


# Errors


@pytest.mark.parametrize(
    ("fault", "state", "requests_per_attempt"),
    [
        # The request is repeated once with a new access token.
        pytest.param(Fault.status(401), "refused", 2, id="401"),
        pytest.param(Fault.status(403), "refused", 1, id="403"),
        pytest.param(Fault.status(404), "failing", 1, id="404"),
        pytest.param(Fault.status(429, {"Retry-After": "7"}), "failing", 1, id="429"),
        pytest.param(Fault.status(500), "failing", 1, id="500"),
        pytest.param(Fault.status(503), "failing", 1, id="503"),
        pytest.param(Fault.html(), "failing", 1, id="html"),
        pytest.param(Fault.empty(), "failing", 1, id="empty"),
        pytest.param(Fault.body("{}"), "failing", 1, id="id_missing"),
        pytest.param(Fault.body('{"id": null}'), "failing", 1, id="id_null"),
        pytest.param(Fault.body("[]"), "failing", 1, id="list"),
        pytest.param(Fault.reset(), "failing", 1, id="reset"),
    ],
)
async def test_subscribe_error_keeps_polling_and_retries_with_back_off(
    hass: HomeAssistant,
    home: Home,
    caplog: pytest.LogCaptureFixture,
    external_url: None,
    fault: Fault,
    state: str,
    requests_per_attempt: int,
) -> None:
    home.simulator.add_fault("POST", SUBSCRIPTIONS_PATH, fault, times=None)
    entry = await link_account(home)
    assert entry.state is ConfigEntryState.LOADED
    assert home.instant_updates_state == state
    for minutes in (1, 2, 5, 15, 60, 360, 360):
        before = len(request_methods(home))
        await home.advance_time(minutes * MINUTE * 0.9 - 3)
        assert len(request_methods(home)) == before
        await home.advance_time(minutes * MINUTE * 0.2 + 5)
        assert len(request_methods(home)) == before + requests_per_attempt
    assert await home.measure_poll_interval() == 30
    home.simulator.hub("Boardroom").plug(2)
    await home.poll()
    assert home.state("binary_sensor", "Boardroom", "port_2_connected") == "on"
    assert home.flow_sources == []
    [message] = [one for one in log_messages(caplog) if "not understood" not in one]
    assert re.search(r": updates arrive by polling: \w+Error\(", message)
    caplog.clear()
    home.simulator.clear_faults()
    await home.advance_time(7 * HOUR)
    assert home.instant_updates_state == "active"
    assert len(subscription_ids(home)) == 1
    assert len(log_messages(caplog)) == 1
    assert await home.measure_poll_interval() == 120


async def test_back_off_after_success_starts_again(home: Home, external_url: None) -> None:
    home.simulator.add_fault("POST", SUBSCRIPTIONS_PATH, Fault.status(503), times=3)
    await link_account(home)
    await home.advance_time(67)
    await home.advance_time(133)
    await home.advance_time(6 * MINUTE)
    assert home.instant_updates_state == "active"
    home.simulator.add_fault("PATCH", f"{SUBSCRIPTIONS_PATH}*", Fault.status(503))
    await home.advance_time(67 * MINUTE)
    assert home.instant_updates_state == "failing"
    await home.advance_time(67)
    assert home.instant_updates_state == "active"


async def test_extension_error_uses_polling_until_extension_succeeds(
    home: Home, hub: SimHub, caplog: pytest.LogCaptureFixture
) -> None:
    before = subscription_ids(home)
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
    assert subscription_ids(home) == before
    assert await home.measure_poll_interval() == 120
    assert len([message for message in log_messages(caplog) if "polling" in message]) == 1


async def test_extension_during_rate_limit_sends_no_request(home: Home, entry: ConfigEntry) -> None:
    for _ in range(53):
        await home.advance_time(MINUTE)
    home.simulator.add_fault(
        "GET", HUBS_PATH, Fault.status(429, {"Retry-After": "1200"}), times=None
    )
    home.simulator.requests.clear()
    for _ in range(14):
        await home.advance_time(MINUTE)
    assert request_methods(home) == []
    assert home.count_requests(HUBS_PATH) == 1


async def test_cloud_available_after_hours_is_subscribed_at_next_poll(
    home: Home, external_url: None, entry: ConfigEntry
) -> None:
    home.simulator.add_fault("*", "/*", Fault.status(503), times=None)
    for _ in range(6):
        await home.advance_time(HOUR)
    assert home.instant_updates_state == "unavailable"
    home.simulator.clear_faults()
    home.simulator.requests.clear()
    await home.poll()
    assert home.instant_updates_state == "active"
    assert len(subscription_ids(home)) == 1
    assert request_methods(home) == ["PATCH", "POST"]
    await home.poll()
    assert request_methods(home) == ["PATCH", "POST"]


async def test_token_server_error_uses_polling_without_reauth(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    home.simulator.add_fault("POST", TOKEN_PATH, Fault.status(503), times=None)
    await home.advance_time(67 * MINUTE)
    assert home.instant_updates_state == "unavailable"
    message = f"{entry.title}: updates arrive by polling: OAuth2TokenRequestTransientError"
    assert message in log_messages(caplog)
    home.simulator.clear_faults()
    await home.advance_time(67)
    await home.advance_time(67)
    assert home.instant_updates_state == "active"
    assert home.flow_sources == []


async def test_unload_while_delete_hangs_succeeds(
    hass: HomeAssistant, home: Home, caplog: pytest.LogCaptureFixture, entry: ConfigEntry
) -> None:
    home.simulator.add_fault("DELETE", f"{SUBSCRIPTIONS_PATH}*", Fault.hang(), times=None)
    unloading = asyncio.create_task(hass.config_entries.async_unload(entry.entry_id))
    await home.wait_until(lambda: "DELETE" in request_methods(home))
    home.fire_time_changed(9)
    assert await unloading
    assert entry.state is ConfigEntryState.NOT_LOADED
    assert "didn't complete" not in caplog.text
    home.simulator.clear_faults()


async def link_account_while_subscribing(home: Home, fault: Fault) -> ConfigEntry:
    """Link the first account with a fault in the request to subscribe; return during it."""
    await home.hass.config.async_update(external_url=None)
    entry = await link_account(home)
    home.simulator.add_fault("POST", SUBSCRIPTIONS_PATH, fault)
    await home.hass.config.async_update(external_url=FRONTEND_URL)
    await home.wait_until(lambda: request_methods(home))
    return entry


async def exceed_stop_timeout(home: Home) -> None:
    """Let an unload begin, and advance time until it no longer waits for the server."""
    for _ in range(100):
        await asyncio.sleep(0)
    home.fire_time_changed(9)


async def test_unload_while_subscribe_hangs_succeeds(
    hass: HomeAssistant, home: Home, external_url: None
) -> None:
    entry = await link_account_while_subscribing(home, Fault.hang())
    unloading = asyncio.create_task(hass.config_entries.async_unload(entry.entry_id))
    await exceed_stop_timeout(home)
    assert await unloading
    assert entry.state is ConfigEntryState.NOT_LOADED
    home.simulator.clear_faults()
    await home.wait_until_idle()
    assert subscription_ids(home) == []
    await home.advance_time(7 * HOUR)
    assert request_methods(home) == ["POST"]


async def test_unload_during_extension_and_change_of_url_leaves_no_subscription(
    hass: HomeAssistant, home: Home, hub: SimHub
) -> None:
    home.simulator.add_fault("PATCH", f"{SUBSCRIPTIONS_PATH}*", Fault.hang())
    home.fire_time_changed(67 * MINUTE)
    await home.wait_until(lambda: "PATCH" in request_methods(home))
    # The next maintenance run waits for the present one.
    await hass.config.async_update(external_url="https://other.example.com")
    unloading = hass.async_create_task(hass.config_entries.async_unload(home.entry.entry_id))
    await asyncio.sleep(0)
    home.simulator.clear_faults()
    assert await unloading
    await home.wait_until_idle()
    assert subscription_ids(home) == []
    assert request_methods(home) == ["POST", "PATCH", "DELETE"]


async def test_subscription_created_after_unload_and_delete_fails_logs_no_error(
    hass: HomeAssistant, home: Home, caplog: pytest.LogCaptureFixture, external_url: None
) -> None:
    entry = await link_account_while_subscribing(home, Fault.delay(1000))
    unloading = asyncio.create_task(hass.config_entries.async_unload(entry.entry_id))
    await exceed_stop_timeout(home)
    assert await unloading
    home.simulator.clear_faults()
    home.simulator.add_fault("DELETE", f"{SUBSCRIPTIONS_PATH}*", Fault.status(500))
    await home.wait_until_idle()
    assert request_methods(home) == ["POST", "DELETE"]
    assert "Traceback" not in caplog.text


async def test_reload_during_slow_subscribe_leaves_one_subscription(
    hass: HomeAssistant, home: Home, external_url: None
) -> None:
    entry = await link_account_while_subscribing(home, Fault.delay(1000))
    reloading = asyncio.create_task(hass.config_entries.async_reload(entry.entry_id))
    await exceed_stop_timeout(home)
    assert await reloading
    home.simulator.clear_faults()
    await home.wait_until_idle()
    assert len(subscription_ids(home)) == 1
    await home.advance_time(67 * MINUTE)
    assert len(subscription_ids(home)) == 1


async def test_entry_removed_during_slow_subscribe_leaves_no_subscription_or_storage(
    hass: HomeAssistant, home: Home, hass_storage: dict[str, Any], external_url: None
) -> None:
    entry = await link_account_while_subscribing(home, Fault.delay(1000))
    removing = asyncio.create_task(hass.config_entries.async_remove(entry.entry_id))
    await exceed_stop_timeout(home)
    await removing
    home.simulator.clear_faults()
    await home.wait_until_idle()
    await home.advance_time(67 * MINUTE)
    assert subscription_ids(home) == []
    assert f"ochno.{entry.entry_id}" not in hass_storage


async def test_entry_removed_during_slow_subscribe_with_rejected_token_requests_no_token(
    hass: HomeAssistant, home: Home, external_url: None
) -> None:
    entry = await link_account_while_subscribing(home, Fault.delay(1000))
    removing = asyncio.create_task(hass.config_entries.async_remove(entry.entry_id))
    await exceed_stop_timeout(home)
    await removing
    home.simulator.expire_access_tokens()
    home.simulator.requests.clear()
    home.simulator.clear_faults()
    await home.wait_until_idle()
    assert home.count_requests(TOKEN_PATH, "POST") == 0


@pytest.mark.parametrize("expired", [False, True], ids=["valid", "expired"])
async def test_change_of_server_during_slow_subscribe_sends_no_new_token_to_previous_server(
    hass: HomeAssistant, home: Home, external_url: None, expired: bool
) -> None:
    entry = await link_account_while_subscribing(home, Fault.delay(1000))
    async with Simulator() as other:
        home.leak_detector.record_simulator(other)
        step = await home.submit_form(
            await home.start_flow(entry_id=entry.entry_id), server=other.url, access="read"
        )
        location = await other.approve(step["url"])
        change = asyncio.create_task(home.follow_redirect(step, location))
        await home.wait_until(lambda: entry.state is not ConfigEntryState.LOADED)
        await exceed_stop_timeout(home)
        await home.wait_until(lambda: entry.data["server"] == other.url)
        await home.wait_until(lambda: home.instant_updates_state == "active")
        if expired:
            data = {**entry.data, "token": {**entry.data["token"], "expires_at": 0}}
            hass.config_entries.async_update_entry(entry, data=data)
        home.simulator.clear_faults()
        assert (await change)["reason"] == "reconfigure_successful"
        await home.wait_until_idle()
        sent = {secret for request in home.simulator.requests for secret in request.secrets()}
        assert not [secret for secret in sent & other.secrets() if secret[:3] in ("at-", "rt-")]
        await hass.config_entries.async_unload(entry.entry_id)


async def test_unload_during_slow_subscribe_leaves_no_timer(
    hass: HomeAssistant, home: Home, external_url: None
) -> None:
    entry = await link_account_while_subscribing(home, Fault.delay(1000))
    unloading = asyncio.create_task(hass.config_entries.async_unload(entry.entry_id))
    await exceed_stop_timeout(home)
    assert await unloading
    home.simulator.clear_faults()
    await home.wait_until_idle()
    assert ochno_timers(hass) == []


# Poll interval and missed deliveries


async def test_poll_interval_with_active_subscription_is_two_minutes(
    home: Home, entry: ConfigEntry
) -> None:
    assert await home.measure_poll_interval() == 120


async def poll_undelivered_change(home: Home, hub: SimHub) -> None:
    """Change a hub without a delivery, and wait for the poll that finds the change."""
    home.simulator.settings.delivery_drop = True
    hub.plug(2)
    await home.advance_time(122)
    assert home.state("binary_sensor", "Boardroom", "port_2_connected") == "on"


def plug_or_unplug(hub: SimHub) -> None:
    """Plug a laptop in to port 2, or unplug it."""
    (hub.unplug if 2 in hub.plugged else hub.plug)(2)


async def test_missed_delivery_restores_poll_interval_and_replaces_subscription(
    home: Home, hub: SimHub, caplog: pytest.LogCaptureFixture
) -> None:
    [old] = home.simulator.subscriptions.active()
    await poll_undelivered_change(home, hub)
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
    await home.advance_time(50 * MINUTE)
    assert home.instant_updates_state == "failing"
    assert subscription_ids(home) == [new.id]
    assert request_methods(home)[:3] == ["POST", "DELETE", "POST"]
    [message] = [message for message in log_messages(caplog) if "polling" in message]
    assert message.endswith(": updates arrive by polling: a change was not delivered")
    home.simulator.settings.delivery_drop = False
    hub.plug(3)
    await home.wait_for_deliveries()
    assert home.instant_updates_state == "active"
    assert await home.measure_poll_interval() == 120
    await home.advance_time(67 * MINUTE)
    assert home.instant_updates_state == "active"


async def test_changes_during_outage_keep_state_active(home: Home, hub: SimHub) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(503), times=None)
    await home.advance_time(122)
    home.simulator.settings.delivery_drop = True
    hub.plug(2)
    home.simulator.settings.delivery_drop = False
    home.simulator.clear_faults()
    await home.poll()
    assert home.state("binary_sensor", "Boardroom", "port_2_connected") == "on"
    await home.advance_time(11)
    assert home.instant_updates_state == "active"


@pytest.mark.parametrize("hubs", [1, 5])
async def test_change_that_poll_finds_before_the_fetch_after_its_delivery_keeps_state_active(
    home: Home, hub: SimHub, hubs: int
) -> None:
    home.simulator.settings.delivery_token = None
    others = [home.simulator.add_hub(f"Room {number}") for number in range(1, hubs)]
    await home.advance_time(122)
    for one in (hub, *others):
        one.plug(2)
    await home.wait_for_deliveries()
    # The list is fetched instead of five hubs.
    if hubs == 1:
        await home.entry.runtime_data.coordinator.async_refresh()
    await home.advance_time(1)
    assert home.state("binary_sensor", "Boardroom", "port_2_connected") == "on"
    await home.advance_time(11)
    assert home.instant_updates_state == "active"


async def test_missed_delivery_while_failing_keeps_subscription(home: Home, hub: SimHub) -> None:
    await poll_undelivered_change(home, hub)
    await home.advance_time(11)
    before = subscription_ids(home)
    hub.plug(3)
    await home.poll()
    await home.advance_time(11)
    assert subscription_ids(home) == before
    assert home.instant_updates_state == "failing"


async def test_missed_delivery_while_delete_hangs_sets_state_failing(
    home: Home, hub: SimHub
) -> None:
    await poll_undelivered_change(home, hub)
    home.simulator.add_fault("DELETE", f"{SUBSCRIPTIONS_PATH}*", Fault.hang())
    home.fire_time_changed(11)
    await home.wait_until(lambda: "DELETE" in request_methods(home))
    assert home.instant_updates_state == "failing"


@pytest.mark.parametrize("token", ["verificationToken", None])
async def test_undelivered_hub_is_polled_until_one_of_its_own_deliveries_arrives(
    home: Home, hub: SimHub, token: Literal["verificationToken"] | None
) -> None:
    home.simulator.settings.delivery_token = token
    await poll_undelivered_change(home, hub)
    await home.advance_time(11)
    home.simulator.settings.delivery_drop = False
    home.simulator.hub("Focus room").plug(2)
    await home.wait_for_deliveries()
    await home.advance_time(2)
    assert home.instant_updates_state == "failing"
    hub.plug(3)
    await home.wait_for_deliveries()
    await home.advance_time(2)
    assert home.instant_updates_state == "active"


async def test_delivery_without_token_and_without_change_does_not_end_the_polling(
    home: Home, hub: SimHub
) -> None:
    home.simulator.settings.delivery_token = None
    await poll_undelivered_change(home, hub)
    await home.advance_time(11)
    home.simulator.settings.delivery_drop = False
    await home.simulator.deliver(hub, STATE_CHANGE, {"newState": hub.state})
    await home.advance_time(2)
    assert home.instant_updates_state == "failing"


async def test_change_fetched_after_subscription_ended_keeps_state_no_url(
    hass: HomeAssistant, home: Home, hub: SimHub
) -> None:
    home.simulator.settings.delivery_token = None
    await poll_undelivered_change(home, hub)
    await home.advance_time(11)
    home.simulator.settings.delivery_drop = False
    hub.plug(3)
    await home.wait_for_deliveries()
    await hass.config.async_update(external_url=None)
    await home.wait_until_idle()
    await home.advance_time(2)
    assert home.state("binary_sensor", "Boardroom", "port_3_connected") == "on"
    assert home.instant_updates_state == "no_url"


async def test_undelivered_hub_that_leaves_ends_the_polling_at_next_extension(
    home: Home, hub: SimHub
) -> None:
    await poll_undelivered_change(home, hub)
    await home.advance_time(11)
    home.simulator.database.remove_hub("Boardroom")
    await home.poll(6)
    await home.advance_time(67 * MINUTE)
    assert home.instant_updates_state == "active"


async def test_lost_deliveries_of_one_hub_replace_subscription_at_most_once_an_hour(
    home: Home, hub: SimHub
) -> None:
    await poll_undelivered_change(home, hub)
    await home.advance_time(11)
    home.simulator.requests.clear()
    for minute in range(6 * 60):
        if minute % 10 == 0:
            home.simulator.settings.delivery_drop = True
            plug_or_unplug(hub)
            await home.wait_for_deliveries()
            home.simulator.settings.delivery_drop = False
            expected = "on" if 2 in hub.plugged else "off"
        plug_or_unplug(home.simulator.hub("Focus room"))
        await home.poll()
        assert home.state("binary_sensor", "Boardroom", "port_2_connected") == expected
        await home.advance_time(29)
    assert request_methods(home).count("POST") <= 6
    assert request_methods(home).count("DELETE") <= 6


async def test_missed_deliveries_of_several_hubs_replace_subscription_once(
    home: Home, hub: SimHub
) -> None:
    home.simulator.settings.delivery_drop = True
    home.simulator.hub("Focus room").plug(2)
    await poll_undelivered_change(home, hub)
    hub.plug(3)
    await home.post_to_webhook({"event": STATE_CHANGE, "hubId": "unknown"})
    await home.advance_time(1)
    assert home.state("binary_sensor", "Boardroom", "port_3_connected") == "on"
    await home.advance_time(11)
    assert request_methods(home) == ["POST", "DELETE", "POST"]
    await home.advance_time(11)
    assert request_methods(home) == ["POST", "DELETE", "POST"]
    home.simulator.settings.delivery_drop = False
    for name, state in (("Boardroom", "failing"), ("Focus room", "active")):
        home.simulator.hub(name).plug(4)
        await home.wait_for_deliveries()
        assert home.instant_updates_state == state


async def test_delivery_shortly_after_poll_keeps_state_active(home: Home, hub: SimHub) -> None:
    await poll_undelivered_change(home, hub)
    await home.advance_time(9)
    await home.simulator.deliver(hub, STATE_CHANGE, {"newState": hub.state})
    await home.advance_time(20)
    assert home.instant_updates_state == "active"
    assert request_methods(home) == ["POST"]


async def test_missed_delivery_and_delivery_of_other_hub_sets_state_failing(
    home: Home, hub: SimHub
) -> None:
    await poll_undelivered_change(home, hub)
    focus = home.simulator.hub("Focus room")
    await home.simulator.deliver(focus, STATE_CHANGE, {"newState": focus.state})
    await home.advance_time(11)
    assert home.instant_updates_state == "failing"


async def test_hub_offline_and_online_without_delivery_keeps_state_active(
    home: Home, hub: SimHub
) -> None:
    for online in (False, True):
        hub.online = online
        await home.advance_time(122)
        expected = "on" if online else "off"
        assert home.state("binary_sensor", "Boardroom", "connectivity") == expected
        await home.advance_time(11)
    assert home.instant_updates_state == "active"
    assert request_methods(home) == ["POST"]


async def test_unload_while_delivery_is_awaited_deletes_subscription_and_stops_waiting(
    hass: HomeAssistant, home: Home, hub: SimHub, caplog: pytest.LogCaptureFixture
) -> None:
    await poll_undelivered_change(home, hub)
    await hass.config_entries.async_unload(home.entry.entry_id)
    await home.advance_time(11)
    assert subscription_ids(home) == []
    assert request_methods(home) == ["POST", "DELETE"]
    assert [message for message in log_messages(caplog) if "polling" in message] == []


async def test_change_before_subscribe_is_fetched_and_keeps_state_active(
    hass: HomeAssistant, home: Home, external_url: None
) -> None:
    await hass.config.async_update(external_url=None)
    await link_account(home)
    home.simulator.hub("Boardroom").plug(2)
    await hass.config.async_update(external_url=FRONTEND_URL)
    await home.wait_until_idle()
    await home.advance_time(31)
    port_state = home.state("binary_sensor", "Boardroom", "port_2_connected")
    await home.advance_time(91)
    await home.advance_time(11)
    assert (port_state, home.instant_updates_state) == ("on", "active")


async def test_late_delivery_without_subscription_is_dropped_and_keeps_state_failing(
    home: Home, hub: SimHub
) -> None:
    [old] = home.simulator.subscriptions.active()
    home.simulator.add_fault("POST", SUBSCRIPTIONS_PATH, Fault.status(503), times=None)
    await poll_undelivered_change(home, hub)
    await home.advance_time(11)
    assert subscription_ids(home) == []
    message = {
        "verificationToken": old.token,
        "event": STATE_CHANGE,
        "hubId": hub.id,
        "data": {"newState": {"active": 3}},
    }
    async with home.client.post(URL(old.webhook_url).path, json=message) as response:
        assert response.status == 200
    assert home.state("sensor", "Boardroom", "active_port") == "2"
    assert home.instant_updates_state == "failing"


async def test_log_after_missed_delivery_and_refusal_has_reason_of_each_state(
    home: Home, hub: SimHub, caplog: pytest.LogCaptureFixture
) -> None:
    home.simulator.add_fault("POST", SUBSCRIPTIONS_PATH, Fault.status(403))
    await poll_undelivered_change(home, hub)
    await home.advance_time(11)
    assert home.instant_updates_state == "refused"
    await home.advance_time(67)
    assert home.instant_updates_state == "failing"
    reasons = [message.partition(" by polling: ")[2] for message in log_messages(caplog)[-3:]]
    assert reasons[0] == reasons[2] == "a change was not delivered"
    assert reasons[1] not in ("", reasons[0])


# Options and sensor


async def set_push_option(home: Home, push: bool) -> None:
    """Complete the options flow."""
    form = await home.request("POST", OPTIONS_PATH, {"handler": home.entry.entry_id})
    assert (form["type"], form["step_id"]) == ("form", "init")
    step = await home.request("POST", f"{OPTIONS_PATH}/{form['flow_id']}", {"push": push})
    assert step["type"] == "create_entry"
    await home.wait_until_idle()


async def test_options_turn_instant_updates_off_and_on(home: Home, entry: ConfigEntry) -> None:
    form = await home.request("POST", OPTIONS_PATH, {"handler": entry.entry_id})
    [field] = form["data_schema"]
    assert (field["name"], field["default"]) == ("push", True)
    await set_push_option(home, push=False)
    assert subscription_ids(home) == []
    assert home.instant_updates_state == "off"
    assert await home.measure_poll_interval() == 30
    form = await home.request("POST", OPTIONS_PATH, {"handler": entry.entry_id})
    assert form["data_schema"][0]["description"] == {"suggested_value": False}
    await set_push_option(home, push=True)
    assert len(subscription_ids(home)) == 1
    assert home.instant_updates_state == "active"
    assert await home.measure_poll_interval() == 120


async def test_instant_updates_off_after_reload_does_not_subscribe(
    home: Home, entry: ConfigEntry
) -> None:
    await set_push_option(home, push=False)
    before = request_methods(home)
    await reload_entry(home)
    home.simulator.hub("Boardroom").plug(2)
    await home.poll()
    assert home.state("binary_sensor", "Boardroom", "port_2_connected") == "on"
    assert request_methods(home) == before


async def test_instant_updates_sensor_is_disabled_by_default(
    hass: HomeAssistant, home: Home
) -> None:
    await home.set_external_url()
    entry = await link_account(home)
    assert home.instant_updates_state is None
    registry = er.async_get(hass)
    unique_id = f"{entry.unique_id}_instant_updates"
    entity_id = registry.async_get_entity_id("sensor", "ochno", unique_id)
    assert entity_id is not None
    registry_entry = registry.async_get(entity_id)
    assert registry_entry is not None
    assert registry_entry.disabled_by is er.RegistryEntryDisabler.INTEGRATION
    registry.async_update_entity(entity_id, disabled_by=None)
    await reload_entry(home)
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
