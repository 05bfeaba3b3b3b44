"""The vendor's OAuth2 dialect: what is sent, what is kept, and what the user notices of it."""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
import gc
import json
import logging
import time
from typing import Any
from urllib.parse import parse_qsl, unquote

from aiohttp import web
from aiohttp.test_utils import TestServer
import pytest
from pytest_homeassistant_custom_component.common import async_fire_time_changed

from homeassistant.config_entries import ConfigEntry, ConfigEntryState

from .home import FRONTEND_URL, HUBS_PATH, TOKEN_PATH, Home, Step
from .secret_leaks import SecretLeakDetector
from .simulator import Application, Fault, Simulator

CALLBACK = f"{FRONTEND_URL}/auth/external/callback"
MY_CALLBACK = "https://my.home-assistant.io/redirect/oauth"
LIFETIME = 3600


def forms(home: Home, grant_type: str) -> list[dict[str, str]]:
    """Return what was sent to the token endpoint for this grant type."""
    sent = [
        dict(parse_qsl(request.body, strict_parsing=True, keep_blank_values=True))
        for request in home.simulator.requests
        if (request.method, request.path) == ("POST", TOKEN_PATH)
    ]
    return [form for form in sent if form["grant_type"] == grant_type]


def exchanges(home: Home) -> list[dict[str, str]]:
    return forms(home, "authorization_code")


def refreshes(home: Home) -> list[dict[str, str]]:
    return forms(home, "refresh_token")


def token(home: Home) -> dict[str, Any]:
    stored: dict[str, Any] = home.entry.data["token"]
    return stored


def port_1(home: Home) -> str | None:
    return home.state("binary_sensor", "Boardroom", "port_1_connected")


def edited(**changes: Any) -> Fault:
    """Do what is asked, and change the answer."""

    async def misbehave(request: web.Request, handler: Any, _wait: Any) -> web.Response:
        answer = json.loads((await handler(request)).body) | changes
        return web.Response(text=json.dumps(answer), content_type="application/json")

    return Fault("edited", misbehave)


class Held:
    """A fault that does what is asked, and answers only when told to."""

    def __init__(self, answer: web.Response | None = None) -> None:
        self.begun = asyncio.Event()
        self.release = asyncio.Event()
        self.fault = Fault("held", self._misbehave)
        self._answer = answer

    async def _misbehave(self, request: web.Request, handler: Any, _wait: Any) -> Any:
        response = self._answer or await handler(request)
        self.begun.set()
        await self.release.wait()
        return response


async def poll_until(home: Home, held: Held) -> None:
    """Begin a poll that needs a new token, up to where the token endpoint is held."""
    home.simulator.add_fault("POST", TOKEN_PATH, held.fault)
    home.freezer.tick(LIFETIME)
    async_fire_time_changed(home.hass)
    await held.begun.wait()


async def sign_in_again(home: Home) -> Step:
    """Go through the dialog that asks to sign in again."""
    [flow] = home.hass.config_entries.flow.async_progress_by_handler("ochno")
    return await home.sign_in(await home.submit_form({"flow_id": flow["flow_id"]}))


# Signing in


async def test_browser_is_sent_to_the_sign_in_page_as_the_vendor_documents(home: Home) -> None:
    await home.add_credentials()
    step = await home.submit_form(await home.start_flow(), server=home.simulator.url)
    page, _, query = step["url"].partition("?")
    assert page == f"{home.simulator.url}/identity/oauth/v2/authorize"
    raw = dict(pair.split("=") for pair in query.split("&"))
    assert raw.keys() == {"client_id", "redirect_uri", "response_type", "scope", "state"}
    assert raw["response_type"] == "code"
    assert raw["client_id"] == "home-assistant"
    assert unquote(raw["redirect_uri"]) == CALLBACK
    scopes = [unquote(scope) for scope in raw["scope"].split("%20")]
    assert scopes == ["sub", "email", "hubs:read", "accounts:read"]
    assert len(raw["state"]) > 20


async def test_code_is_exchanged_as_a_form_with_a_code_verifier(home: Home) -> None:
    await home.link_account()
    [request] = [request for request in home.simulator.requests if request.path == TOKEN_PATH]
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    [form] = exchanges(home)
    verifier = base64.b64decode(form.pop("codeVerifier"), validate=True)
    assert len(verifier) == 48
    assert form.pop("code").startswith("code-")
    assert form == {
        "grant_type": "authorization_code",
        "client_id": "home-assistant",
        "client_secret": "home-assistant-secret",
        "redirect_uri": CALLBACK,
    }


