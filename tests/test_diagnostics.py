"""What a user can attach to a report: all that tells the shape, nothing that tells who."""

from collections.abc import Callable
from http import HTTPStatus
import json
from typing import Any

import pytest

from custom_components.ochno.operated.redact import REDACTED, redact
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr

from .home import HUBS_PATH, TOKEN_PATH, Home
from .simulator import Fault
from .oauth import edited_response

HARMLESS_KEYS = [
    *("direction", "error", "event", "firmware", "hardwareversion", "otp", "product", "type"),
    "unit",
]
IDENTIFYING_KEYS = [
    *("spaceid", "ids", "name", "number", "serial", "mac", "ip", "address"),
    *("email", "phone", "token", "secret", "key", "code"),
]
HARMLESS_TEXTS = [
    *("true", "false", "on", "off", "yes", "no", "in", "out", "none", "null", "unknown"),
    *("normal", "low", "high", "critical", "idle", "charging", "full"),
    *("-1234,567 kWh", "+5%", "21.5°C"),
]


async def download(home: Home, device_id: str | None = None) -> Any:
    """Download diagnostics as the frontend does; return the integration's part."""
    path = f"/api/diagnostics/config_entry/{home.entry.entry_id}"
    if device_id is not None:
        path += f"/device/{device_id}"
    async with home.client.get(path) as response:
        assert response.status == HTTPStatus.OK, await response.text()
        text = await response.text()
        home.leak_detector.record_output("diagnostics", text)
        return json.loads(text)["data"]


async def test_diagnostics_tell_how_the_account_is_linked(home: Home, entry: ConfigEntry) -> None:
    facts = await download(home)
    assert facts["entry"] == {
        "state": "loaded",
        "server": home.simulator.url,
        "access": "read",
        "instant_updates": True,
    }
    assert "hubs:read" in facts["token"]["scopes"]
    assert "refresh_token" in facts["token"]["fields"]
    assert facts["token"]["seconds_left"] > 0
    assert facts["updates"]["instant_updates"] == "no_url"
    assert facts["updates"]["last_poll"] is not None
    assert facts["updates"]["last_poll_failed_by"] is None


@pytest.mark.parametrize(
    ("scope", "scopes"),
    [
        (None, []),
        ("sub hubs:read email", ["email", "hubs:read", "sub"]),
        ("sub,hubs:read,email", ["email", "hubs:read", "sub"]),
    ],
)
async def test_diagnostics_tell_the_scopes_however_the_answer_names_them(
    home: Home, scope: str | None, scopes: list[str]
) -> None:
    home.simulator.add_fault("POST", TOKEN_PATH, edited_response(scope=scope))
    await home.link_account()
    assert (await download(home))["token"]["scopes"] == scopes


async def test_diagnostics_hold_every_hub_and_each_answer_that_was_never_confirmed(
    home: Home, entry: ConfigEntry
) -> None:
    facts = await download(home)
    assert len(facts["hubs"]) == len(
        home.simulator.database.hubs_in_account(home.simulator.database.account().id)
    )
    assert facts["hubs"][0]["name"] == REDACTED
    assert facts["hubs"][0]["data"]["state"]["otp"] == "normal"
    assert set(facts["answers"]) == {
        "/api/accounts/v1",
        "/identity/oauth/v2/userinfo",
        "/api/spaces/v1",
    }


async def test_diagnostics_name_nobody_and_nothing(home: Home, entry: ConfigEntry) -> None:
    anna = home.simulator.database.users["anna@example.com"]
    told = json.dumps([await download(home), await download(home, home.device("Boardroom").id)])
    secrets = [anna.email, anna.name, anna.sub, entry.unique_id, "Boardroom"]
    secrets += [
        hub.id
        for hub in home.simulator.database.hubs_in_account(home.simulator.database.account().id)
    ]
    secrets += [entry.data["token"]["access_token"], entry.data["token"]["refresh_token"]]
    for secret in secrets:
        assert str(secret) not in told


async def test_diagnostics_of_a_hub_hold_what_the_cloud_says_of_it_alone(
    home: Home, entry: ConfigEntry
) -> None:
    facts = await download(home, home.device("Boardroom").id)
    assert facts["hub"]["data"]["state"]["active"] == 1
    assert facts["answer"]["data"]["state"]["active"] == 1


