"""The dialog in which the client ID and secret are entered."""

import json
from pathlib import Path
import re
from typing import Any

import pytest
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from homeassistant.core_config import async_process_ha_core_config

from .home import Home

CALLBACK = "/auth/external/callback"
MY_CALLBACK = "https://my.home-assistant.io/redirect/oauth"
TRANSLATIONS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(Path("custom_components/ochno/translations").glob("*.json"))
}


async def ask(connect: WebSocketGenerator, home: Home, **message: Any) -> Any:
    """Speak to Home Assistant's websocket as the frontend does."""
    websocket = await connect(home.hass)
    await websocket.send_json_auto_id(message)
    answer = await websocket.receive_json()
    assert answer["success"], answer
    return answer["result"]


async def placeholders(connect: WebSocketGenerator, home: Home) -> dict[str, str]:
    """Return what the dialog fills into its description."""
    config = await ask(connect, home, type="application_credentials/config")
    shown: dict[str, str] = config["integrations"]["ochno"]["description_placeholders"]
    return shown


@pytest.mark.parametrize(
    ("my", "urls", "redirect_uri"),
    [
        pytest.param(True, {"external_url": "https://home.example.com"}, MY_CALLBACK, id="my"),
        pytest.param(
            False,
            {"external_url": "https://home.example.com", "internal_url": "http://10.1.1.1:8123"},
            f"https://home.example.com{CALLBACK}",
            id="external address",
        ),
        pytest.param(
            False,
            {"internal_url": "http://10.1.1.1:8123"},
            f"http://10.1.1.1:8123{CALLBACK}",
            id="internal address",
        ),
        pytest.param(False, {}, MY_CALLBACK, id="no address"),
    ],
)
async def test_dialog_tells_which_redirect_uri_to_enter_at_ochno(
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
    assert await placeholders(hass_ws_client, home) == {
        "redirect_uri": redirect_uri,
        "scopes": "sub, email, hubs:read, accounts:read",
        "server_url": "https://operated.ochno.com",
    }


@pytest.mark.parametrize("my", [True, False], ids=["my", "own address"])
async def test_redirect_uri_in_the_dialog_is_the_one_that_is_used(
    home: Home, hass_ws_client: WebSocketGenerator, my: bool
) -> None:
    if my:
        home.hass.config.components.add("my")
    # The address that the browser is at, in these tests.
    await async_process_ha_core_config(home.hass, {"external_url": "https://example.com"})
    shown = await placeholders(hass_ws_client, home)
    await home.add_credentials()
    step = await home.submit_form(await home.start_flow(), server=home.simulator.url)
    location = await home.simulator.approve(step["url"])
    assert location.partition("?")[0] == shown["redirect_uri"]


@pytest.mark.parametrize("language", TRANSLATIONS)
async def test_description_uses_exactly_what_is_filled_in(
    home: Home, hass_ws_client: WebSocketGenerator, language: str
) -> None:
    description = TRANSLATIONS[language]["application_credentials"]["description"]
    used = re.findall(r"{(\w+)}", description)
    assert set(used) == (await placeholders(hass_ws_client, home)).keys()
    assert "://" not in description


async def test_credentials_entered_in_the_dialog_can_be_used(
    home: Home, hass_ws_client: WebSocketGenerator
) -> None:
    await ask(
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