async def test_each_sign_in_has_its_own_code_verifier(home: Home) -> None:
    await home.link_account()
    await home.run_user_flow("Second Organisation")
    first, second = exchanges(home)
    assert first["codeVerifier"] != second["codeVerifier"]


async def test_client_id_and_secret_may_hold_any_character(home: Home) -> None:
    known = home.simulator.applications["home-assistant"]
    name, secret = "a+b c&d=%20é", "s+e c&r=e%74"
    home.simulator.applications[name] = Application(name, secret, known.scopes, known.redirect_uris)
    await home.add_credentials(name, secret)
    assert (await home.run_user_flow())["type"] == "create_entry"
    await home.advance_time(LIFETIME)
    assert port_1(home) == "on"
    assert len(refreshes(home)) == 1


# Refreshing


async def test_access_token_is_renewed_shortly_before_its_end(
    home: Home, entry: ConfigEntry
) -> None:
    old = token(home)
    await home.advance_time(LIFETIME - 40)
    assert token(home) == old
    await home.poll()
    statuses = [answer.status for answer in home.simulator.requests if answer.path == HUBS_PATH]
    assert statuses == [200, 200, 304, 304]
    assert refreshes(home) == [
        {
            "grant_type": "refresh_token",
            "refresh_token": old["refresh_token"],
            "client_id": "home-assistant",
            "client_secret": "home-assistant-secret",
            "redirect_uri": CALLBACK,
        }
    ]
    assert token(home)["access_token"] != old["access_token"]
    assert token(home)["expires_at"] == pytest.approx(time.time() + LIFETIME)


async def test_new_refresh_token_replaces_the_old_one_each_time(
    home: Home, entry: ConfigEntry
) -> None:
    expected = []
    for _ in range(3):
        expected.append(token(home)["refresh_token"])
        await home.advance_time(LIFETIME)
        assert port_1(home) == "on"
    assert [form["refresh_token"] for form in refreshes(home)] == expected
    assert token(home)["refresh_token"] not in expected


async def test_answer_without_a_refresh_token_keeps_the_old_one(
    home: Home, entry: ConfigEntry
) -> None:
    home.simulator.settings.rotate = False
    old = token(home)
    for count in (1, 2):
        await home.advance_time(LIFETIME)
        assert port_1(home) == "on"
        assert len(refreshes(home)) == count
        assert token(home)["refresh_token"] == old["refresh_token"]
    assert token(home)["access_token"] != old["access_token"]


@pytest.mark.parametrize("redirect_uri", [CALLBACK, MY_CALLBACK], ids=["own address", "my"])
async def test_token_is_renewed_after_a_restart_with_the_redirect_uri_of_the_sign_in(
    home: Home, redirect_uri: str
) -> None:
    await home.add_credentials()
    if redirect_uri == MY_CALLBACK:
        home.hass.config.components.add("my")
    step = await home.submit_form(await home.start_flow(), server=home.simulator.url)
    location = await home.simulator.approve(step["url"])
    assert location.startswith(redirect_uri)
    # From here on Home Assistant could not tell it.
    if redirect_uri == MY_CALLBACK:
        home.hass.config.components.remove("my")
    step = await home.follow_redirect(step, location.replace(redirect_uri, CALLBACK))
    assert step["type"] == "create_entry"
    await home.hass.config_entries.async_unload(home.entry.entry_id)
    home.freezer.tick(LIFETIME)
    assert await home.hass.config_entries.async_setup(home.entry.entry_id)
    assert home.entry.state is ConfigEntryState.LOADED
    [form] = refreshes(home)
    assert form["redirect_uri"] == redirect_uri


async def test_answer_may_be_wrapped_in_data(home: Home) -> None:
    home.simulator.settings.token_wrapped = True
    await home.link_account()
    old = token(home)
    assert old.keys() == {
        *("access_token", "refresh_token", "token_type", "scope"),
        *("expires_in", "expires_at", "redirect_uri"),
    }
    await home.advance_time(LIFETIME)
    assert port_1(home) == "on"
    assert token(home).keys() == old.keys()
    assert token(home)["refresh_token"] != old["refresh_token"]


