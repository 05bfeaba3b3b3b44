"""Property-based tests of the integration with random valid and malformed responses."""

from contextlib import suppress
import logging
import random

from hypothesis import given, strategies as st
import pytest
from pytest_homeassistant_custom_component.typing import MockHAClientWebSocket, WebSocketGenerator

from custom_components.ochno.oauth import OchnoImplementation, UnknownTokenResponseError
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, valid_entity_id
from homeassistant.helpers import area_registry as ar, device_registry as dr, entity_registry as er
from homeassistant.helpers.config_entry_oauth2_flow import async_get_config_entry_implementation
from homeassistant.helpers.json import json_bytes, prepare_save_json

from .home import HUBS_PATH, TOKEN_PATH, Home
from .simulator import Fault
from .strategies import (
    ACCOUNTS,
    DELIVERIES,
    HUB_LISTS,
    HUBS,
    SPACE_LISTS,
    TOKENS,
    dump_json,
    max_examples,
)

pytestmark = pytest.mark.property

SPACES_PATH = "/api/spaces/v1"


@pytest.fixture
async def entry(home: Home, access: str) -> ConfigEntry:
    """Link the first account, with instant updates."""
    await home.set_external_url()
    entry = await home.link_account(access=access)
    await home.wait_until_idle()
    return entry


def check_log(caplog: pytest.LogCaptureFixture) -> None:
    """Check that the log has no errors and no unprintable characters."""
    for record in caplog.records:
        assert record.levelno < logging.ERROR, logging.Formatter().format(record)
        assert record.exc_info is None, record.getMessage()
        assert record.getMessage().isprintable(), record.getMessage()
    caplog.clear()


async def check_states_and_registries(
    hass: HomeAssistant, websocket: MockHAClientWebSocket
) -> None:
    """Check that states and registries are valid, can be sent to a browser and can be saved."""
    for state in hass.states.async_all():
        assert len(state.state) <= 255
    for entity in er.async_get(hass).entities.values():
        assert valid_entity_id(entity.entity_id)
    for command in (
        "get_states",
        "config/device_registry/list",
        "config/entity_registry/list",
        "config/area_registry/list",
    ):
        await websocket.send_json_auto_id({"type": command})
        assert (await websocket.receive_json())["success"]
    for registry in (ar.async_get(hass), dr.async_get(hass), er.async_get(hass)):
        # Tests do not save registries, and one invalid text would prevent it.
        prepare_save_json(dict(registry._data_to_save()), encoder=None)  # noqa: SLF001


@pytest.mark.parametrize("access", ["read", "control"])
@max_examples(30, thorough=500)
@given(
    hubs=HUB_LISTS,
    spaces=SPACE_LISTS,
    deliveries=st.lists(DELIVERIES, max_size=3),
    details=HUBS,
)
async def test_random_responses_and_deliveries_keep_states_registries_and_log_valid(
    hass: HomeAssistant,
    home: Home,
    entry: ConfigEntry,
    access: str,
    hass_ws_client: WebSocketGenerator,
    caplog: pytest.LogCaptureFixture,
    hubs: list[object],
    spaces: object,
    deliveries: list[object],
    details: object,
) -> None:
    # Home Assistant uses `random` for device ids, and Hypothesis gives it the same seed each time.
    random.seed()
    simulator = home.simulator
    platform = "select" if access == "control" else "sensor"
    websocket = await hass_ws_client(hass)
    valid_hubs = [
        hub.as_json(simulator.settings)
        for hub in simulator.database.hubs_in_account(entry.unique_id or "")
    ]
    list_body = dump_json([*valid_hubs, *hubs])
    simulator.add_fault("GET", SPACES_PATH, Fault.body(dump_json(spaces)), times=None)
    simulator.add_fault("GET", HUBS_PATH, Fault.body(list_body), times=None)
    simulator.add_fault("GET", f"{HUBS_PATH}/*", Fault.body(dump_json(details)), times=None)
    await entry.runtime_data.coordinator.async_refresh()
    await home.wait_until_idle()
    assert home.state(platform, "Boardroom", "active_port") == "1"
    await check_states_and_registries(hass, websocket)
    [subscription] = simulator.subscriptions.active()
    for delivery in deliveries:
        if isinstance(delivery, dict):
            delivery["hubId"] = simulator.hub("Boardroom").id
            delivery["verificationToken"] = subscription.token
        await home.post_to_webhook(dump_json(delivery).encode())
        await check_states_and_registries(hass, websocket)
    await home.advance_time(1)
    await check_states_and_registries(hass, websocket)
    check_log(caplog)

    simulator.clear_faults()
    for _ in range(5):
        await entry.runtime_data.coordinator.async_refresh()
    await home.wait_until_idle()
    assert home.state(platform, "Boardroom", "active_port") == "1"
    assert len(dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)) == 5
    check_log(caplog)
    await websocket.close()


@pytest.mark.parametrize("access", ["read"])
@max_examples(40, thorough=20_000)
@given(response=TOKENS)
async def test_random_token_response_gives_usable_tokens_or_raises_error(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture, response: object
) -> None:
    implementation = await async_get_config_entry_implementation(home.hass, entry)
    assert isinstance(implementation, OchnoImplementation)
    implementation.set_server(home.simulator.url)
    home.simulator.add_fault("POST", TOKEN_PATH, Fault.body(dump_json(response)))
    with suppress(UnknownTokenResponseError):
        token = await implementation.async_refresh_token(dict(entry.data["token"]))
        assert token["access_token"] != entry.data["token"]["access_token"]
        for key in ("access_token", "refresh_token"):
            assert token[key].isascii()
            assert token[key].isprintable()
        assert 60 <= token["expires_in"] <= 24 * 3600
        json_bytes(token)
    check_log(caplog)


@max_examples(20, thorough=500)
@given(account=ACCOUNTS, user=ACCOUNTS)
async def test_user_flow_random_account_and_user_creates_entry_or_aborts(
    hass: HomeAssistant,
    home: Home,
    caplog: pytest.LogCaptureFixture,
    account: object,
    user: object,
) -> None:
    random.seed()
    simulator = home.simulator
    await home.add_credentials()
    simulator.add_fault("GET", "/api/accounts/v1", Fault.body(dump_json(account)), times=None)
    simulator.add_fault(
        "GET", "/identity/oauth/v2/userinfo", Fault.body(dump_json(user)), times=None
    )
    step = await home.run_user_flow()
    await home.wait_until_idle()
    if step["type"] == "create_entry":
        assert home.entry.title.isprintable()
        json_bytes(home.entry.as_storage_fragment)
        assert home.state("sensor", "Boardroom", "active_port") == "1"
        await hass.config_entries.async_remove(home.entry.entry_id)
    else:
        assert (step["type"], step["reason"]) == ("abort", "account_unknown")
    await home.wait_until_idle()
    check_log(caplog)
