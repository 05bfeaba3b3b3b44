"""Plausible answers of the API that differ from the documented ones, as listed in answers.md."""

from collections.abc import Iterator
from functools import partial
import json
import logging
from pathlib import Path
import re
from typing import Any

from aiohttp import web
import pytest
from yarl import URL

from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr

from .home import HUBS_PATH, SUBSCRIPTIONS_PATH, TOKEN_PATH, Home
from .simulator import Fault, Simulator
from .simulator.faults import Wait
from .simulator.responses import Handler

# Each test tries many answers, one after another.
pytestmark = pytest.mark.timeout(300)

ENDPOINTS = {
    "token": ("POST", TOKEN_PATH),
    "user info": ("GET", "/identity/oauth/v2/userinfo"),
    "accounts": ("GET", "/api/accounts/v1"),
    "hub list": ("GET", HUBS_PATH),
    "single hub": ("GET", f"{HUBS_PATH}/*"),
    "spaces": ("GET", "/api/spaces/v1"),
    "subscription": ("POST", SUBSCRIPTIONS_PATH),
    "state command": ("PUT", f"{HUBS_PATH}/*"),
}
ENTITIES = {
    "active port": ("sensor", "active_port"),
    "port 2 connected": ("binary_sensor", "port_2_connected"),
    "overheating": ("binary_sensor", "overheating"),
    "online": ("binary_sensor", "connectivity"),
    "room system": ("binary_sensor", "room_system"),
    "admin mode": ("binary_sensor", "admin_mode"),
}


def read_tables() -> Iterator[list[list[str]]]:
    """Read the rows of the tables in answers.md, without the code marks of their cells."""
    text = Path(__file__).with_name("answers.md").read_text(encoding="utf-8")
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        yield [
            [cell.strip().strip("`") for cell in line.split("|")[1:-1]]
            for line in table.splitlines()[2:]
        ]


ANSWERS, DELIVERIES, FIELDS = read_tables()


@pytest.fixture(autouse=True)
def only_one_hub(simulator: Simulator) -> None:
    """Remove the other hubs, because their entities take time."""
    for name in ("Focus room", "Workshop", "Reception"):
        simulator.remove_hub(name)