async def test_fields_that_are_not_known_are_not_kept(home: Home) -> None:
    home.simulator.add_fault("POST", TOKEN_PATH, edited(id_token="x", token_type=1, scope=["sub"]))
    await home.link_account()
    assert token(home).keys().isdisjoint({"id_token", "token_type", "scope"})


# Lifetimes


async def expect_lifetime(home: Home, seconds: float) -> None:
    """Sign in and renew; both answers must be understood to be good for so long."""
    await home.link_account()
    assert token(home)["expires_at"] == pytest.approx(time.time() + seconds, abs=1.5)
    await home.advance_time(seconds - 10)
    assert len(refreshes(home)) == 1
    assert token(home)["expires_at"] == pytest.approx(time.time() + seconds, abs=1.5)
    assert port_1(home) == "on"


@pytest.mark.parametrize("key", ["expires_in", "access_expires_in", "both"])
@pytest.mark.parametrize(
    ("form", "seconds"),
    [
        *((form, 1800) for form in ("number", "string", "float")),
        *((form, 1800) for form in ("date", "date_offset", "date_naive", "date_http")),
        *((form, 3600) for form in ("null", "absent", "past")),
    ],
)
async def test_lifetime_is_understood_however_it_is_written(
    home: Home, form: Any, key: Any, seconds: int
) -> None:
    home.simulator.settings.token_lifetime = 1800
    home.simulator.settings.lifetime_form = form
    home.simulator.settings.lifetime_key = key
    await expect_lifetime(home, seconds)


@pytest.mark.parametrize(
    ("stated", "seconds"),
    [
        pytest.param(stated, seconds, id=json.dumps(stated)[:40])
        for stated, seconds in [
            *((nonsense, 3600) for nonsense in (True, [1800], {}, "", "soon", "true")),
            *((no_number, 3600) for no_number in (float("nan"), float("inf"), "nan", "1e999")),
            *((not_ahead, 3600) for not_ahead in (0, -1800, "-5", "1999-12-31")),
            *((short, 60) for short in (1, "59", 0.001)),
            *((far, 86400) for far in (10**9, 1e300, "99999999", "2999-01-01T00:00:00Z")),
            (10**400, 3600),
        ]
    ],
)
async def test_absurd_lifetime_is_replaced_by_a_sane_one(
    home: Home, stated: object, seconds: int
) -> None:
    home.simulator.add_fault("POST", TOKEN_PATH, edited(expires_in=stated), times=None)
    await expect_lifetime(home, seconds)
    assert token(home)["expires_in"] == seconds


async def test_lifetime_of_thousands_of_digits_costs_no_tokens(home: Home) -> None:
    answer = '{"access_token": "made-up-1", "refresh_token": "made-up-2", "expires_in": %s}'
    await home.link_account()
    home.simulator.add_fault("POST", TOKEN_PATH, Fault.body(answer % ("9" * 9_000)))
    await home.advance_time(LIFETIME)
    assert token(home)["refresh_token"] == "made-up-2"
    assert token(home)["expires_in"] == 3600


@pytest.mark.parametrize("stated", [None, "soon", False, -1, "2001-01-01T00:00:00Z"], ids=str)
async def test_second_key_counts_where_the_first_says_nothing(home: Home, stated: object) -> None:
    fault = edited(expires_in=stated, access_expires_in="1800")
    home.simulator.add_fault("POST", TOKEN_PATH, fault, times=None)
    await expect_lifetime(home, 1800)


