"""The dialog that links an account: every way through it, and what the user is told."""

import json
import re
from typing import Any

import pytest
from yarl import URL

from homeassistant.components.application_credentials import DATA_COMPONENT
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ImplementationUnavailableError
from homeassistant.helpers import area_registry as ar, device_registry as dr
from homeassistant.helpers.config_entry_oauth2_flow import async_add_implementation_provider
from homeassistant.helpers.translation import async_get_translations

from .home import FLOWS_PATH, FRONTEND_URL, HUBS_PATH, TOKEN_PATH, Home, Step
from .simulator import Fault, Simulator
from .oauth import edited_response

USER_INFO = "/identity/oauth/v2/userinfo"
ACCOUNTS = "/api/accounts/v1"
PRODUCTION = "https://operated.ochno.com"
STAGING = "https://staging.ochno.com"
SCOPES = {"scopes": "sub, email, hubs:read, accounts:read"}


async def check_texts(hass: HomeAssistant, step: Step) -> None:
    """Assert that all there is to say at this step is said in English, with all it needs."""
    texts = await async_get_translations(hass, "en", "config", {"ochno", "homeassistant"})
    section = f"component.{step.get('translation_domain', 'ochno')}.config"
    given = set(step.get("description_placeholders") or {})
    if step["type"] == "abort":
        used = set(re.findall(r"{(\w+)}", texts[f"{section}.abort.{step['reason']}"]))
        assert used == given, step
    elif step["type"] == "form":
        form = f"{section}.step.{step['step_id']}"
        assert texts[f"{form}.title"]
        # Home Assistant itself adds the name of the entry where there is one.
        used = set(re.findall(r"{(\w+)}", texts.get(f"{form}.description", "")))
        assert used <= given <= used | {"name"}, step
        for field in step["data_schema"]:
            assert texts[f"{form}.data.{field['name']}"]
            assert texts[f"{form}.data_description.{field['name']}"]
        for error in (step["errors"] or {}).values():
            assert "{" not in texts[f"{section}.error.{error}"]


class AttentiveHome(Home):
    """A home where somebody reads what every dialog says."""

    async def request(self, method: str, path: str, json: Any = None) -> Any:
        answer = await super().request(method, path, json)
        if path.startswith(FLOWS_PATH):
            await check_texts(self.hass, answer)
        return answer

    async def start_reauth(self) -> Step:
        """Open the dialog that Home Assistant shows by itself."""
        [flow] = self.hass.config_entries.flow.async_progress_by_handler("ochno")
        assert flow["context"]["source"] == "reauth"
        step: Step = await self.request("GET", f"{FLOWS_PATH}/{flow['flow_id']}")
        return step

    async def lose_access(self) -> Step:
        """Let the tokens become invalid; return the dialog that this opens."""
        self.simulator.revoke_access()
        await self.poll()
        return await self.start_reauth()


@pytest.fixture
def home(home: Home) -> AttentiveHome:
    return AttentiveHome(**vars(home))


def text(status: int, body: str = "") -> Fault:
    return Fault.status(status, {"Content-Type": "application/json"}, body)


def table(values: dict[str, Any]) -> Any:
    return pytest.mark.parametrize("value", values.values(), ids=values.keys())


def suggested(step: Step) -> object:
    """Return what the form's field for the server is filled with."""
    field, _ = step["data_schema"]
    return field["description"]["suggested_value"]


# The form


async def test_form_offers_both_servers_of_ochno_or_another(home: AttentiveHome) -> None:
    await home.add_credentials()
    step = await home.start_flow()
    assert (step["type"], step["step_id"], step["errors"]) == ("form", "user", {})
    field, _ = step["data_schema"]
    assert (field["name"], field["required"], field["default"]) == ("server", True, PRODUCTION)
    select = field["selector"]["select"]
    assert select["options"] == [PRODUCTION, STAGING]
    assert select["custom_value"]


