"""Tests of the diagnostics."""

from collections import Counter
from http import HTTPStatus
import json
import re
import time
from typing import Any
from unittest.mock import ANY, patch

import pytest

from custom_components.ochno.operated.redact import REDACTED
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr

from .home import HUBS_PATH, TOKEN_PATH, Home
from .oauth import edited_response
from .simulator import Fault


async def download(home: Home, device_id: str | None = None) -> Any:
    """Download the diagnostics of the entry or of a device, and return the integration's part."""
    path = f"/api/diagnostics/config_entry/{home.entry.entry_id}"
    if device_id is not None:
        path += f"/device/{device_id}"
    async with home.client.get(path) as response:
        assert response.status == HTTPStatus.OK, await response.text()
        text = await response.text()
        home.leak_detector.record_output("diagnostics", text)
        return json.loads(text)["data"]


async def download_hub(home: Home) -> Any:
    """Download the diagnostics of the boardroom's hub."""
    device = home.device("Boardroom")
    assert device is not None
    return await download(home, device.id)


async def test_entry_diagnostics_have_entry_token_and_updates(
    home: Home, entry: ConfigEntry
) -> None:
    diagnostics = await download(home)
    assert diagnostics["entry"] == {
        "state": "loaded",
        "server": home.simulator.url,
        "access": "read",
        "instant_updates": True,
    }
    assert "hubs:read" in diagnostics["token"]["scopes"]
    assert "refresh_token" in diagnostics["token"]["fields"]
    assert diagnostics["token"]["seconds_left"] > 0
    assert diagnostics["updates"]["instant_updates"] == "no_url"
    assert diagnostics["updates"]["last_poll"] is not None
    assert diagnostics["updates"]["last_poll_failed_by"] is None


@pytest.mark.parametrize(
    ("scope", "scopes"),
    [
        (None, []),
        ("sub hubs:read email", ["email", "hubs:read", "sub"]),
        ("sub,hubs:read,email", ["email", "hubs:read", "sub"]),
    ],
    ids=["null", "spaces", "commas"],
)
async def test_entry_diagnostics_have_sorted_scopes_for_each_scope_format(
    home: Home, scope: str | None, scopes: list[str]
) -> None:
    home.simulator.add_fault("POST", TOKEN_PATH, edited_response(scope=scope))
    await home.link_account()
    assert (await download(home))["token"]["scopes"] == scopes


async def test_entry_diagnostics_have_each_response_and_its_interpretation(
    home: Home, entry: ConfigEntry
) -> None:
    responses = (await download(home))["responses"]
    assert {path: response["interpreted"] for path, response in responses.items()} == {
        "/api/hubs/v1": {"hubs": 4, "malformed": [], "first_hubs": ANY},
        "/api/accounts/v1": {"accounts": 1},
        "/identity/oauth/v2/userinfo": {"has_id": True, "has_name": True},
        "/api/spaces/v1": {"spaces": 4, "malformed": []},
    }
    hubs = responses["/api/hubs/v1"]
    assert (hubs["status"], hubs["content_type"]) == (200, "application/json; charset=utf-8")
    assert hubs["length"] > 1_000
    assert hubs["body"][0]["name"] == REDACTED
    assert hubs["body"][0]["data"]["state"]["otp"] == "normal"
    assert "connected" in hubs["shape"]
    assert hubs["interpreted"]["first_hubs"][0] == {
        "online": True,
        "connected": [True, False, False, False],
        "active_port": 1,
        "default_port": 1,
        "room_system": True,
        "room_system_port": 1,
        "overheating": False,
        "admin_mode": False,
        "spaces": 1,
        "has_account": False,
        "unread": [],
    }


