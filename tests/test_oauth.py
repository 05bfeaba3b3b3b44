"""Tests of the OAuth2 dialect: the requests to Ochno Operated and the token responses."""

import base64
from collections.abc import AsyncIterator, Iterator
import json
import re
import time
from urllib.parse import unquote

from aiohttp import web
from aiohttp.test_utils import TestServer
import pytest

from .home import TOKEN_PATH, Home
from .oauth import (
    CALLBACK_URL,
    TOKEN_LIFETIME,
    code_exchanges,
    edited_response,
    error_response,
    port_1_connected,
    refreshes,
    sign_in_again,
    stored_token,
)
from .secret_leaks import SecretLeakDetector
from .simulator import Application, Fault, Simulator

# Invalid and extreme lifetimes in token responses, by the seconds that are used instead.
REPLACED_LIFETIMES: dict[int, list[object]] = {
    3600: [
        *(True, [1800], {}, "", "soon", "true"),
        *(float("nan"), float("inf"), "nan", "1e999"),
        *(0, -1800, "-5", "1999-12-31"),
        10**400,
    ],
    60: [1, "59", 0.001],
    86400: [10**9, 1e300, "99999999", "2999-01-01T00:00:00Z"],
}


async def assert_lifetime(home: Home, seconds: float) -> None:
    """Sign in and refresh, and assert the lifetime of the tokens from both responses."""
    await home.link_account()
    assert stored_token(home)["expires_at"] == pytest.approx(time.time() + seconds, abs=1.5)
    await home.advance_time(seconds - 10)
    assert len(refreshes(home)) == 1
    assert stored_token(home)["expires_at"] == pytest.approx(time.time() + seconds, abs=1.5)
    assert port_1_connected(home) == "on"


async def test_authorize_url_has_documented_parameters(home: Home) -> None:
    await home.add_credentials()
    step = await home.submit_form(await home.start_flow(), server=home.simulator.url)
    page, _, query = step["url"].partition("?")
    assert page == f"{home.simulator.url}/identity/oauth/v2/authorize"
    parameters = dict(pair.split("=") for pair in query.split("&"))
    assert parameters.keys() == {"client_id", "redirect_uri", "response_type", "scope", "state"}
    assert parameters["response_type"] == "code"
    assert parameters["client_id"] == "home-assistant"
    assert unquote(parameters["redirect_uri"]) == CALLBACK_URL
    scopes = [unquote(scope) for scope in parameters["scope"].split("%20")]
    assert scopes == ["sub", "email", "hubs:read", "accounts:read"]
    assert len(parameters["state"]) > 20


async def test_code_exchange_sends_form_with_code_verifier_of_64_letters_and_digits(
    home: Home,
) -> None:
    await home.link_account()
    [request] = [request for request in home.simulator.requests if request.path == TOKEN_PATH]
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    [form] = code_exchanges(home)
    verifier = form.pop("codeVerifier")
    assert re.fullmatch("[A-Za-z0-9]{64}", verifier)
    assert base64.b64decode(verifier, validate=True)
    assert form.pop("code").startswith("code-")
    assert form == {
        "grant_type": "authorization_code",
        "client_id": "home-assistant",
        "client_secret": "home-assistant-secret",
        "redirect_uri": CALLBACK_URL,
    }


async def test_code_verifier_is_new_for_each_sign_in(home: Home) -> None:
    await home.link_account()
    await home.run_user_flow("Second Organisation")
    first, second = code_exchanges(home)
    assert first["codeVerifier"] != second["codeVerifier"]


async def test_client_id_and_secret_with_special_characters_are_accepted(home: Home) -> None:
    default = home.simulator.applications["home-assistant"]
    client_id, secret = "a+b c&d=%20é", "s+e c&r=e%74"
    home.simulator.applications[client_id] = Application(
        client_id, secret, default.scopes, default.redirect_uris
    )
    await home.add_credentials(client_id, secret)
    assert (await home.run_user_flow())["type"] == "create_entry"
    await home.advance_time(TOKEN_LIFETIME)
    assert port_1_connected(home) == "on"
    assert len(refreshes(home)) == 1


async def test_token_response_wrapped_in_data_is_read(home: Home) -> None:
    home.simulator.settings.token_wrapped = True
    await home.link_account()
    token = stored_token(home)
    assert token.keys() == {
        *("access_token", "refresh_token", "token_type", "scope"),
        *(
            "expires_in",
            "expires_at",
            "redirect_uri",
            "server",
            "client_id",
            "generation",
            "response",
        ),
    }
    await home.advance_time(TOKEN_LIFETIME)
    assert port_1_connected(home) == "on"
    assert stored_token(home).keys() == token.keys()
    assert stored_token(home)["refresh_token"] != token["refresh_token"]


async def test_token_response_with_status_201_is_accepted(home: Home) -> None:
    body = '{"access_token": "made-up-1", "refresh_token": "made-up-2"}'
    await home.link_account()
    home.simulator.add_fault("POST", TOKEN_PATH, error_response(201, body))
    await home.advance_time(TOKEN_LIFETIME)
    assert stored_token(home)["refresh_token"] == "made-up-2"


async def test_token_response_unknown_and_invalid_fields_are_not_stored(home: Home) -> None:
    fault = edited_response(id_token="x", token_type=1, scope=["sub"])
    home.simulator.add_fault("POST", TOKEN_PATH, fault)
    await home.link_account()
    assert stored_token(home).keys().isdisjoint({"id_token", "token_type", "scope"})