async def test_diagnostics_tell_why_there_is_no_answer(home: Home, entry: ConfigEntry) -> None:
    home.simulator.add_fault("GET", "/api/accounts/v1", Fault.status(500))
    home.simulator.add_fault("GET", "/api/spaces/v1", Fault.html())
    answers = (await download(home))["answers"]
    assert answers["/api/accounts/v1"] == "OperatedStatusError(500)"
    assert answers["/api/spaces/v1"] == "OperatedResponseError('not JSON')"
    home.simulator.add_fault("POST", TOKEN_PATH, Fault.status(503), times=None)
    home.simulator.add_fault("GET", "/api/spaces/v1", Fault.status(401))
    answers = (await download(home))["answers"]
    assert answers["/api/spaces/v1"] == "OAuth2TokenRequestTransientError"


async def test_diagnostics_tell_why_the_last_poll_failed(home: Home, entry: ConfigEntry) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(502))
    await home.poll()
    assert (await download(home))["updates"]["last_poll_failed_by"] == "OperatedStatusError(502)"
    await home.poll()
    assert (await download(home))["updates"]["last_poll_failed_by"] is None


@pytest.mark.parametrize(
    ("status", "error"),
    [(503, "OAuth2TokenRequestTransientError"), (400, "OAuth2TokenRequestReauthError")],
)
async def test_diagnostics_tell_that_the_tokens_could_not_be_renewed(
    home: Home, entry: ConfigEntry, status: int, error: str
) -> None:
    home.simulator.add_fault("POST", TOKEN_PATH, Fault.status(status), times=None)
    await home.advance_time(3600)
    assert (await download(home))["updates"]["last_poll_failed_by"] == error


async def test_diagnostics_tell_that_the_vendor_names_no_scopes(home: Home) -> None:
    home.simulator.settings.scope_in_answer = False
    await home.link_account()
    assert (await download(home))["token"]["scopes"] == []


@pytest.fixture
async def pushed(home: Home) -> ConfigEntry:
    """Link the first account while Home Assistant can be reached from outside."""
    await home.set_external_url()
    entry = await home.link_account()
    await home.wait_until_idle()
    return entry


async def not_understood(home: Home) -> Any:
    kept = (await download(home))["deliveries_not_understood"]
    of_hub = await download(home, home.device("Boardroom").id)
    assert of_hub["deliveries_not_understood"] == kept
    return kept


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
async def test_diagnostics_hold_a_delivery_whose_form_nobody_documented(
    home: Home, pushed: ConfigEntry, event: str, data: Any
) -> None:
    assert await not_understood(home) == []
    home.simulator.settings.delivery_token = "verificationToken"
    await home.simulator.deliver("Boardroom", event, data)
    assert await not_understood(home) == [
        {"event": event, "hubId": REDACTED, "data": data, "verificationToken": REDACTED}
    ]


@pytest.mark.parametrize(
    ("message", "kept"),
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
)
async def test_diagnostics_hold_a_delivery_about_no_hub_that_is_known(
    home: Home, pushed: ConfigEntry, message: Any, kept: Any
) -> None:
    await home.post_to_webhook(message)
    assert await not_understood(home) == [kept]


async def test_diagnostics_hold_the_last_delivery_of_each_event(
    home: Home, pushed: ConfigEntry
) -> None:
    for temp in (45, 46):
        await home.simulator.deliver("Boardroom", "hub:temp", {"temp": temp})
        await home.simulator.deliver("Boardroom", "hub:charging", {"watts": temp})
    assert [one["data"] for one in await not_understood(home)] == [{"temp": 46}, {"watts": 46}]


async def test_diagnostics_hold_no_delivery_that_was_understood_or_had_a_wrong_token(
    home: Home, pushed: ConfigEntry
) -> None:
    await home.simulator.deliver("Boardroom", "hub:state:change", {"newState": {"active": 2}})
    home.simulator.settings.delivery_token = "header"
    await home.simulator.deliver("Boardroom", "hub:temp", {"temp": 45}, token="wrong")
    assert await not_understood(home) == []