async def test_entry_diagnostics_have_requests_of_each_hour(home: Home, entry: ConfigEntry) -> None:
    await home.poll(2)
    # A request is repeated once if the connection is closed.
    home.simulator.add_fault("GET", HUBS_PATH, Fault.reset(), times=2)
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(502))
    await home.poll(2)
    await home.advance_time(3600)
    hours = (await download(home))["requests"]
    # The hour can change at any time.
    assert len(hours) >= 2
    counts = Counter[str]()
    for hour in hours.values():
        counts.update(hour)
    assert counts["GET /api/hubs/v1: 304"] >= 1
    assert counts["GET /api/hubs/v1: 502"] == 1
    assert sum(count for request, count in counts.items() if request.endswith("Error")) == 1


async def test_entry_diagnostics_have_token_requests(home: Home, entry: ConfigEntry) -> None:
    path = f"POST {TOKEN_PATH}"
    await home.advance_time(3600)
    home.simulator.add_fault("POST", TOKEN_PATH, Fault.status(502))
    await home.advance_time(3600)
    counts = Counter[str]()
    for hour in (await download(home))["requests"].values():
        counts.update(hour)
    assert counts[f"{path}: 200"] >= 1
    assert counts[f"{path}: 502"] == 1


async def test_entry_diagnostics_have_requests_of_last_24_hours(
    home: Home, entry: ConfigEntry
) -> None:
    for _ in range(30):
        await home.advance_time(3600)
    assert len((await download(home))["requests"]) == 24


async def test_clock_set_back_by_days_does_not_fail_the_polls(
    home: Home, entry: ConfigEntry
) -> None:
    for _ in range(30):
        await home.advance_time(3600)
    # The frozen clock of the tests would also move the monotonic clock.
    with patch("time.monotonic", return_value=time.monotonic()):
        await home.advance_time(-7 * 24 * 3600)
        home.simulator.hub("Boardroom").set_active(3)
        await entry.runtime_data.coordinator.async_refresh()
    assert home.state("sensor", "Boardroom", "active_port") == "3"


async def test_diagnostics_contain_no_secrets_or_personal_data(
    home: Home, entry: ConfigEntry
) -> None:
    user = home.simulator.database.users["anna@example.com"]
    output = json.dumps([await download(home), await download_hub(home)])
    secrets = [user.email, user.name, user.sub, entry.unique_id, "Boardroom"]
    secrets += [
        hub.id
        for hub in home.simulator.database.hubs_in_account(home.simulator.database.account().id)
    ]
    secrets += [entry.data["token"]["access_token"], entry.data["token"]["refresh_token"]]
    for secret in secrets:
        assert str(secret) not in output


async def test_hub_diagnostics_have_hub_and_response_of_hub_endpoint(
    home: Home, entry: ConfigEntry
) -> None:
    diagnostics = await download_hub(home)
    assert diagnostics["hub"]["received"]["data"]["state"]["active"] == 1
    assert diagnostics["response"]["body"]["data"]["state"]["active"] == 1
    for part in (diagnostics["hub"], diagnostics["response"]):
        assert part["interpreted"]["active_port"] == 1


async def test_entry_diagnostics_with_failed_responses_have_status_or_error(
    home: Home, entry: ConfigEntry
) -> None:
    home.simulator.add_fault("GET", "/api/accounts/v1", Fault.status(500))
    home.simulator.add_fault("GET", "/api/spaces/v1", Fault.html())
    responses = (await download(home))["responses"]
    assert responses["/api/accounts/v1"]["status"] == 500
    assert responses["/api/spaces/v1"]["interpreted"].startswith(
        "OperatedResponseError('expected JSON, got "
    )
    home.simulator.add_fault("GET", "/api/accounts/v1", Fault.reset(), times=2)
    home.simulator.add_fault("GET", "/api/spaces/v1", Fault.status(401))
    responses = (await download(home))["responses"]
    assert responses["/api/accounts/v1"].startswith("OperatedConnectionError(")
    assert responses["/api/spaces/v1"]["status"] == 401
    home.simulator.add_fault("POST", TOKEN_PATH, Fault.status(503), times=None)
    await home.advance_time(3600)
    responses = (await download(home))["responses"]
    assert set(responses.values()) == {"OAuth2TokenRequestTransientError"}


