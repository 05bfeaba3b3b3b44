"""Tests of the logbook: who switched a port."""

from datetime import timedelta

import pytest
from pytest_homeassistant_custom_component.common import MockUser
from pytest_homeassistant_custom_component.components.recorder.common import (
    async_wait_recording_done,
)
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from homeassistant.components.recorder.core import Recorder
from homeassistant.core import Context, HomeAssistant
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util

from .home import Home


@pytest.fixture
def freezer() -> None:
    """Do not freeze time, because a command waits for the confirmation of the cloud."""


@pytest.fixture
def mock_recorder_before_hass(async_test_recorder: object) -> None:
    """Create the database before Home Assistant starts."""


@pytest.fixture(autouse=True)
async def _set_up_logbook(recorder_mock: Recorder, hass: HomeAssistant) -> None:
    """Set up the logbook. This must be done before the HTTP server starts."""
    assert await async_setup_component(hass, "logbook", {})


async def test_logbook_names_user_who_turned_on_port_for_all_changed_entities(
    hass: HomeAssistant,
    home: Home,
    hass_ws_client: WebSocketGenerator,
    hass_admin_user: MockUser,
) -> None:
    home.simulator.settings.command_delay = 0.1
    await home.link_account(access="control")
    start = dt_util.utcnow()
    await hass.services.async_call(
        "switch",
        "turn_on",
        blocking=True,
        context=Context(user_id=hass_admin_user.id),
        target={"entity_id": home.entity_id("switch", "Boardroom", "port_2")},
    )
    await async_wait_recording_done(hass)
    websocket = await hass_ws_client(hass)
    await websocket.send_json_auto_id(
        {
            "type": "logbook/get_events",
            "start_time": start.isoformat(),
            "end_time": (dt_util.utcnow() + timedelta(seconds=1)).isoformat(),
        }
    )
    events = (await websocket.receive_json())["result"]
    users = {
        event["entity_id"]: (event["state"], event.get("context_user_id"))
        for event in events
        if event.get("state") is not None
    }
    prefix = "boardroom_boardroom"
    assert users == {
        f"select.{prefix}_active_port": ("2", hass_admin_user.id),
        f"switch.{prefix}_port_1": ("off", hass_admin_user.id),
        f"switch.{prefix}_port_2": ("on", hass_admin_user.id),
    }
