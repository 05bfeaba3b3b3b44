"""Tests of the config flow: user, reauth and reconfigure."""

import asyncio
import json
from pathlib import Path
import re
from typing import Any, Literal, override

import pytest
from yarl import URL

from custom_components.ochno import config_flow
from homeassistant.components.application_credentials import DATA_COMPONENT
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ImplementationUnavailableError
from homeassistant.helpers import area_registry as ar, device_registry as dr
from homeassistant.helpers.config_entry_oauth2_flow import (
    AbstractOAuth2Implementation,
    async_add_implementation_provider,
)
from homeassistant.helpers.translation import async_get_translations

from .home import FLOWS_PATH, FRONTEND_URL, HUBS_PATH, TOKEN_PATH, Home, Step
from .https_proxy import HttpsProxy
from .oauth import CALLBACK_URL, edited_response
from .simulator import Fault, Simulator
from .simulator.signin import AUTHORIZE_PATH

USER_INFO_PATH = "/identity/oauth/v2/userinfo"
ACCOUNTS_PATH = "/api/accounts/v1"
PRODUCTION = "https://operated.ochno.com"
STAGING = "https://staging.ochno.com"
SCOPES = {"scopes": "sub, email, hubs:read, accounts:read"}


async def check_texts(hass: HomeAssistant, step: Step) -> None:
    """Check that the step has all English texts and exactly their placeholders."""
    texts = await async_get_translations(hass, "en", "config", {"ochno", "homeassistant"})
    section = f"component.{step.get('translation_domain', 'ochno')}.config"
    provided = set(step.get("description_placeholders") or {})
    if step["type"] == "abort":
        used = set(re.findall(r"{(\w+)}", texts[f"{section}.abort.{step['reason']}"]))
        assert used == provided, step
    elif step["type"] == "form":
        form = f"{section}.step.{step['step_id']}"
        assert texts[f"{form}.title"]
        # Home Assistant adds the title of the entry as `name`.
        used = set(re.findall(r"{(\w+)}", texts.get(f"{form}.description", "")))
        assert used <= provided <= used | {"name"}, step
        for field in step["data_schema"]:
            assert texts[f"{form}.data.{field['name']}"]
            assert texts[f"{form}.data_description.{field['name']}"]
        for error in (step["errors"] or {}).values():
            assert "{" not in texts[f"{section}.error.{error}"]


class CheckedHome(Home):
    """Test driver that checks the texts of each flow step."""

    @override
    async def request(self, method: str, path: str, json: object = None) -> Any:
        response = await super().request(method, path, json)
        if path.startswith(FLOWS_PATH):
            await check_texts(self.hass, response)
        return response

    async def open_reauth_flow(self) -> Step:
        """Return the first step of the reauth flow that Home Assistant started."""
        [flow] = self.hass.config_entries.flow.async_progress_by_handler("ochno")
        assert flow["context"]["source"] == "reauth"
        step: Step = await self.request("GET", f"{FLOWS_PATH}/{flow['flow_id']}")
        return step

    async def revoke_access(self) -> Step:
        """Revoke the tokens and return the first step of the reauth flow."""
        self.simulator.revoke_access()
        await self.poll()
        return await self.open_reauth_flow()


@pytest.fixture
def home(home: Home) -> CheckedHome:
    """Return a test driver that checks the texts of each flow step."""
    return CheckedHome(**vars(home))


def empty_response(status: int) -> Fault:
    """Return a fault that responds with an empty body of the type JSON."""
    return Fault.status(status, {"Content-Type": "application/json"})


