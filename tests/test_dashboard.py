"""Tests of the generated dashboard."""

import json
from pathlib import Path
import pytest
from .home import Home
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

async def test_x(home: Home, hass_ws_client: WebSocketGenerator) -> None:
    await home.link_account(access="control")
    ws = await hass_ws_client(home.hass)
    await ws.send_json_auto_id({"type": "ochno/dashboard", "language": "sv", "config": {}})
    r = await ws.receive_json()
    print(json.dumps(r, indent=1))
    for v in r["result"]["views"]:
        c = v["strategy"]; c.pop("type")
        await ws.send_json_auto_id({"type": "ochno/dashboard/view", "language": "sv", "config": c})
        print(json.dumps(await ws.receive_json(), indent=1)[:3500])
    assert 0