@pytest.mark.parametrize("key", ["expires_in", "access_expires_in", "both"])
@pytest.mark.parametrize(
    ("form", "seconds"),
    [
        *((form, 1800) for form in ("number", "string", "float")),
        *((form, 1800) for form in ("date", "date_offset", "date_naive", "date_http")),
        *((form, 3600) for form in ("null", "absent", "past")),
    ],
)
async def test_token_lifetime_is_read_in_every_form_and_from_both_keys(
    home: Home, form: str, key: str, seconds: int
) -> None:
    home.simulator.settings.update(
        {"token_lifetime": 1800, "lifetime_form": form, "lifetime_key": key}
    )
    await assert_lifetime(home, seconds)


@pytest.mark.parametrize(
    ("lifetime", "seconds"),
    [
        pytest.param(lifetime, seconds, id=json.dumps(lifetime)[:40])
        for seconds, lifetimes in REPLACED_LIFETIMES.items()
        for lifetime in lifetimes
    ],
)
async def test_token_lifetime_invalid_or_extreme_is_replaced(
    home: Home, lifetime: object, seconds: int
) -> None:
    fault = edited_response(expires_in=lifetime)
    home.simulator.add_fault("POST", TOKEN_PATH, fault, times=None)
    await assert_lifetime(home, seconds)
    assert stored_token(home)["expires_in"] == seconds


async def test_token_lifetime_of_thousands_of_digits_does_not_lose_tokens(home: Home) -> None:
    body = '{"access_token": "made-up-1", "refresh_token": "made-up-2", "expires_in": %s}'
    await home.link_account()
    home.simulator.add_fault("POST", TOKEN_PATH, Fault.body(body % ("9" * 9_000)))
    await home.advance_time(TOKEN_LIFETIME)
    assert stored_token(home)["refresh_token"] == "made-up-2"
    assert stored_token(home)["expires_in"] == 3600


@pytest.mark.parametrize("expires_in", [None, "soon", False, -1, "2001-01-01T00:00:00Z"], ids=str)
async def test_token_lifetime_is_read_from_second_key_if_first_is_invalid(
    home: Home, expires_in: object
) -> None:
    fault = edited_response(expires_in=expires_in, access_expires_in="1800")
    home.simulator.add_fault("POST", TOKEN_PATH, fault, times=None)
    await assert_lifetime(home, 1800)


@pytest.fixture
def _new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the local time zone to one that is hours behind UTC."""
    with monkeypatch.context() as context:
        context.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_new_york")
async def test_token_lifetime_date_without_zone_is_utc(home: Home) -> None:
    home.simulator.settings.token_lifetime = 1800
    home.simulator.settings.lifetime_form = "date_naive"
    await assert_lifetime(home, 1800)


async def test_token_lifetime_missing_in_refresh_uses_default_instead_of_previous(
    home: Home,
) -> None:
    home.simulator.settings.token_lifetime = 600
    await home.link_account()
    home.simulator.settings.lifetime_form = "absent"
    await home.advance_time(590)
    assert stored_token(home)["expires_at"] == pytest.approx(time.time() + 3600, abs=1.5)
    assert stored_token(home)["expires_in"] == 3600


@pytest.fixture
async def redirect_target(simulator: Simulator) -> AsyncIterator[tuple[str, list[str]]]:
    """Return the URL of another server, and the list of the requests that it receives."""
    requests: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        requests.append(f"{request.method} {await request.text()}")
        return web.json_response({"access_token": "a", "refresh_token": "b", "expires_in": 3600})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with TestServer(app, host="127.0.0.1") as server:
        yield str(server.make_url("/token")), requests


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_token_request_redirect_is_not_followed(
    home: Home, redirect_target: tuple[str, list[str]], code: int
) -> None:
    url, requests = redirect_target
    home.simulator.add_fault("POST", TOKEN_PATH, Fault.redirect(url, code))
    await home.add_credentials()
    assert (await home.run_user_flow())["reason"] == "cannot_connect"
    assert (await home.run_user_flow())["type"] == "create_entry"
    home.simulator.add_fault("POST", TOKEN_PATH, Fault.redirect(url, code))
    await home.advance_time(TOKEN_LIFETIME)
    assert port_1_connected(home) == "unavailable"
    assert len(refreshes(home)) == 1
    assert requests == []


async def test_token_response_with_error_leaks_no_secret(
    home: Home, leak_detector: SecretLeakDetector
) -> None:
    leak_detector.add_secrets({"made-up-1", "made-up-2", "wrong-secret"})
    home.simulator.settings.token_lifetime = 60
    faults = [
        Fault.body('{"access_token": "made-up-1"}'),
        Fault.body('{"access_token": ["made-up-1"], "refresh_token": "made-up-2"}'),
        Fault.body('{"access_token": "made-up-1", "refresh_token": "made-up-2", "expires_in": {}}'),
        Fault.body('{"access_token": "made-up-1", "refresh_token": "made-up-2'),
        error_response(400, '{"error": "made-up-1", "error_description": "made-up-2"}'),
        error_response(500, "made-up-1 made-up-2"),
        Fault.reset(),
    ]
    await home.add_credentials("home-assistant", "wrong-secret")
    assert (await home.run_user_flow())["reason"] == "credentials_refused"
    home.simulator.applications["home-assistant"].client_secret = "wrong-secret"
    for fault in faults:
        home.simulator.add_fault("POST", TOKEN_PATH, fault)
        assert (await home.run_user_flow())["type"] == "abort"
    assert (await home.run_user_flow())["type"] == "create_entry"
    for fault in faults:
        home.simulator.add_fault("POST", TOKEN_PATH, fault)
        await home.advance_time(60)
        if home.flow_sources:
            assert (await sign_in_again(home))["reason"] == "reauth_successful"
        await home.poll()
        assert port_1_connected(home) == "on"
    home.simulator.revoke_access()
    await home.poll()
    assert (await sign_in_again(home))["reason"] == "reauth_successful"