async def test_entry_diagnostics_have_error_of_last_poll_until_next_successful_poll(
    home: Home, entry: ConfigEntry
) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(502))
    await home.poll()
    assert (await download(home))["updates"]["last_poll_failed_by"] == "OperatedStatusError(502)"
    await home.poll()
    assert (await download(home))["updates"]["last_poll_failed_by"] is None


@pytest.mark.parametrize(
    ("status", "error"),
    [(503, "OAuth2TokenRequestTransientError"), (400, "OAuth2TokenRequestReauthError")],
)
async def test_entry_diagnostics_after_failed_token_refresh_have_its_error(
    home: Home, entry: ConfigEntry, status: int, error: str
) -> None:
    home.simulator.add_fault("POST", TOKEN_PATH, Fault.status(status), times=None)
    await home.advance_time(3600)
    assert (await download(home))["updates"]["last_poll_failed_by"] == error


async def test_entry_diagnostics_without_scope_in_token_response_have_no_scopes(home: Home) -> None:
    home.simulator.settings.scope_in_answer = False
    await home.link_account()
    assert (await download(home))["token"]["scopes"] == []


@pytest.fixture
async def push_entry(home: Home) -> ConfigEntry:
    """Link the first account with a webhook subscription and return its config entry."""
    await home.set_external_url()
    entry = await home.link_account()
    await home.wait_until_idle()
    return entry


async def download_deliveries(home: Home) -> Any:
    """Return the deliveries by event. Entry and hub diagnostics have the same."""
    deliveries = (await download(home))["deliveries"]
    assert (await download_hub(home))["deliveries"] == deliveries
    return deliveries


async def test_diagnostics_have_deliveries_that_were_understood(
    home: Home, push_entry: ConfigEntry
) -> None:
    assert await download_deliveries(home) == {}
    await home.simulator.deliver("Boardroom", "hub:state:change", {"newState": {"active": 2}})
    home.simulator.settings.delivery_token = "header"
    await home.simulator.deliver("Boardroom", "hub:temp", {"temp": 45})
    deliveries = await download_deliveries(home)
    [state_change], [temperature] = deliveries["hub:state:change"], deliveries["hub:temp"]
    for delivery in (state_change, temperature):
        assert delivery["problem"] is None
        assert delivery["content_type"] == home.simulator.settings.delivery_content_type
        assert {"Content-Type", "Host"} <= set(delivery["headers"])
        assert delivery["time"] is not None
    assert (state_change["token_found_in"], temperature["token_found_in"]) == (["body"], ["header"])


@pytest.mark.parametrize(
    ("delivery", "event", "problem"),
    [
        ({"hubId": "66a1", "temp": 45}, "", "expected the id or serial number of a hub, got "),
        (
            {"event": "hub:state:change", "hubId": "66a1", "data": {"newState": {"temp": 45}}},
            "hub:state:change",
            "expected the id or serial number of a hub, got ",
        ),
        ([{"event": "hub:temp", "temp": 45, "owner": "Anna"}], "hub:temp", "expected the id or "),
        ("Anna", "", "expected the id or serial number of a hub, got "),
        (
            {"event": "hub:power", "hubId": "$hub", "watts": 12},
            "hub:power",
            "expected a known event and its state, got ",
        ),
        (
            {"event": "hub:state:change", "hubId": "$hub", "active": 2},
            "hub:state:change",
            "expected a known event and its state, got ",
        ),
    ],
    ids=["no event", "unknown hub", "list", "string", "unknown event", "no state"],
)
async def test_diagnostics_and_log_have_shape_of_delivery_that_was_not_understood(
    home: Home,
    push_entry: ConfigEntry,
    caplog: pytest.LogCaptureFixture,
    delivery: Any,
    event: str,
    problem: str,
) -> None:
    if isinstance(delivery, dict) and delivery.get("hubId") == "$hub":
        delivery["hubId"] = home.simulator.hub("Boardroom").id
    for _ in range(2):
        await home.post_to_webhook(delivery)
    diagnostics = await download(home)
    records = diagnostics["deliveries"][event]
    assert len(records) == 2
    assert records[0]["problem"].startswith(problem)
    assert diagnostics["not_understood"]["delivery"] == {records[0]["problem"]: 2}
    assert caplog.text.count(f"not understood (delivery): {records[0]['problem']}") == 1
    assert "Anna" not in records[0]["problem"]