async def test_diagnostics_do_not_grow_with_events_that_nobody_knows(
    home: Home, pushed: ConfigEntry
) -> None:
    for number in range(40):
        await home.post_to_webhook({"event": f"made:up:{number}", "data": number})
    for data in (1, 2):
        for event in ("hub:temp", "hub:charging", "made:up:0", "made:up:39"):
            await home.post_to_webhook({"event": event, "data": data})
    kept = {one["event"]: one["data"] for one in await not_understood(home)}
    assert kept == {f"made:up:{number}": number for number in range(10)} | {
        "hub:temp": 2,
        "hub:charging": 2,
        "made:up:0": 2,
    }


@pytest.mark.parametrize("path", ["temp", "data.temp", "data.state.temp", "data.power"])
async def test_diagnostics_hold_what_a_hub_carries_that_nobody_documented(
    home: Home, entry: ConfigEntry, path: str
) -> None:
    outer, carried = {}, {"temp": [45.5, 46], "unit": "degrees", "ports": {"usb1": "60 W"}}
    *parents, last = path.split(".")
    branch: dict[str, Any] = outer
    for key in parents:
        branch = branch.setdefault(key, {})
    branch[last] = carried
    home.simulator.hub("Boardroom").extra = outer
    await home.poll()
    found: Any = (await download(home))["hubs"][0]
    for key in path.split("."):
        found = found[key]
    assert found == carried


async def test_diagnostics_work_while_the_entry_does_not(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    device = home.device("Boardroom")
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(500), times=None)
    await hass.config_entries.async_reload(entry.entry_id)
    facts = await download(home)
    assert facts["entry"]["state"] == "setup_retry"
    assert "hubs" not in facts
    assert await download(home, device.id) == {}


async def test_diagnostics_of_the_account_device_hold_no_hub(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    devices = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    [account] = [one for one in devices if one.entry_type is dr.DeviceEntryType.SERVICE]
    assert await download(home, account.id) == {"hub": None}


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        (
            {"temp": 45.5, "ok": True, "n": None, "s": ""},
            {"temp": 45.5, "ok": True, "n": None, "s": ""},
        ),
        ({"temp": "45.2 C"}, {"temp": "45.2 C"}),
        ({"charging": {"port1": "idle"}}, {"charging": {"port1": "idle"}}),
        ({"owner": "Anna"}, {"owner": REDACTED}),
        (
            {"name": "idle", "id": 7, "mac": "00"},
            {"name": REDACTED, "id": REDACTED, "mac": REDACTED},
        ),
        ({"ids": ["on", 3]}, {"ids": [REDACTED, REDACTED]}),
        ({"anna@example.com": 1}, {f"{REDACTED} 1": 1}),
        *(({key: "Vendor's word"}, {key: "Vendor's word"}) for key in HARMLESS_KEYS),
        *(
            ({key: 7, key.upper(): "on"}, {key: REDACTED, key.upper(): REDACTED})
            for key in IDENTIFYING_KEYS
        ),
        (HARMLESS_TEXTS, HARMLESS_TEXTS),
        (["x5%", "12345", "5 Anna", "idlex"], [REDACTED] * 4),
        ({"Port_a1": 1, "a" * 40 + "123": 2}, {"Port_a1": 1, "a" * 40 + "123": 2}),
        ({"a": 1, "a" * 41: 2, "a1234": 3}, {"a": 1, f"{REDACTED} 2": 2, f"{REDACTED} 3": 3}),
    ],
)
def test_shape_and_figures_stay_and_names_go(told: Any, kept: Any) -> None:
    assert redact(told) == kept


@pytest.mark.parametrize("nest", [lambda json: [json], lambda json: {"a": json}])
def test_what_is_nested_absurdly_deep_is_cut(nest: Callable[[Any], Any]) -> None:
    deepest: Any = 1
    for _ in range(12):
        deepest = nest(deepest)
    assert redact(deepest) == deepest
    cut = json.dumps(nest(deepest)).replace("1", f'"{REDACTED}"')
    assert json.dumps(redact(nest(deepest))) == cut
    for _ in range(900):
        deepest = nest(deepest)
    assert REDACTED in json.dumps(redact(deepest))