def replaced(template: Any, values: dict[str, Any]) -> Any:
    """Replace the strings that begin with `$`: a value, or a part of it after a dot."""
    if isinstance(template, dict):
        return {key: replaced(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [replaced(item, values) for item in template]
    if not isinstance(template, str) or not template.startswith("$"):
        return template
    name, *path = template[1:].split(".")
    value = values[name]
    for step in path:
        value = value[int(step) if step.isdecimal() else step]
    return value


def answer_fault(status: int, answer: str) -> Fault:
    """Return a fault that executes the request and answers in another way."""

    async def handle(request: web.Request, handler: Handler, _wait: Wait) -> web.StreamResponse:
        response = await handler(request)
        if not isinstance(response, web.Response) or response.status >= 400:
            return response
        try:
            body = json.loads(response.text or "null")
            text = json.dumps(replaced(json.loads(answer), {"body": body}))
        except ValueError:
            text = answer
        return web.Response(status=status, text=text, content_type="application/json")

    return Fault("answer", handle)


def fields_fault(fields: dict[str, Any]) -> Fault:
    """Return a fault that merges fields into the first hub of the list."""

    async def handle(request: web.Request, handler: Handler, _wait: Wait) -> web.StreamResponse:
        # Without the ETag, the answer is never 304.
        response = await handler(request.clone(headers={**request.headers, "If-None-Match": ""}))
        assert isinstance(response, web.Response)
        hubs = json.loads(response.text or "")
        hubs[0] = merge_patch(hubs[0], fields)
        return web.Response(text=json.dumps(hubs), content_type="application/json")

    return Fault("fields", handle)


def merge_patch(target: Any, patch: Any) -> Any:
    """Return a JSON merge patch (RFC 7386) applied to a value."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def logged_evidence(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the log messages about answers that were not understood."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.endswith("operated.evidence") and record.levelno == logging.WARNING
    ]


def forget_evidence(home: Home) -> None:
    """Forget what was logged, so that it can be logged again."""
    if evidence := home.hass.data.get("ochno_evidence"):
        evidence.descriptions.clear()


def rows_of(endpoint: str) -> list[list[str]]:
    """Return status, answer and outcome of the rows for an endpoint."""
    rows = [row[1:] for row in ANSWERS if row[0] == endpoint]
    assert rows
    return rows


async def run_rows(
    home: Home,
    endpoint: str,
    caplog: pytest.LogCaptureFixture,
    subtests: pytest.Subtests,
    run: Any,
) -> None:
    """Try all answers of an endpoint, and check the outcome and the evidence."""
    for status, answer, outcome in rows_of(endpoint):
        with subtests.test(status=status, answer=answer):
            caplog.clear()
            fault = answer_fault(int(status), answer)
            home.simulator.add_fault(*ENDPOINTS[endpoint], fault, times=None)
            assert await run() == outcome
            # The error of a refused command has the status.
            if endpoint != "state command":
                assert bool(logged_evidence(caplog)) == (outcome != "works"), logged_evidence(
                    caplog
                )
        home.simulator.clear_faults()
        forget_evidence(home)
        if endpoint != "state command":
            for entry in home.hass.config_entries.async_entries("ochno"):
                await home.hass.config_entries.async_remove(entry.entry_id)
            # A deleted device would return to its area, so the next hub has another id.
            home.simulator.remove_hub("Boardroom")
            home.simulator.add_hub("Boardroom", connected=[1], active=1)


@pytest.mark.parametrize("endpoint", ["token", "user info", "accounts", "hub list", "spaces"])
async def test_answer_while_linking_has_expected_outcome(
    home: Home, endpoint: str, caplog: pytest.LogCaptureFixture, subtests: pytest.Subtests
) -> None:
    await home.add_credentials()
    await run_rows(home, endpoint, caplog, subtests, partial(link, home, endpoint))


async def link(home: Home, endpoint: str) -> str:
    """Link the account and return the outcome."""
    step = await home.run_user_flow()
    if step["type"] == "abort":
        assert step["reason"] == "answer_not_understood"
        return "refused"
    if endpoint == "token":
        # The refresh has an answer of the same structure.
        home.simulator.expire_access_tokens()
    await home.poll()
    assert home.state("sensor", "Boardroom", "active_port") == "1"
    entry = home.entry
    if endpoint == "user info" and entry.data["user_id"] is None:
        return "without user id"
    if endpoint == "accounts" and entry.data["account_id"] is None:
        return "without account id"
    if endpoint == "hub list" and evidence_of_hubs(home):
        return evidence_of_hubs(home)
    device = home.device("Boardroom")
    if endpoint == "spaces" and (device is None or device.area_id is None):
        return "without areas"
    return "works"


def evidence_of_hubs(home: Home) -> str:
    """Return which part of the list is missing; an empty string if none is."""
    devices = dr.async_entries_for_config_entry(dr.async_get(home.hass), home.entry.entry_id)
    if not home.hass.data["ochno_evidence"].descriptions:
        return ""
    has_incomplete_hub = any(("ochno", "x") in device.identifiers for device in devices)
    return "without the state of a hub" if has_incomplete_hub else "without a hub"


async def test_answer_about_single_hub_has_expected_outcome(
    home: Home, caplog: pytest.LogCaptureFixture, subtests: pytest.Subtests
) -> None:
    home.simulator.settings.list_state = False
    await home.add_credentials()

    async def run() -> str:
        assert (await home.run_user_flow())["type"] == "create_entry"
        match home.state("sensor", "Boardroom", "active_port"):
            case "1":
                return "works"
            case None if home.entry.state.value == "setup_retry":
                return "refused"
            case _:
                return "without the state of a hub"

    await run_rows(home, "single hub", caplog, subtests, run)


async def test_answer_to_subscription_has_expected_outcome(
    home: Home, caplog: pytest.LogCaptureFixture, subtests: pytest.Subtests
) -> None:
    await home.set_external_url()
    await home.add_credentials()

    async def run() -> str:
        home.enable_instant_updates_sensor()
        assert (await home.run_user_flow())["type"] == "create_entry"
        await home.wait_until_idle()
        active = home.instant_updates_state == "active"
        return "works" if active else "without instant updates"

    await run_rows(home, "subscription", caplog, subtests, run)


async def test_answer_to_state_command_has_expected_outcome(
    home: Home, caplog: pytest.LogCaptureFixture, subtests: pytest.Subtests
) -> None:
    home.simulator.settings.command_delay = 0
    await home.link_account(access="control")

    async def run() -> str:
        option = "3" if home.simulator.hub("Boardroom").active == 2 else "2"
        try:
            await home.call_action(
                "select", "select_option", "Boardroom", "active_port", option=option
            )
        except HomeAssistantError:
            return "refused"
        assert home.state("select", "Boardroom", "active_port") == option
        return "works"

    await run_rows(home, "state command", caplog, subtests, run)


async def test_delivery_has_expected_outcome(
    hass: HomeAssistant, home: Home, caplog: pytest.LogCaptureFixture, subtests: pytest.Subtests
) -> None:
    home.enable_instant_updates_sensor()
    await home.set_external_url()
    await home.link_account()
    await home.wait_until_idle()
    hub = home.simulator.hub("Boardroom")
    home.simulator.settings.delivery_drop = True
    values = {"hub": hub.id, "serial": hub.serial}
    for delivery, outcome in DELIVERIES:
        with subtests.test(delivery=delivery):
            hub.set_active(1)
            await home.poll(5)
            assert home.state("sensor", "Boardroom", "active_port") == "1"
            caplog.clear()
            hub.set_active(3)
            body = json.dumps(replaced(json.loads(delivery), values))
            # It is replaced after a change that was not delivered.
            [subscription] = home.simulator.subscriptions.active()
            path = URL(subscription.webhook_url).path
            query = {"verificationToken": subscription.token}
            async with home.client.post(path, data=body, params=query) as response:
                assert response.status == 200
            state = home.state("sensor", "Boardroom", "active_port")
            assert (state == "3") == (outcome == "works")
            await home.advance_time(11)
            state = home.state("sensor", "Boardroom", "active_port")
            assert (state == "3") == (outcome != "with the next poll")
            documented = outcome == "works" or "hub:con" in delivery or "hub:charging" in delivery
            assert bool(logged_evidence(caplog)) == (not documented)


async def test_field_of_hub_has_expected_state(
    home: Home, caplog: pytest.LogCaptureFixture, subtests: pytest.Subtests
) -> None:
    await home.link_account()
    for fields, entity, state in FIELDS:
        with subtests.test(fields=fields):
            caplog.clear()
            home.simulator.add_fault("GET", HUBS_PATH, fields_fault(json.loads(fields)))
            await home.poll()
            assert home.state(ENTITIES[entity][0], "Boardroom", ENTITIES[entity][1]) == state.strip(
                "*"
            )
            assert bool(logged_evidence(caplog)) == state.startswith("*"), logged_evidence(caplog)
            forget_evidence(home)
            await home.poll()
            assert home.state("sensor", "Boardroom", "active_port") == "1"


def test_tables_have_enough_answers() -> None:
    assert len(ANSWERS) + len(DELIVERIES) + len(FIELDS) >= 120
    assert {row[0] for row in ANSWERS} == ENDPOINTS.keys()