async def test_diagnostics_omit_deliveries_with_wrong_token(
    home: Home, push_entry: ConfigEntry
) -> None:
    home.simulator.settings.delivery_token = "header"
    await home.simulator.deliver("Boardroom", "hub:temp", {"temp": 45}, token="wrong")
    assert await download_deliveries(home) == {}


async def test_diagnostics_have_limited_number_of_deliveries_and_events(
    home: Home, push_entry: ConfigEntry
) -> None:
    for number in range(40):
        await home.post_to_webhook({"event": "hub:temp", "data": number})
        await home.post_to_webhook({"event": f"made:up:{chr(97 + number % 26)}"})
    deliveries = await download_deliveries(home)
    assert len(deliveries["hub:temp"]) == 20
    assert len(deliveries) == 15


@pytest.mark.parametrize("path", ["temp", "data.temp", "data.state.temp", "data.power"])
async def test_entry_diagnostics_have_undocumented_hub_data(
    home: Home, entry: ConfigEntry, path: str
) -> None:
    undocumented = {"temp": [45.5, 46], "unit": "degrees", "ports": {"usb1": "60 W"}}
    keys = path.split(".")
    extra: dict[str, Any] = {keys[-1]: undocumented}
    for key in reversed(keys[:-1]):
        extra = {key: extra}
    home.simulator.hub("Boardroom").extra = extra
    await home.poll()
    data: Any = (await download(home))["responses"]["/api/hubs/v1"]["body"][0]
    for key in keys:
        data = data[key]
    assert data == undocumented


@pytest.mark.parametrize("state", ["setup_retry", "not_loaded"])
async def test_diagnostics_of_entry_that_is_not_loaded_have_responses(
    hass: HomeAssistant, home: Home, entry: ConfigEntry, state: str
) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, Fault.body('{"devices": []}'), times=None)
    await hass.config_entries.async_reload(entry.entry_id)
    if state == "not_loaded":
        await hass.config_entries.async_unload(entry.entry_id)
    diagnostics = await download(home)
    assert diagnostics["entry"]["state"] == state
    assert "devices" in diagnostics["responses"]["/api/hubs/v1"]["shape"]
    assert diagnostics["responses"]["/api/spaces/v1"]["status"] == 200
    [description] = diagnostics["not_understood"]["GET /api/hubs/v1"]
    assert description.startswith("expected a list, got ")
    assert (await download_hub(home))["response"]["interpreted"]["active_port"] == 1


async def test_diagnostics_after_revoked_access_have_status_401(
    home: Home, entry: ConfigEntry
) -> None:
    home.simulator.revoke_access()
    await home.hass.config_entries.async_reload(entry.entry_id)
    responses = (await download(home))["responses"]
    assert {response["status"] for response in responses.values()} == {401}


async def test_diagnostics_have_fields_of_token_response_without_tokens(
    home: Home, entry: ConfigEntry
) -> None:
    response = (await download(home))["token"]["response"]
    assert {"access_token", "refresh_token"} <= set(re.findall(r"\w+", response))


async def test_account_device_diagnostics_have_no_hub(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    [account_device] = [
        device
        for device in dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
        if device.entry_type is dr.DeviceEntryType.SERVICE
    ]
    assert await download(home, account_device.id) == {"hub": None}