@pytest.fixture
def _reachable_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every server reachable without a request."""

    async def is_reachable(hass: HomeAssistant, server: str) -> bool:
        return True

    monkeypatch.setattr(config_flow, "async_is_reachable", is_reachable)


def parametrize_fault(faults: dict[str, Fault]) -> pytest.MarkDecorator:
    """Run a test with each fault. The keys are the ids of the test cases."""
    return pytest.mark.parametrize("fault", faults.values(), ids=faults.keys())


def suggested_server(step: Step) -> object:
    """Return the suggested value of the form field for the server."""
    field, _ = step["data_schema"]
    return field["description"]["suggested_value"]


# User form


async def test_user_form_offers_both_ochno_servers_and_custom_servers(home: CheckedHome) -> None:
    await home.add_credentials()
    step = await home.start_flow()
    assert (step["type"], step["step_id"], step["errors"]) == ("form", "user", {})
    field, _ = step["data_schema"]
    assert (field["name"], field["required"], field["default"]) == ("server", True, PRODUCTION)
    select = field["selector"]["select"]
    assert select["options"] == [PRODUCTION, STAGING]
    assert select["custom_value"]


@pytest.mark.parametrize(
    ("entered", "expected"),
    [
        (PRODUCTION, PRODUCTION),
        (f"{STAGING}/", STAGING),
        ("  https://example.org ", "https://example.org"),
        ("HTTPS://Example.ORG", "https://example.org"),
        ("https://example.org:8443", "https://example.org:8443"),
        ("https://example.org/ochno//", "https://example.org/ochno"),
        ("https://192.168.1.5", "https://192.168.1.5"),
        ("http://127.0.0.1:8124", "http://127.0.0.1:8124"),
        ("http://127.8.8.8", "http://127.8.8.8"),
        ("http://[::1]:8124/", "http://[::1]:8124"),
        ("http://localhost:8124", "http://localhost:8124"),
    ],
)
@pytest.mark.usefixtures("_reachable_servers")
async def test_valid_server_opens_its_sign_in_page(
    home: CheckedHome, entered: str, expected: str
) -> None:
    await home.add_credentials()
    step = await home.submit_form(await home.start_flow(), server=entered)
    assert step["type"] == "external"
    assert step["url"].startswith(f"{expected}/identity/oauth/v2/authorize?")


@pytest.mark.parametrize(
    "entered",
    [
        *("", " ", "not a server", "operated.ochno.com", "//example.org", "https://", "https://["),
        *(
            "https://xn--",
            "https://example.org:99999",
            "ftp://example.org",
            "javascript:alert(1)",
            "/etc/passwd",
        ),
        *("http://operated.ochno.com", "http://192.168.1.5", "http://[::2]", "http://0.0.0.0"),
        *("http://localhost.example.org", "http://127.0.0.1.example.org"),
        *("https://anna@example.org", "https://anna:secret@example.org", "https://:x@example.org"),
        *("https://example.org?a=1", "https://example.org/#a", "https://xn--"),
    ],
)
async def test_invalid_or_insecure_server_shows_form_error(home: CheckedHome, entered: str) -> None:
    await home.add_credentials()
    step = await home.submit_form(await home.start_flow(), server=entered)
    assert (step["type"], step["errors"]) == ("form", {"server": "invalid_server"})
    assert suggested_server(step) == entered
    assert (await home.submit_form(step, server=home.simulator.url))["type"] == "external"


@pytest.mark.parametrize(
    "fault", ["connection refused", "unknown name", "untrusted certificate", "reset"]
)
async def test_unreachable_server_shows_form_error(
    home: CheckedHome, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await home.add_credentials()
    async with HttpsProxy(home.simulator.port, tmp_path, monkeypatch) as proxy:
        if fault == "reset":
            home.simulator.add_fault("GET", AUTHORIZE_PATH, Fault.reset(), times=None)
        else:
            await proxy.inject_fault(fault)
        step = await home.submit_form(await home.start_flow(), server=proxy.url)
        assert (step["type"], step["errors"]) == ("form", {"server": "server_unreachable"})
        assert suggested_server(step) == proxy.url
        home.simulator.clear_faults()
        await proxy.clear_faults()
        assert (await home.submit_form(step, server=proxy.url))["type"] == "external"


async def test_server_without_response_shows_form_error_after_ten_seconds(
    home: CheckedHome,
) -> None:
    await home.add_credentials()
    step = await home.start_flow()
    home.simulator.add_fault("GET", AUTHORIZE_PATH, Fault.hang())
    task = asyncio.create_task(home.submit_form(step, server=home.simulator.url))
    await home.wait_until(lambda: home.simulator.requests)
    home.fire_time_changed(9)
    await home.wait_until_idle()
    assert not task.done()
    home.fire_time_changed(2)
    assert (await task)["errors"] == {"server": "server_unreachable"}


@parametrize_fault(
    {
        "error": empty_response(500),
        "not found": empty_response(404),
        "redirect": Fault.redirect("http://127.0.0.1:1"),
        "no content": empty_response(204),
    }
)
async def test_server_with_any_http_response_is_reachable(home: CheckedHome, fault: Fault) -> None:
    await home.add_credentials()
    home.simulator.add_fault("GET", AUTHORIZE_PATH, fault)
    step = await home.submit_form(await home.start_flow(), server=home.simulator.url)
    assert step["type"] == "external"
    [request] = home.simulator.requests
    assert (request.method, request.path) == ("GET", AUTHORIZE_PATH)
    assert "Authorization" not in request.headers


async def test_user_flow_without_credentials_aborts(home: CheckedHome) -> None:
    step = await home.start_flow()
    assert (step["type"], step["reason"]) == ("abort", "missing_credentials")


async def test_user_flow_with_unavailable_credentials_aborts(home: CheckedHome) -> None:
    async def raise_unavailable(
        hass: HomeAssistant, domain: str
    ) -> list[AbstractOAuth2Implementation]:
        raise ImplementationUnavailableError

    async_add_implementation_provider(home.hass, "cloud", raise_unavailable)
    step = await home.submit_form(await home.start_flow(), server=home.simulator.url)
    assert (step["type"], step["reason"]) == ("abort", "oauth_implementation_unavailable")


async def test_user_flow_with_two_credentials_uses_the_selected_ones(home: CheckedHome) -> None:
    await home.add_credentials()
    await home.add_credentials("read-only-app", "read-only-secret", "Read only")
    for client_id, account in (("home-assistant", None), ("read-only-app", "Second Organisation")):
        step = await home.submit_form(await home.start_flow(), server=home.simulator.url)
        assert step["step_id"] == "pick_implementation"
        [field] = step["data_schema"]
        assert field["options"] == [["home-assistant", "Simulator"], ["read-only-app", "Read only"]]
        step = await home.sign_in(await home.submit_form(step, implementation=client_id), account)
        assert step["type"] == "create_entry"
    entries = home.hass.config_entries.async_entries("ochno")
    assert [entry.data["auth_implementation"] for entry in entries] == [
        "home-assistant",
        "read-only-app",
    ]
    assert [entry.state for entry in entries] == [ConfigEntryState.LOADED] * 2


# Account identity


@pytest.mark.parametrize("form", ["object", "array"])
async def test_new_entry_has_title_and_unique_id_of_selected_account(
    home: CheckedHome, form: Literal["object", "array"]
) -> None:
    home.simulator.settings.accounts_form = form
    await home.add_credentials()
    step = await home.run_user_flow("Second Organisation")
    assert (step["type"], step["title"]) == ("create_entry", "Second Organisation")
    account = home.simulator.database.account("Second Organisation")
    assert (home.entry.title, home.entry.unique_id) == (account.name, account.id)
    assert home.entry.state is ConfigEntryState.LOADED
    assert home.entry.data.keys() == {
        *("auth_implementation", "server", "access", "token", "account_id", "user_id")
    }
    assert home.entry.data["account_id"] == account.id
    assert home.entry.data["user_id"] == home.simulator.database.users["anna@example.com"].sub


async def test_user_flow_with_linked_account_renews_it_and_with_other_account_creates_entry(
    home: CheckedHome,
) -> None:
    await home.link_account()
    before = home.entry.data
    assert (await home.run_user_flow())["reason"] == "account_updated"
    assert home.entry.data["token"]["refresh_token"] != before["token"]["refresh_token"]
    assert {**home.entry.data, "token": None} == {**before, "token": None}
    assert (await home.run_user_flow("Second Organisation"))["type"] == "create_entry"


NO_ACCOUNT_FAULTS = {
    "403": empty_response(403),
    "404": empty_response(404),
    "web page": Fault.html(),
    "no id": Fault.body('{"name": "Nobody"}'),
    "two accounts": Fault.body('[{"id": "1"}, {"id": "2"}]'),
}


@parametrize_fault(NO_ACCOUNT_FAULTS)
async def test_new_entry_without_account_response_has_title_and_unique_id_of_user(
    home: CheckedHome, fault: Fault
) -> None:
    home.simulator.add_fault("GET", ACCOUNTS_PATH, fault)
    entry = await home.link_account()
    user = home.simulator.database.users["anna@example.com"]
    assert (entry.title, entry.unique_id) == (user.name, user.sub)


@pytest.mark.parametrize(
    ("account", "user", "title", "unique_id"),
    [
        ({"id": "a"}, {"sub": "u", "name": "Anna", "email": "a@b"}, "Anna", "a"),
        ({"id": "a"}, {"sub": "u", "email": "a@b"}, "Ochno Operated", "a"),
        ({"id": "a"}, [], "Ochno Operated", "a"),
        ({"id": "a", "name": "Org"}, {}, "Org", "a"),
        ([], {"sub": "u"}, "Ochno Operated", "u"),
    ],
    ids=[
        "account id and user name",
        "account id",
        "account id and invalid user",
        "account",
        "user id",
    ],
)
async def test_new_entry_with_incomplete_account_and_user_uses_known_name_and_id(
    home: CheckedHome, account: object, user: object, title: str, unique_id: str
) -> None:
    home.simulator.add_fault("GET", ACCOUNTS_PATH, Fault.body(json.dumps(account)))
    home.simulator.add_fault("GET", USER_INFO_PATH, Fault.body(json.dumps(user)))
    entry = await home.link_account()
    assert (entry.title, entry.unique_id) == (title, unique_id)


NO_USER_FAULTS = {
    "403": empty_response(403),
    "web page": Fault.html(),
    "no sub": Fault.body('{"name": "Anna"}'),
}


@parametrize_fault(NO_USER_FAULTS)
async def test_user_flow_with_unknown_account_and_user_identifies_account_by_hub(
    home: CheckedHome, fault: Fault
) -> None:
    home.simulator.add_fault("GET", ACCOUNTS_PATH, empty_response(404))
    home.simulator.add_fault("GET", USER_INFO_PATH, fault)
    entry = await home.link_account()
    account = home.simulator.database.account()
    hub_ids = {hub.id for hub in home.simulator.database.hubs_in_account(account.id)}
    assert entry.unique_id == f"hub_{min(hub_ids)}"


@parametrize_fault(NO_USER_FAULTS)
async def test_user_flow_with_unknown_account_and_user_and_no_hubs_aborts(
    home: CheckedHome, fault: Fault
) -> None:
    home.simulator.add_fault("GET", ACCOUNTS_PATH, empty_response(404))
    home.simulator.add_fault("GET", USER_INFO_PATH, fault)
    home.simulator.add_fault("GET", HUBS_PATH, Fault.body("[]"))
    await home.add_credentials()
    assert (await home.run_user_flow())["reason"] == "account_unknown"


# Errors


async def run_flow_with_fault(home: Home, path: str, fault: Fault) -> Step:
    """Return the abort step of a user flow with a fault. Check that a flow without it succeeds."""
    home.simulator.add_fault("*", path, fault, times=None)
    await home.add_credentials()
    step = await home.run_user_flow()
    assert step["type"] == "abort"
    home.simulator.clear_faults()
    assert (await home.run_user_flow())["type"] == "create_entry"
    return step


async def run_flow_with_redirect(home: Home, **query: str) -> Step:
    """Return the last step of a user flow whose redirect has this query."""
    await home.add_credentials()
    step = await home.submit_form(await home.start_flow(), server=home.simulator.url)
    url = URL(f"{FRONTEND_URL}/auth/external/callback")
    return await home.follow_redirect(
        step, str(url.with_query(state=URL(step["url"]).query["state"], **query))
    )


INVALID_TOKEN_FAULTS = {
    "empty object": Fault.body("{}"),
    "list": Fault.body("[]"),
    "no access token": Fault.body('{"refresh_token": "x"}'),
    "empty access token": Fault.body('{"access_token": "", "refresh_token": "x"}'),
    "access token with newline": Fault.body('{"access_token": "a\\nb", "refresh_token": "x"}'),
    "no refresh token": Fault.body('{"access_token": "x", "expires_in": 3600}'),
}


@pytest.mark.parametrize(
    "path",
    [TOKEN_PATH, HUBS_PATH, ACCOUNTS_PATH, USER_INFO_PATH],
    ids=["token", "hubs", "accounts", "userinfo"],
)
async def test_user_flow_with_unreachable_server_aborts_with_server_url(
    home: CheckedHome, path: str
) -> None:
    step = await run_flow_with_fault(home, path, Fault.reset())
    assert step["reason"] == "cannot_connect"
    assert step["description_placeholders"] == {"server": home.simulator.url}


@parametrize_fault(INVALID_TOKEN_FAULTS)
async def test_user_flow_with_invalid_token_response_aborts(
    home: CheckedHome, fault: Fault
) -> None:
    step = await run_flow_with_fault(home, TOKEN_PATH, fault)
    assert step["reason"] == "answer_not_understood"


async def test_user_flow_with_invalid_hub_list_aborts(home: CheckedHome) -> None:
    step = await run_flow_with_fault(home, HUBS_PATH, Fault.body("{}"))
    assert step["reason"] == "answer_not_understood"


async def test_user_flow_with_wrong_client_secret_aborts(home: CheckedHome) -> None:
    await home.add_credentials("home-assistant", "wrong")
    step = await home.run_user_flow()
    assert (step["reason"], step["description_placeholders"]) == (
        "credentials_refused",
        {"redirect_uri": CALLBACK_URL, "server": home.simulator.url},
    )


@pytest.mark.parametrize(
    "path", [HUBS_PATH, ACCOUNTS_PATH, USER_INFO_PATH], ids=["hubs", "accounts", "userinfo"]
)
async def test_user_flow_with_rejected_new_token_aborts_without_retry(
    home: CheckedHome, path: str
) -> None:
    assert (await run_flow_with_fault(home, path, empty_response(401)))["reason"] == "token_refused"
    assert sum(request.status == 401 for request in home.simulator.requests) == 1


async def test_user_flow_denied_by_user_aborts_without_token_request(home: CheckedHome) -> None:
    await home.add_credentials()
    step = await home.submit_form(await home.start_flow(), server=home.simulator.url)
    step = await home.follow_redirect(step, await home.simulator.deny(step["url"]))
    assert step["reason"] == "access_denied"
    assert home.count_requests(TOKEN_PATH, "POST") == 0


async def test_user_flow_with_other_sign_in_error_aborts_with_that_error(home: CheckedHome) -> None:
    step = await run_flow_with_redirect(home, error="server_error")
    assert step["reason"] == "user_rejected_authorize"
    assert step["description_placeholders"] == {"error": "server_error"}


async def test_user_flow_with_invalid_code_aborts(home: CheckedHome) -> None:
    assert (await run_flow_with_redirect(home, code="wrong"))["reason"] == "credentials_refused"


async def test_user_flow_with_scope_not_enabled_at_ochno_aborts(home: CheckedHome) -> None:
    home.simulator.applications["home-assistant"].scopes.remove("hubs:read")
    await home.add_credentials()
    step = await home.run_user_flow()
    assert (step["reason"], step["description_placeholders"]) == ("scope_missing", SCOPES)


@pytest.mark.parametrize("scope", ["hubs:read,accounts:read", "read", "", None, 7])
async def test_user_flow_with_unknown_scope_format_succeeds_if_hubs_can_be_read(
    home: CheckedHome, scope: object
) -> None:
    await home.add_credentials()
    home.simulator.add_fault("POST", TOKEN_PATH, edited_response(scope=scope))
    assert (await home.run_user_flow())["type"] == "create_entry"


async def test_user_flow_with_forbidden_hub_list_aborts(home: CheckedHome) -> None:
    home.simulator.settings.scope_in_answer = False
    step = await run_flow_with_fault(home, HUBS_PATH, empty_response(403))
    assert (step["reason"], step["description_placeholders"]) == ("scope_missing", SCOPES)


# Reauthentication


async def test_reauth_keeps_entry_device_and_entities(home: CheckedHome) -> None:
    entry = await home.link_account()
    device = home.device("Boardroom")
    assert device is not None
    area = ar.async_get(home.hass).async_create("Cellar")
    dr.async_get(home.hass).async_update_device(device.id, area_id=area.id, name_by_user="Our room")
    entity_id = home.entity_id("binary_sensor", "Boardroom", "port_1_connected")
    before = entry.data
    step = await home.revoke_access()
    assert step["step_id"] == "reauth_confirm"
    assert step["description_placeholders"]["account"] == "Example Organisation"
    step = await home.sign_in(await home.submit_form(step))
    assert step["reason"] == "reauth_successful"
    assert home.entry is entry
    assert entry.state is ConfigEntryState.LOADED
    assert entry.data["token"]["refresh_token"] != before["token"]["refresh_token"]
    assert {**entry.data, "token": None} == {**before, "token": None}
    after = home.device("Boardroom")
    assert after is not None
    assert (after.id, after.area_id, after.name_by_user) == (device.id, area.id, "Our room")
    assert home.entity_id("binary_sensor", "Boardroom", "port_1_connected") == entity_id
    assert home.state("binary_sensor", "Boardroom", "port_1_connected") == "on"


async def test_reauth_recognises_entry_of_user_when_account_becomes_known(
    home: CheckedHome,
) -> None:
    home.simulator.add_fault("GET", ACCOUNTS_PATH, empty_response(404))
    entry = await home.link_account()
    step = await home.sign_in(await home.submit_form(await home.revoke_access()))
    assert step["reason"] == "reauth_successful"
    assert entry.title == "Anna Andersson"


async def test_reauth_with_other_account_aborts_and_keeps_entry(home: CheckedHome) -> None:
    entry = await home.link_account()
    before = entry.data
    step = await home.submit_form(await home.revoke_access())
    step = await home.sign_in(step, "Second Organisation")
    assert step["reason"] == "wrong_account"
    assert step["description_placeholders"] == {"account": "Example Organisation"}
    assert (home.entry.data, home.entry.title) == (before, "Example Organisation")


@pytest.mark.parametrize("status", [429, 503])
async def test_reauth_with_temporary_account_error_aborts_with_cannot_connect(
    home: CheckedHome, status: int
) -> None:
    await home.link_account()
    step = await home.submit_form(await home.revoke_access())
    # A request that is refused with 429 is sent once more.
    home.simulator.add_fault("GET", ACCOUNTS_PATH, empty_response(status), times=2)
    assert (await home.sign_in(step))["reason"] == "cannot_connect"


async def test_reauth_with_unreachable_server_aborts_until_it_is_reachable(
    home: CheckedHome,
) -> None:
    await home.link_account()
    step = await home.revoke_access()
    home.simulator.add_fault("GET", AUTHORIZE_PATH, Fault.reset(), times=None)
    step = await home.submit_form(step)
    assert (step["reason"], step["description_placeholders"]) == (
        "cannot_connect",
        {"server": home.simulator.url},
    )
    home.simulator.clear_faults()
    await home.hass.config_entries.async_reload(home.entry.entry_id)
    step = await home.submit_form(await home.open_reauth_flow())
    assert (await home.sign_in(step))["reason"] == "reauth_successful"


async def test_reauth_with_two_credentials_uses_those_of_entry(home: CheckedHome) -> None:
    entry = await home.link_account()
    await home.add_credentials("read-only-app", "read-only-secret")
    step = await home.submit_form(await home.revoke_access())
    assert URL(step["url"]).query["client_id"] == "home-assistant"
    assert (await home.sign_in(step))["reason"] == "reauth_successful"
    assert entry.data["auth_implementation"] == "home-assistant"


async def test_reauth_with_deleted_credentials_aborts_until_others_are_added(
    home: CheckedHome,
) -> None:
    entry = await home.link_account()
    credentials = home.hass.data[DATA_COMPONENT]
    [item] = credentials.async_items()
    await credentials.async_delete_item(item["id"])
    for credentials_added in (False, True):
        await home.hass.config_entries.async_reload(entry.entry_id)
        assert entry.state is ConfigEntryState.SETUP_ERROR
        step = await home.submit_form(await home.open_reauth_flow())
        if not credentials_added:
            assert step["reason"] == "missing_credentials"
            await home.add_credentials("read-only-app", "read-only-secret")
    assert (await home.sign_in(step))["reason"] == "reauth_successful"
    assert entry.state is ConfigEntryState.LOADED
    assert entry.data["auth_implementation"] == "read-only-app"


# Reconfiguration


async def test_reconfigure_form_suggests_current_server_without_secrets(home: CheckedHome) -> None:
    entry = await home.link_account()
    step = await home.start_flow(entry_id=entry.entry_id)
    assert (step["type"], step["step_id"], step["errors"]) == ("form", "user", {})
    assert suggested_server(step) == home.simulator.url
    assert entry.data["token"]["access_token"] not in json.dumps(step)
    for server, error in (
        ("http://example.org", "invalid_server"),
        ("http://127.0.0.1:1", "server_unreachable"),
    ):
        step = await home.submit_form(step, server=server)
        assert (step["errors"], suggested_server(step)) == ({"server": error}, server)


async def test_reconfigure_with_other_server_polls_that_server_only(home: CheckedHome) -> None:
    entry = await home.link_account()
    async with Simulator() as other:
        step = await home.submit_form(
            await home.start_flow(entry_id=entry.entry_id), server=other.url
        )
        step = await home.follow_redirect(step, await other.approve(step["url"]))
        assert step["reason"] == "reconfigure_successful"
        assert entry.data["server"] == other.url
        other.hub("Boardroom").plug(2)
        await home.poll()
        assert home.state("binary_sensor", "Boardroom", "port_2_connected") == "on"
        home.simulator.requests.clear()
        await home.advance_time(3600)
        assert home.state("binary_sensor", "Boardroom", "port_2_connected") == "on"
        assert home.simulator.requests == []


async def test_reconfigure_with_other_credentials_uses_them_for_refresh(home: CheckedHome) -> None:
    entry = await home.link_account()
    await home.add_credentials("read-only-app", "read-only-secret")
    step = await home.start_flow(entry_id=entry.entry_id)
    step = await home.submit_form(step, server=home.simulator.url)
    assert step["step_id"] == "pick_implementation"
    step = await home.sign_in(await home.submit_form(step, implementation="read-only-app"))
    assert step["reason"] == "reconfigure_successful"
    assert entry.data["auth_implementation"] == "read-only-app"
    await home.advance_time(3600)
    assert home.state("binary_sensor", "Boardroom", "port_1_connected") == "on"


async def test_reconfigure_with_other_account_aborts_and_keeps_entry(home: CheckedHome) -> None:
    entry = await home.link_account()
    before = entry.data
    step = await home.start_flow(entry_id=entry.entry_id)
    step = await home.submit_form(step, server=home.simulator.url)
    step = await home.sign_in(step, "Second Organisation")
    assert step["reason"] == "wrong_account"
    assert step["description_placeholders"] == {"account": "Example Organisation"}
    assert (entry.data, entry.state) == (before, ConfigEntryState.LOADED)