@pytest.mark.parametrize(
    ("typed", "server"),
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
async def test_server_is_where_the_browser_is_sent(
    home: AttentiveHome, typed: str, server: str
) -> None:
    await home.add_credentials()
    step = await home.submit_form(await home.start_flow(), server=typed)
    assert step["type"] == "external"
    assert step["url"].startswith(f"{server}/identity/oauth/v2/authorize?")


@pytest.mark.parametrize(
    "typed",
    [
        *("", " ", "not a server", "operated.ochno.com", "//example.org", "https://", "https://["),
        *("https://example.org:99999", "ftp://example.org", "javascript:alert(1)", "/etc/passwd"),
        *("http://operated.ochno.com", "http://192.168.1.5", "http://[::2]", "http://0.0.0.0"),
        *("http://localhost.example.org", "http://127.0.0.1.example.org"),
        *("https://anna@example.org", "https://anna:secret@example.org", "https://:x@example.org"),
        *("https://example.org?a=1", "https://example.org/#a"),
    ],
)
async def test_address_that_tokens_must_not_be_sent_to_is_refused(
    home: AttentiveHome, typed: str
) -> None:
    await home.add_credentials()
    step = await home.submit_form(await home.start_flow(), server=typed)
    assert (step["type"], step["errors"]) == ("form", {"server": "invalid_server"})
    assert suggested(step) == typed
    assert (await home.submit_form(step, server=PRODUCTION))["type"] == "external"


async def test_without_credentials_the_user_is_asked_for_them_first(home: AttentiveHome) -> None:
    step = await home.start_flow()
    assert (step["type"], step["reason"]) == ("abort", "missing_credentials")


async def test_credentials_that_cannot_be_looked_up_now_are_not_missing(
    home: AttentiveHome,
) -> None:
    async def unavailable(hass: HomeAssistant, domain: str) -> Any:
        raise ImplementationUnavailableError

    async_add_implementation_provider(home.hass, "cloud", unavailable)
    step = await home.submit_form(await home.start_flow(), server=PRODUCTION)
    assert (step["type"], step["reason"]) == ("abort", "oauth_implementation_unavailable")


async def test_user_chooses_between_two_credentials(home: AttentiveHome) -> None:
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


# The account


@pytest.mark.parametrize("form", ["object", "array"])
async def test_entry_is_named_after_the_account_that_was_chosen(
    home: AttentiveHome, form: Any
) -> None:
    home.simulator.settings.accounts_form = form
    await home.add_credentials()
    step = await home.run_user_flow("Second Organisation")
    assert (step["type"], step["title"]) == ("create_entry", "Second Organisation")
    account = home.simulator.database.account("Second Organisation")
    assert (home.entry.title, home.entry.unique_id) == (account.name, account.id)
    assert home.entry.state is ConfigEntryState.LOADED
    assert home.entry.data.keys() == {"auth_implementation", "server", "access", "token"}
    assert home.entry.data["server"] == home.simulator.url
    assert home.entry.data["auth_implementation"] == "home-assistant"


async def test_each_organisation_can_be_linked_but_only_once(home: AttentiveHome) -> None:
    await home.link_account()
    before = home.entry.data
    assert (await home.run_user_flow())["reason"] == "already_configured"
    assert home.entry.data == before
    assert (await home.run_user_flow("Second Organisation"))["type"] == "create_entry"


NO_ACCOUNT = {
    "403": text(403),
    "404": text(404),
    "page": Fault.html(),
    "no id": Fault.body('{"name": "Nobody"}'),
    "two accounts": Fault.body('[{"id": "1"}, {"id": "2"}]'),
}


@table(NO_ACCOUNT)
async def test_user_stands_in_for_an_account_that_is_not_told(
    home: AttentiveHome, value: Fault
) -> None:
    home.simulator.add_fault("GET", ACCOUNTS, value)
    entry = await home.link_account()
    anna = home.simulator.database.users["anna@example.com"]
    assert (entry.title, entry.unique_id) == (anna.name, anna.sub)


@pytest.mark.parametrize(
    ("account", "user", "title", "unique_id"),
    [
        ({"id": "a"}, {"sub": "u", "name": "Anna", "email": "a@b"}, "Anna", "a"),
        ({"id": "a"}, {"sub": "u", "email": "a@b"}, "Ochno Operated", "a"),
        ({"id": "a"}, [], "Ochno Operated", "a"),
        ({"id": "a", "name": "Org"}, {}, "Org", "a"),
        ([], {"sub": "u"}, "Ochno Operated", "u"),
    ],
    ids=["user's name", "not the e-mail address", "nothing", "account only", "user's id only"],
)
async def test_entry_is_named_after_the_best_that_is_known(
    home: AttentiveHome, account: object, user: object, title: str, unique_id: str
) -> None:
    home.simulator.add_fault("GET", ACCOUNTS, Fault.body(json.dumps(account)))
    home.simulator.add_fault("GET", USER_INFO, Fault.body(json.dumps(user)))
    entry = await home.link_account()
    assert (entry.title, entry.unique_id) == (title, unique_id)


@table({"403": text(403), "page": Fault.html(), "no sub": Fault.body('{"name": "Anna"}')})
async def test_account_and_user_both_unknown(home: AttentiveHome, value: Fault) -> None:
    home.simulator.add_fault("GET", ACCOUNTS, text(404))
    home.simulator.add_fault("GET", USER_INFO, value)
    await home.add_credentials()
    assert (await home.run_user_flow())["reason"] == "account_unknown"


# What can go wrong


async def abort(home: Home, path: str, fault: Fault) -> Step:
    """Go through the dialog with this fault; return its end, once it was shown to pass."""
    home.simulator.add_fault("*", path, fault, times=None)
    await home.add_credentials()
    step = await home.run_user_flow()
    assert step["type"] == "abort"
    home.simulator.clear_faults()
    assert (await home.run_user_flow())["type"] == "create_entry"
    return step


async def end(home: Home, **query: str) -> Step:
    """Come back from the sign-in page with this answer."""
    await home.add_credentials()
    step = await home.submit_form(await home.start_flow(), server=home.simulator.url)
    url = URL(f"{FRONTEND_URL}/auth/external/callback")
    return await home.follow_redirect(
        step, str(url.with_query(state=URL(step["url"]).query["state"], **query))
    )


NO_TOKEN = {
    "object": Fault.body("{}"),
    "list": Fault.body("[]"),
    "no access token": Fault.body('{"refresh_token": "x"}'),
    "empty access token": Fault.body('{"access_token": "", "refresh_token": "x"}'),
    "token no header can carry": Fault.body('{"access_token": "a\\nb", "refresh_token": "x"}'),
    "no refresh token": Fault.body('{"access_token": "x", "expires_in": 3600}'),
}


@pytest.mark.parametrize(
    "path", [TOKEN_PATH, HUBS_PATH, ACCOUNTS, USER_INFO], ids=lambda path: path[-8:]
)
async def test_server_that_can_not_be_reached_is_named(home: Home, path: str) -> None:
    step = await abort(home, path, Fault.reset())
    assert step["reason"] == "cannot_connect"
    assert step["description_placeholders"] == {"server": home.simulator.url}


@table(NO_TOKEN)
async def test_answer_to_the_exchange_is_not_understood(home: Home, value: Fault) -> None:
    assert (await abort(home, TOKEN_PATH, value))["reason"] == "answer_not_understood"


async def test_list_of_hubs_is_not_understood(home: Home) -> None:
    assert (await abort(home, HUBS_PATH, Fault.body("{}")))["reason"] == "answer_not_understood"


async def test_wrong_secret(home: AttentiveHome) -> None:
    await home.add_credentials("home-assistant", "wrong")
    assert (await home.run_user_flow())["reason"] == "credentials_refused"


@pytest.mark.parametrize("path", [HUBS_PATH, ACCOUNTS, USER_INFO], ids=lambda path: path[-8:])
async def test_token_is_refused_although_it_is_new(home: Home, path: str) -> None:
    assert (await abort(home, path, text(401)))["reason"] == "token_refused"
    assert sum(request.status == 401 for request in home.simulator.requests) == 1


async def test_user_denies(home: AttentiveHome) -> None:
    await home.add_credentials()
    step = await home.submit_form(await home.start_flow(), server=home.simulator.url)
    step = await home.follow_redirect(step, await home.simulator.deny(step["url"]))
    assert step["reason"] == "access_denied"
    assert home.count_requests(TOKEN_PATH, "POST") == 0


async def test_sign_in_page_has_another_reason(home: AttentiveHome) -> None:
    step = await end(home, error="server_error")
    assert step["reason"] == "user_rejected_authorize"
    assert step["description_placeholders"] == {"error": "server_error"}


async def test_code_is_not_known(home: AttentiveHome) -> None:
    assert (await end(home, code="wrong"))["reason"] == "credentials_refused"


async def test_scopes_were_not_ticked_at_ochno(home: AttentiveHome) -> None:
    home.simulator.applications["home-assistant"].scopes.remove("hubs:read")
    await home.add_credentials()
    step = await home.run_user_flow()
    assert (step["reason"], step["description_placeholders"]) == ("scope_missing", SCOPES)


@pytest.mark.parametrize("scope", ["hubs:read,accounts:read", "read", "", None, 7])
async def test_scopes_that_the_answer_names_in_its_own_way_do_not_matter(
    home: AttentiveHome, scope: object
) -> None:
    """Their form is not documented, and the hubs can be read."""
    await home.add_credentials()
    home.simulator.add_fault("POST", TOKEN_PATH, edited_response(scope=scope))
    assert (await home.run_user_flow())["type"] == "create_entry"


async def test_hubs_may_not_be_read(home: Home) -> None:
    home.simulator.settings.scope_in_answer = False
    step = await abort(home, HUBS_PATH, text(403))
    assert (step["reason"], step["description_placeholders"]) == ("scope_missing", SCOPES)


# Signing in again


async def test_signing_in_again_loses_nothing(home: AttentiveHome) -> None:
    entry = await home.link_account()
    device = home.device("Boardroom")
    assert device is not None
    area = ar.async_get(home.hass).async_create("Cellar")
    dr.async_get(home.hass).async_update_device(device.id, area_id=area.id, name_by_user="Our room")
    entity_id = home.entity_id("binary_sensor", "Boardroom", "port_1_connected")
    before = entry.data
    step = await home.lose_access()
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


async def test_entry_of_a_user_is_recognised_once_the_account_is_told(home: AttentiveHome) -> None:
    home.simulator.add_fault("GET", ACCOUNTS, text(404))
    entry = await home.link_account()
    step = await home.sign_in(await home.submit_form(await home.lose_access()))
    assert step["reason"] == "reauth_successful"
    assert entry.title == "Anna Andersson"


async def test_signing_in_to_another_account_changes_nothing(home: AttentiveHome) -> None:
    entry = await home.link_account()
    before = entry.data
    step = await home.submit_form(await home.lose_access())
    step = await home.sign_in(step, "Second Organisation")
    assert step["reason"] == "wrong_account"
    assert step["description_placeholders"] == {"account": "Example Organisation"}
    assert (home.entry.data, home.entry.title) == (before, "Example Organisation")


@pytest.mark.parametrize("status", [429, 503])
async def test_account_that_is_not_told_just_now_is_not_another_account(
    home: AttentiveHome, status: int
) -> None:
    await home.link_account()
    step = await home.submit_form(await home.lose_access())
    home.simulator.add_fault("GET", ACCOUNTS, text(status))
    assert (await home.sign_in(step))["reason"] == "cannot_connect"


async def test_signing_in_again_uses_the_same_credentials(home: AttentiveHome) -> None:
    entry = await home.link_account()
    await home.add_credentials("read-only-app", "read-only-secret")
    step = await home.submit_form(await home.lose_access())
    assert URL(step["url"]).query["client_id"] == "home-assistant"
    assert (await home.sign_in(step))["reason"] == "reauth_successful"
    assert entry.data["auth_implementation"] == "home-assistant"


async def test_credentials_that_were_removed_can_be_replaced(home: AttentiveHome) -> None:
    entry = await home.link_account()
    credentials = home.hass.data[DATA_COMPONENT]
    [item] = credentials.async_items()
    await credentials.async_delete_item(item["id"])
    for known in (False, True):
        await home.hass.config_entries.async_reload(entry.entry_id)
        assert entry.state is ConfigEntryState.SETUP_ERROR
        step = await home.submit_form(await home.start_reauth())
        if not known:
            assert step["reason"] == "missing_credentials"
            await home.add_credentials("read-only-app", "read-only-secret")
    assert (await home.sign_in(step))["reason"] == "reauth_successful"
    assert entry.state is ConfigEntryState.LOADED
    assert entry.data["auth_implementation"] == "read-only-app"


# Reconfiguring


async def test_reconfiguring_shows_the_present_server_and_no_secret(home: AttentiveHome) -> None:
    entry = await home.link_account()
    step = await home.start_flow(entry_id=entry.entry_id)
    assert (step["type"], step["step_id"], step["errors"]) == ("form", "user", {})
    assert suggested(step) == home.simulator.url
    assert entry.data["token"]["access_token"] not in json.dumps(step)
    step = await home.submit_form(step, server="http://example.org")
    assert (step["errors"], suggested(step)) == ({"server": "invalid_server"}, "http://example.org")


async def test_account_moves_to_another_server(home: AttentiveHome) -> None:
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


async def test_account_gets_other_credentials(home: AttentiveHome) -> None:
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


async def test_reconfiguring_does_not_turn_one_account_into_another(home: AttentiveHome) -> None:
    entry = await home.link_account()
    before = entry.data
    step = await home.start_flow(entry_id=entry.entry_id)
    step = await home.submit_form(step, server=home.simulator.url)
    step = await home.sign_in(step, "Second Organisation")
    assert step["reason"] == "wrong_account"
    assert step["description_placeholders"] == {"account": "Example Organisation"}
    assert (entry.data, entry.state) == (before, ConfigEntryState.LOADED)
