"""A broken or malicious cloud harms neither the house, nor its log, nor what is stored."""

from contextlib import suppress
import logging
import random
from typing import Any

from hypothesis import given, strategies as st
import pytest
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

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

SPACES = "/api/spaces/v1"


@pytest.fixture
async def entry(home: Home, access: str) -> ConfigEntry:
    """Link the first account, with instant updates."""
    await home.set_external_url()
    entry = await home.link_account(access=access)
    await home.wait_until_idle()
    return entry


def check_log(caplog: pytest.LogCaptureFixture) -> None:
    for record in caplog.records:
        assert record.levelno < logging.ERROR, logging.Formatter().format(record)
        assert record.exc_info is None, record.getMessage()
        assert record.getMessage().isprintable(), record.getMessage()
    caplog.clear()


async def check_house(hass: HomeAssistant, websocket: Any) -> None:
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
        # Not written in tests; one text that is no JSON would keep the whole house from saving.
        prepare_save_json(registry._data_to_save(), encoder=None)  # noqa: SLF001


@pytest.mark.parametrize("access", ["read", "control"])
@max_examples(30, thorough=500)
@given(
    hubs=HUB_LISTS,
    spaces=SPACE_LISTS,
    deliveries=st.lists(DELIVERIES, max_size=3),
    details=HUBS,
)
async def test_hostile_cloud_harms_neither_the_house_nor_its_log(
    hass: HomeAssistant,
    home: Home,
    entry: ConfigEntry,
    access: str,
    hass_ws_client: WebSocketGenerator,
    caplog: pytest.LogCaptureFixture,
    hubs: list[Any],
    spaces: Any,
    deliveries: list[Any],
    details: Any,
) -> None:
    # Home Assistant draws the ids of devices from it, and hypothesis seeds it always alike.
    random.seed()
    simulator = home.simulator
    platform = "select" if access == "control" else "sensor"
    websocket = await hass_ws_client(hass)
    sound = [
        hub.as_json(simulator.settings)
        for hub in simulator.database.hubs_in_account(entry.unique_id or "")
    ]
    simulator.add_fault("GET", SPACES, Fault.body(dump_json(spaces)), times=None)
    simulator.add_fault("GET", HUBS_PATH, Fault.body(dump_json([*sound, *hubs])), times=None)
    simulator.add_fault("GET", f"{HUBS_PATH}/*", Fault.body(dump_json(details)), times=None)
    await entry.runtime_data.coordinator.async_refresh()
    await home.wait_until_idle()
    assert home.state(platform, "Boardroom", "active_port") == "1"
    await check_house(hass, websocket)
    for delivery in deliveries:
        if isinstance(delivery, dict):
            delivery["hubId"] = simulator.hub("Boardroom").id
            delivery.pop("verificationToken", None)
        await home.post_to_webhook(dump_json(delivery).encode())
        await check_house(hass, websocket)
    await home.advance_time(1)
    await check_house(hass, websocket)
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
@given(answer=TOKENS)
async def test_token_answer_is_refused_or_leaves_usable_tokens(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture, answer: Any
) -> None:
    implementation = await async_get_config_entry_implementation(home.hass, entry)
    assert isinstance(implementation, OchnoImplementation)
    implementation.use_server(home.simulator.url)
    home.simulator.add_fault("POST", TOKEN_PATH, Fault.body(dump_json(answer)))
    # What Home Assistant does when the access token is about to end.
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
async def test_account_is_linked_or_refused_whatever_is_said_of_it(
    hass: HomeAssistant, home: Home, caplog: pytest.LogCaptureFixture, account: Any, user: Any
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