@pytest.fixture
def _new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run where local time is hours behind UTC."""
    with monkeypatch.context() as changes:
        changes.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_new_york")
async def test_date_without_a_zone_is_utc_wherever_home_assistant_runs(home: Home) -> None:
    home.simulator.settings.token_lifetime = 1800
    home.simulator.settings.lifetime_form = "date_naive"
    await expect_lifetime(home, 1800)


async def test_lifetime_of_an_earlier_answer_does_not_linger(home: Home) -> None:
    home.simulator.settings.token_lifetime = 600
    await home.link_account()
    home.simulator.settings.lifetime_form = "absent"
    await home.advance_time(590)
    assert token(home)["expires_at"] == pytest.approx(time.time() + 3600)
    assert token(home)["expires_in"] == 3600


# A token that looks valid, and is not


async def test_refused_token_is_renewed_once_and_nobody_notices(
    home: Home, entry: ConfigEntry
) -> None:
    home.simulator.expire_access_tokens()
    home.simulator.hub("Boardroom").unplug(1)
    before = home.count_requests(HUBS_PATH)
    await home.poll()
    assert port_1(home) == "off"
    assert home.count_requests(HUBS_PATH) == before + 2
    assert len(refreshes(home)) == 1
    assert home.flow_sources == []


async def test_tokens_refused_to_several_requests_at_once_are_renewed_once(home: Home) -> None:
    home.simulator.settings.list_state = False
    await home.link_account()

    async def misbehave(request: web.Request, handler: Any, _wait: Any) -> Any:
        home.simulator.expire_access_tokens()
        return await handler(request)

    home.simulator.add_fault("GET", f"{HUBS_PATH}/*", Fault("expire", misbehave))
    home.simulator.requests.clear()
    await home.poll()
    details = [
        one.status for one in home.simulator.requests if one.path.startswith(f"{HUBS_PATH}/")
    ]
    assert sorted(str(status) for status in details) == ["200"] * 4 + ["401"] * 4
    assert len(refreshes(home)) == 1
    assert home.flow_sources == []
    assert port_1(home) == "on"


async def test_everything_at_once_when_the_token_ends_renews_it_once(home: Home) -> None:
    home.simulator.settings.command_delay = 0
    await home.set_external_url()
    await home.link_account(access="control")
    await home.wait_until_idle()
    hub = home.simulator.hub("Boardroom")
    await home.simulator.deliver(hub, "hub:temp", {})
    home.simulator.requests.clear()
    held = Held()
    # With the poll begins the fetch that the delivery asked for.
    await poll_until(home, held)
    command = asyncio.create_task(
        home.call_action("select", "select_option", "Boardroom", "active_port", option="3")
    )
    diagnostics = asyncio.create_task(
        home.request("GET", f"/api/diagnostics/config_entry/{home.entry.entry_id}")
    )
    for _ in range(300):
        await asyncio.sleep(0)
    assert [request.path for request in home.simulator.requests] == [TOKEN_PATH]
    assert not command.done()
    assert not diagnostics.done()
    held.release.set()
    await command
    answers = (await diagnostics)["data"]["answers"]
    await home.wait_until_idle()
    assert len(refreshes(home)) == 1
    # The list as well: it is the hour at which it is sent as a whole.
    assert {request.status for request in home.simulator.requests} == {200}
    asked = {(request.method, request.path) for request in home.simulator.requests}
    assert asked >= {
        ("GET", HUBS_PATH),
        ("GET", f"{HUBS_PATH}/{hub.id}"),
        ("PUT", f"{HUBS_PATH}/{hub.id}/state"),
    }
    assert all(isinstance(answer, dict | list) for answer in answers.values()), answers
    assert hub.active == 3
    assert home.state("select", "Boardroom", "active_port") == "3"
    assert home.flow_sources == []


async def test_refused_token_is_not_tried_again_while_it_cannot_be_renewed(
    home: Home, entry: ConfigEntry
) -> None:
    home.simulator.expire_access_tokens()
    home.simulator.add_fault("POST", TOKEN_PATH, Fault.status(503))
    await home.poll()
    assert port_1(home) == "unavailable"
    refused = home.count_requests(HUBS_PATH)
    await home.poll()
    assert port_1(home) == "on"
    assert home.count_requests(HUBS_PATH) == refused + 1
    assert home.flow_sources == []


async def test_token_refused_although_it_is_new_asks_to_sign_in_again(
    home: Home, entry: ConfigEntry
) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(401), times=None)
    before = home.count_requests(HUBS_PATH)
    await home.poll()
    assert home.flow_sources == ["reauth"]
    assert port_1(home) == "unavailable"
    assert home.count_requests(HUBS_PATH) == before + 2
    assert len(refreshes(home)) == 1


async def test_token_endpoint_that_hangs_for_one_account_holds_up_no_other(home: Home) -> None:
    await home.link_account()
    await home.run_user_flow("Second Organisation")
    held, before = Held(), home.count_requests(HUBS_PATH)
    await poll_until(home, held)
    await home.wait_until(lambda: home.count_requests(HUBS_PATH) == before + 1)
    held.release.set()
    await home.wait_until_idle()
    assert home.count_requests(HUBS_PATH) == before + 2
    assert len(refreshes(home)) == 2


# Refusals, and what only looks like one


def error(status: int, text: str) -> Fault:
    return Fault.status(status, {"Content-Type": "application/json"}, text)


OUTAGES = {
    "503": Fault.status(503),
    "hung up": Fault.reset(),
    "endless": Fault.huge(50_000_000),
    "403 in OAuth's words": error(403, '{"error": "access_denied"}'),
    **{
        f"400 {word}": error(400, f'{{"error": "{word}"}}')
        for word in ("temporarily_unavailable", "server_error", "slow_down")
    },
    "400 list": error(400, '["invalid_grant"]'),
    "400 other object": error(400, '{"blocked": "by policy"}'),
    "list": Fault.body("[]"),
    "data is a list": Fault.body('{"data": []}'),
    "no token": Fault.body("{}"),
    "token is null": Fault.body('{"access_token": null, "refresh_token": "x"}'),
    "token is empty": Fault.body('{"access_token": "", "refresh_token": "x"}'),
    "token no header can carry": Fault.body('{"access_token": "a\\nb", "refresh_token": "x"}'),
}
REFUSALS = {
    "400 invalid_grant": error(400, '{"error": "invalid_grant"}'),
    "401 invalid_client": error(401, '{"error": "invalid_client", "error_description": "No."}'),
    "400 code and message": error(400, '{"code": "bad_request", "message": "No."}'),
    "400 empty": Fault.status(400),
    "401 empty": Fault.status(401),
}


def each(faults: dict[str, Fault]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("fault", faults.values(), ids=faults.keys())


@each(OUTAGES)
async def test_outage_of_the_token_endpoint_passes_without_a_new_sign_in(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture, fault: Fault
) -> None:
    old = token(home)
    home.simulator.add_fault("POST", TOKEN_PATH, fault, times=None)
    await home.advance_time(LIFETIME)
    await home.poll()
    assert port_1(home) == "unavailable"
    assert entry.state is ConfigEntryState.LOADED
    # As after a restart in the meantime.
    await home.hass.config_entries.async_reload(entry.entry_id)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    assert entry.error_reason_translation_placeholders == {"domain": "ochno"}
    assert (token(home), home.flow_sources) == (old, [])
    assert len(refreshes(home)) == 3
    home.simulator.clear_faults()
    await home.poll()
    assert entry.state is ConfigEntryState.LOADED
    assert port_1(home) == "on"
    assert token(home)["refresh_token"] != old["refresh_token"]
    assert home.flow_sources == []
    assert "Unexpected" not in caplog.text


async def test_answer_that_does_not_end_is_not_read_to_the_end(
    home: Home, entry: ConfigEntry
) -> None:
    home.simulator.add_fault("POST", TOKEN_PATH, Fault.huge(50_000_000))
    await home.advance_time(LIFETIME)
    [answered] = [one.status for one in home.simulator.requests if one.path == TOKEN_PATH][1:]
    assert answered is None
    await home.poll()
    assert port_1(home) == "on"
    assert home.flow_sources == []


async def test_token_endpoint_that_never_answers_is_given_up_after_a_minute(
    home: Home, entry: ConfigEntry
) -> None:
    held = Held(web.Response(status=503))
    await poll_until(home, held)
    home.freezer.tick(58)
    async_fire_time_changed(home.hass)
    await asyncio.sleep(0)
    assert port_1(home) == "on"
    await home.advance_time(4)
    assert port_1(home) == "unavailable"
    await home.poll()
    assert port_1(home) == "on"


@each(REFUSALS)
@pytest.mark.parametrize("restarted", [False, True], ids=["running", "after a restart"])
async def test_refusal_of_the_vendor_asks_to_sign_in_again(
    home: Home, entry: ConfigEntry, fault: Fault, restarted: bool
) -> None:
    old = token(home)
    home.simulator.add_fault("POST", TOKEN_PATH, fault, times=None)
    home.simulator.expire_access_tokens()
    if restarted:
        await home.hass.config_entries.async_reload(entry.entry_id)
        assert entry.state is ConfigEntryState.SETUP_ERROR
    else:
        await home.poll(3)
    assert port_1(home) == "unavailable"
    assert token(home) == old
    assert len(refreshes(home)) == 1
    assert home.flow_sources == ["reauth"]
    home.simulator.clear_faults()
    assert (await sign_in_again(home))["reason"] == "reauth_successful"
    assert port_1(home) == "on"


async def test_access_revoked_at_ochno_asks_to_sign_in_again(
    home: Home, entry: ConfigEntry
) -> None:
    home.simulator.revoke_access()
    await home.poll()
    assert len(refreshes(home)) == 1
    assert home.flow_sources == ["reauth"]


# Nothing gets lost, nothing gets out


@pytest.fixture
async def trap(simulator: Simulator) -> AsyncIterator[tuple[str, list[str]]]:
    """Another server, and what it was sent."""
    caught = []

    async def catch(request: web.Request) -> web.Response:
        caught.append(f"{request.method} {await request.text()}")
        return web.json_response({"access_token": "a", "refresh_token": "b", "expires_in": 3600})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", catch)
    async with TestServer(app, host="127.0.0.1") as server:
        yield str(server.make_url("/token")), caught


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_redirect_carries_the_secret_to_no_other_server(
    home: Home, trap: tuple[str, list[str]], code: int
) -> None:
    url, caught = trap
    home.simulator.add_fault("POST", TOKEN_PATH, Fault.redirect(url, code))
    await home.add_credentials()
    assert (await home.run_user_flow())["reason"] == "cannot_connect"
    assert (await home.run_user_flow())["type"] == "create_entry"
    home.simulator.add_fault("POST", TOKEN_PATH, Fault.redirect(url, code))
    await home.advance_time(LIFETIME)
    assert port_1(home) == "unavailable"
    assert len(refreshes(home)) == 1
    assert caught == []


async def begin_unloading_while_refreshing(home: Home, held: Held) -> asyncio.Task[bool]:
    """Let a poll wait for the token endpoint, and begin to unload the entry."""
    await poll_until(home, held)
    unloading = home.hass.async_create_task(
        home.hass.config_entries.async_unload(home.entry.entry_id)
    )
    for _ in range(20):
        await asyncio.sleep(0)
    return unloading


async def test_unloading_during_a_refresh_does_not_lose_the_new_tokens(
    home: Home, entry: ConfigEntry
) -> None:
    held = Held()
    unloading = await begin_unloading_while_refreshing(home, held)
    assert await unloading
    setup = asyncio.create_task(home.hass.config_entries.async_setup(entry.entry_id))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not setup.done()
    held.release.set()
    assert await setup
    assert port_1(home) == "on"
    assert len(refreshes(home)) == 1
    await home.advance_time(LIFETIME)
    assert port_1(home) == "on"
    assert len(refreshes(home)) == 2
    assert home.flow_sources == []


async def test_unloading_during_a_refresh_that_fails_leaves_no_error_in_the_log(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    held = Held(web.Response(status=503))
    unloading = await begin_unloading_while_refreshing(home, held)
    held.release.set()
    assert await unloading
    await home.wait_until_idle()
    gc.collect()
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR] == []


async def test_no_secret_of_a_spoilt_token_answer_is_ever_seen(
    home: Home, leak_detector: SecretLeakDetector
) -> None:
    leak_detector.add_secrets({"made-up-1", "made-up-2", "wrong-secret"})
    home.simulator.settings.token_lifetime = 60
    spoilt = [
        Fault.body('{"access_token": "made-up-1"}'),
        Fault.body('{"access_token": ["made-up-1"], "refresh_token": "made-up-2"}'),
        Fault.body('{"access_token": "made-up-1", "refresh_token": "made-up-2", "expires_in": {}}'),
        Fault.body('{"access_token": "made-up-1", "refresh_token": "made-up-2'),
        error(400, '{"error": "made-up-1", "error_description": "made-up-2"}'),
        error(500, "made-up-1 made-up-2"),
        Fault.reset(),
    ]
    await home.add_credentials("home-assistant", "wrong-secret")
    assert (await home.run_user_flow())["reason"] == "credentials_refused"
    home.simulator.applications["home-assistant"].client_secret = "wrong-secret"
    for fault in spoilt:
        home.simulator.add_fault("POST", TOKEN_PATH, fault)
        assert (await home.run_user_flow())["type"] == "abort"
    assert (await home.run_user_flow())["type"] == "create_entry"
    for fault in spoilt:
        home.simulator.add_fault("POST", TOKEN_PATH, fault)
        await home.advance_time(60)
        if home.flow_sources:
            assert (await sign_in_again(home))["reason"] == "reauth_successful"
        await home.poll()
        assert port_1(home) == "on"
    home.simulator.revoke_access()
    await home.poll()
    assert (await sign_in_again(home))["reason"] == "reauth_successful"
