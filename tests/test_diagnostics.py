"""Tests of the diagnostics."""

from http import HTTPStatus
import json
from typing import Any

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


async def test_entry_diagnostics_have_all_hubs_and_responses_of_unconfirmed_endpoints(
    home: Home, entry: ConfigEntry
) -> None:
    diagnostics = await download(home)
    assert len(diagnostics["hubs"]) == len(
        home.simulator.database.hubs_in_account(home.simulator.database.account().id)
    )
    assert diagnostics["hubs"][0]["name"] == REDACTED
    assert diagnostics["hubs"][0]["data"]["state"]["otp"] == "normal"
    assert set(diagnostics["answers"]) == {
        "/api/accounts/v1",
        "/identity/oauth/v2/userinfo",
        "/api/spaces/v1",
    }


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
    assert diagnostics["hub"]["data"]["state"]["active"] == 1
    assert diagnostics["answer"]["data"]["state"]["active"] == 1


async def test_entry_diagnostics_with_failed_responses_have_error_summaries(
    home: Home, entry: ConfigEntry
) -> None:
    home.simulator.add_fault("GET", "/api/accounts/v1", Fault.status(500))
    home.simulator.add_fault("GET", "/api/spaces/v1", Fault.html())
    answers = (await download(home))["answers"]
    assert answers["/api/accounts/v1"] == "OperatedStatusError(500)"
    assert answers["/api/spaces/v1"] == "OperatedResponseError('not JSON')"
    home.simulator.add_fault("POST", TOKEN_PATH, Fault.status(503), times=None)
    home.simulator.add_fault("GET", "/api/spaces/v1", Fault.status(401))
    answers = (await download(home))["answers"]
    assert answers["/api/spaces/v1"] == "OAuth2TokenRequestTransientError"


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


async def download_unknown_deliveries(home: Home) -> Any:
    """Return the deliveries that were not understood. Entry and hub diagnostics have the same."""
    deliveries = (await download(home))["deliveries_not_understood"]
    assert (await download_hub(home))["deliveries_not_understood"] == deliveries
    return deliveries


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("hub:temp", {"temp": 45.5, "unit": "degrees"}),
        ("hub:temp", 45.5),
        ("hub:charging", {"usb1": {"watts": "60 W", "state": "charging"}, "usb2": None}),
        ("hub:charging", [0, 60, 0, 0]),
        ("hub:con:change", {"usb2": {"type": "usb", "connected": True}}),
        ("hub:power", {"newState": {"watts": 12}}),
        ("hub:state:change", {"active": 2}),
    ],
)
async def test_diagnostics_have_redacted_delivery_of_undocumented_event_or_shape(
    home: Home, push_entry: ConfigEntry, event: str, data: Any
) -> None:
    assert await download_unknown_deliveries(home) == []
    home.simulator.settings.delivery_token = "verificationToken"
    await home.simulator.deliver("Boardroom", event, data)
    assert await download_unknown_deliveries(home) == [
        {"event": event, "hubId": REDACTED, "data": data, "verificationToken": REDACTED}
    ]


@pytest.mark.parametrize(
    ("delivery", "expected"),
    [
        ({"hubId": "66a1", "temp": 45}, {"hubId": REDACTED, "temp": 45}),
        (
            {"event": "hub:state:change", "hubId": "66a1", "data": {"newState": {"temp": 45}}},
            {"event": "hub:state:change", "hubId": REDACTED, "data": {"newState": {"temp": 45}}},
        ),
        (
            [{"event": "hub:temp", "temp": 45, "owner": "Anna"}],
            [{"event": "hub:temp", "temp": 45, "owner": REDACTED}],
        ),
        ("Anna", REDACTED),
    ],
    ids=["no event", "unknown hub", "list", "string"],
)
async def test_diagnostics_have_redacted_delivery_without_known_hub(
    home: Home, push_entry: ConfigEntry, delivery: Any, expected: Any
) -> None:
    await home.post_to_webhook(delivery)
    assert await download_unknown_deliveries(home) == [expected]


async def test_diagnostics_have_last_delivery_of_each_event(
    home: Home, push_entry: ConfigEntry
) -> None:
    for temp in (45, 46):
        await home.simulator.deliver("Boardroom", "hub:temp", {"temp": temp})
        await home.simulator.deliver("Boardroom", "hub:charging", {"watts": temp})
    deliveries = await download_unknown_deliveries(home)
    assert [delivery["data"] for delivery in deliveries] == [{"temp": 46}, {"watts": 46}]


async def test_diagnostics_omit_applied_deliveries_and_deliveries_with_wrong_token(
    home: Home, push_entry: ConfigEntry
) -> None:
    await home.simulator.deliver("Boardroom", "hub:state:change", {"newState": {"active": 2}})
    home.simulator.settings.delivery_token = "header"
    await home.simulator.deliver("Boardroom", "hub:temp", {"temp": 45}, token="wrong")
    assert await download_unknown_deliveries(home) == []


async def test_diagnostics_with_many_unknown_events_have_limited_number_of_them(
    home: Home, push_entry: ConfigEntry
) -> None:
    for number in range(40):
        await home.post_to_webhook({"event": f"made:up:event{number}", "data": number})
    for data in (1, 2):
        for event in ("hub:temp", "hub:charging", "made:up:event0", "made:up:event39"):
            await home.post_to_webhook({"event": event, "data": data})
    deliveries = await download_unknown_deliveries(home)
    assert {delivery["event"]: delivery["data"] for delivery in deliveries} == {
        f"made:up:event{number}": number for number in range(10)
    } | {
        "hub:temp": 2,
        "hub:charging": 2,
        "made:up:event0": 2,
    }


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
    data: Any = (await download(home))["hubs"][0]
    for key in keys:
        data = data[key]
    assert data == undocumented


async def test_diagnostics_of_entry_that_is_not_loaded_have_entry_state_and_no_hubs(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(500), times=None)
    await hass.config_entries.async_reload(entry.entry_id)
    diagnostics = await download(home)
    assert diagnostics["entry"]["state"] == "setup_retry"
    assert "hubs" not in diagnostics
    assert await download_hub(home) == {}


async def test_account_device_diagnostics_have_no_hub(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    [account_device] = [
        device
        for device in dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
        if device.entry_type is dr.DeviceEntryType.SERVICE
    ]
    assert await download(home, account_device.id) == {"hub": None}
