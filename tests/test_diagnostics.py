"""What a user can attach to a report: all that tells the shape, nothing that tells who."""

from http import HTTPStatus
import json
from typing import Any

import pytest

from custom_components.ochno.operated.redact import REDACTED, redacted
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr

from .home import HUBS, Home
from .simulator import Fault


async def download(home: Home, device_id: str | None = None) -> Any:
    """Download diagnostics as the frontend does; return the integration's part."""
    path = f"/api/diagnostics/config_entry/{home.entry.entry_id}"
    if device_id is not None:
        path += f"/device/{device_id}"
    async with home.client.get(path) as response:
        assert response.status == HTTPStatus.OK, await response.text()
        text = await response.text()
        home.canaries.tell("diagnostics", text)
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


async def test_diagnostics_hold_every_hub_and_each_answer_that_was_never_confirmed(
    home: Home, entry: ConfigEntry
) -> None:
    facts = await download(home)
    assert len(facts["hubs"]) == len(
        home.simulator.cloud.hubs_of(home.simulator.cloud.account().id)
    )
    assert facts["hubs"][0]["name"] == REDACTED
    assert facts["hubs"][0]["data"]["state"]["otp"] == "normal"
    assert set(facts["answers"]) == {
        "/api/accounts/v1",
        "/identity/oauth/v2/userinfo",
        "/api/spaces/v1",
    }


async def test_diagnostics_name_nobody_and_nothing(home: Home, entry: ConfigEntry) -> None:
    anna = home.simulator.cloud.users["anna@example.com"]
    told = json.dumps([await download(home), await download(home, home.device("Boardroom").id)])
    secrets = [anna.email, anna.name, anna.sub, entry.unique_id, "Boardroom"]
    secrets += [hub.id for hub in home.simulator.cloud.hubs_of(home.simulator.cloud.account().id)]
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
    home.simulator.fail("GET", "/api/accounts/v1", Fault.status(500))
    home.simulator.fail("GET", "/api/spaces/v1", Fault.html())
    answers = (await download(home))["answers"]
    assert answers["/api/accounts/v1"] == "OperatedStatusError(500)"
    assert answers["/api/spaces/v1"] == "OperatedResponseError('not JSON')"
    home.simulator.fail("POST", "/identity/oauth/v2/token", Fault.status(503), times=None)
    home.simulator.fail("GET", "/api/spaces/v1", Fault.status(401))
    answers = (await download(home))["answers"]
    assert answers["/api/spaces/v1"] == "OAuth2TokenRequestTransientError"


async def test_diagnostics_tell_why_the_last_poll_failed(home: Home, entry: ConfigEntry) -> None:
    home.simulator.fail("GET", HUBS, Fault.status(502))
    await home.poll()
    assert (await download(home))["updates"]["last_poll_failed_by"] == "OperatedStatusError(502)"


async def test_diagnostics_work_while_the_entry_does_not(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    device = home.device("Boardroom")
    home.simulator.fail("GET", HUBS, Fault.status(500), times=None)
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
        ({"product": "O-PC-4"}, {"product": "O-PC-4"}),
    ],
)
def test_shape_and_figures_stay_and_names_go(told: Any, kept: Any) -> None:
    assert redacted(told) == kept


def test_what_is_nested_absurdly_deep_is_cut() -> None:
    nested: Any = 1
    for _ in range(900):
        nested = [nested]
    assert REDACTED in json.dumps(redacted(nested))
