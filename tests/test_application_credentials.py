"""Tests of the application credentials."""

import json
from pathlib import Path
import re
from typing import Any

import pytest
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from homeassistant.core_config import async_process_ha_core_config

from .home import FRONTEND_URL, Home

CALLBACK_PATH = "/auth/external/callback"
MY_CALLBACK_URL = "https://my.home-assistant.io/redirect/oauth"
TRANSLATIONS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(Path("custom_components/ochno/translations").glob("*.json"))
}


async def send_command(connect: WebSocketGenerator, home: Home, **command: Any) -> Any:
    """Send a websocket command to Home Assistant and return the result."""
    websocket = await connect(home.hass)
    await websocket.send_json_auto_id(command)
    response = await websocket.receive_json()
    assert response["success"], response
    return response["result"]


async def get_placeholders(connect: WebSocketGenerator, home: Home) -> dict[str, str]:
    """Return the placeholders of the description in the credentials dialog."""
    config = await send_command(connect, home, type="application_credentials/config")
    placeholders: dict[str, str] = config["integrations"]["ochno"]["description_placeholders"]
    return placeholders


@pytest.mark.parametrize(
    ("my", "urls", "redirect_uri"),
    [
        pytest.param(True, {"external_url": "https://home.example.com"}, MY_CALLBACK_URL, id="my"),
        pytest.param(
            False,
            {"external_url": "https://home.example.com", "internal_url": "http://10.1.1.1:8123"},
            f"https://home.example.com{CALLBACK_PATH}",
            id="external URL",
        ),
        pytest.param(
            False,
            {"internal_url": "http://10.1.1.1:8123"},
            f"http://10.1.1.1:8123{CALLBACK_PATH}",
            id="internal URL",
        ),
        pytest.param(False, {}, MY_CALLBACK_URL, id="no URL"),
    ],
)
async def test_description_placeholders_have_redirect_uri_scopes_and_servers(
    home: Home,
    hass_ws_client: WebSocketGenerator,
    my: bool,
    urls: dict[str, str],
    redirect_uri: str,
) -> None:
    if my:
        home.hass.config.components.add("my")
    home.hass.config.api = None
    await async_process_ha_core_config(home.hass, urls)
    assert await get_placeholders(hass_ws_client, home) == {
        "redirect_uri": redirect_uri,
        "scopes": "sub, email, hubs:read, accounts:read",
        "server_url": "https://operated.ochno.com",
        "staging_url": "https://staging.ochno.com",
    }


@pytest.mark.parametrize("my", [True, False], ids=["my", "own URL"])
async def test_redirect_uri_in_description_equals_redirect_uri_of_sign_in(
    home: Home, hass_ws_client: WebSocketGenerator, my: bool
) -> None:
    if my:
        home.hass.config.components.add("my")
    await async_process_ha_core_config(home.hass, {"external_url": FRONTEND_URL})
    placeholders = await get_placeholders(hass_ws_client, home)
    await home.add_credentials()
    step = await home.submit_form(await home.start_flow(), server=home.simulator.url)
    location = await home.simulator.approve(step["url"])
    assert location.partition("?")[0] == placeholders["redirect_uri"]


@pytest.mark.parametrize("language", TRANSLATIONS)
async def test_translated_description_uses_all_placeholders_and_no_fixed_url(
    home: Home, hass_ws_client: WebSocketGenerator, language: str
) -> None:
    description = TRANSLATIONS[language]["application_credentials"]["description"]
    used = re.findall(r"{(\w+)}", description)
    assert {"server_url", "staging_url"} <= set(used)
    assert set(used) == (await get_placeholders(hass_ws_client, home)).keys()
    assert "://" not in description


async def test_user_flow_with_credentials_from_dialog_creates_entry(
    home: Home, hass_ws_client: WebSocketGenerator
) -> None:
    await send_command(
        hass_ws_client,
        home,
        type="application_credentials/create",
        domain="ochno",
        client_id=" home-assistant ",
        client_secret=" home-assistant-secret ",
        name="Ours",
    )
    step = await home.run_user_flow()
    assert step["type"] == "create_entry"
    assert step["title"] == "Example Organisation"
