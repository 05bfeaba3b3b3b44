"""Tests of the simulator's OAuth2 server."""

import base64
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
import secrets
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
from freezegun.api import FrozenDateTimeFactory
import pytest
from yarl import URL

from .simulator import Application, Simulator

REDIRECT_URI = "https://example.com/auth/external/callback"
AUTHORIZE = (
    "response_type=code&client_id=home-assistant&state=a%26b"
    "&redirect_uri=https%3A%2F%2Fexample.com%2Fauth%2Fexternal%2Fcallback"
    "&scope=sub%20email%20hubs%3Aread%20accounts:read%20hubs:write"
)


def create_verifier() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


class OAuthClient:
    """An OAuth2 client that sends valid requests by default."""

    def __init__(self, simulator: Simulator, session: aiohttp.ClientSession) -> None:
        self.simulator = simulator
        self.session = session

    def authorize_url(self, query: str = AUTHORIZE) -> str:
        """Return the URL of the sign-in page."""
        return f"{self.simulator.url}/identity/oauth/v2/authorize?{query}"

    async def get_code(self) -> str:
        """Sign in and return an authorization code."""
        redirect = urlsplit(await self.simulator.approve(self.authorize_url()))
        return parse_qs(redirect.query)["code"][0]

    async def request_token(
        self,
        form: dict[str, str] | list[tuple[str, str]] | str,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """Send a token request. Return the status and JSON of the response."""
        url = f"{self.simulator.url}/identity/oauth/v2/token"
        async with self.session.post(url, data=form, headers=headers) as response:
            return response.status, await response.json()

    def code_form(self, code: str, /, **changes: str) -> dict[str, str]:
        """Return the form that redeems an authorization code."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "client_id": "home-assistant",
            "client_secret": "home-assistant-secret",
            "redirect_uri": REDIRECT_URI,
            "codeVerifier": create_verifier(),
        }
        return form | changes

    def refresh_form(self, token: str, **changes: str) -> dict[str, str]:
        """Return the form that redeems a refresh token."""
        form = {
            "grant_type": "refresh_token",
            "refresh_token": token,
            "client_id": "home-assistant",
            "client_secret": "home-assistant-secret",
            "redirect_uri": REDIRECT_URI,
        }
        return form | changes

    async def get_token(self) -> dict[str, Any]:
        """Sign in and return the token response."""
        status, token = await self.request_token(self.code_form(await self.get_code()))
        assert status == 200
        return token

    async def get_userinfo(self, access_token: str) -> tuple[int, dict[str, Any]]:
        """Return the status and JSON of userinfo."""
        headers = {"Authorization": f"Bearer {access_token}"}
        url = f"{self.simulator.url}/identity/oauth/v2/userinfo"
        async with self.session.get(url, headers=headers) as response:
            return response.status, await response.json()


@pytest.fixture
async def client(socket_enabled: None) -> AsyncGenerator[OAuthClient]:
    """Return a client of a running simulator."""
    async with Simulator() as simulator, aiohttp.ClientSession() as session:
        yield OAuthClient(simulator, session)


async def test_sign_in_approved_redirects_with_code_and_state(client: OAuthClient) -> None:
    redirect = await client.simulator.approve(client.authorize_url())
    assert redirect.startswith(f"{REDIRECT_URI}?")
    parameters = parse_qs(urlsplit(redirect).query)
    assert parameters["state"] == ["a&b"]
    assert parameters["code"][0].startswith("code-")


async def test_sign_in_denied_redirects_with_error(client: OAuthClient) -> None:
    redirect = await client.simulator.deny(client.authorize_url())
    assert parse_qs(urlsplit(redirect).query) == {"error": ["access_denied"], "state": ["a&b"]}


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("response_type=code", "response_type=token", "response_type must be code"),
        ("response_type=code&", "", "response_type is missing"),
        ("=home-assistant", "=somebody", "client_id is not known"),
        ("=home-assistant", "=server-to-server", "client_id is not known"),
        ("&state=a%26b", "", "state is missing"),
        ("state=a%26b", "state=", "state is missing"),
        ("state=a%26b", "state=a&state=b", "state is there twice"),
        ("callback&", "callback%2F&", "is not registered"),
        ("sub%20email", "sub+email", "joined by %20"),
        ("sub%20email", "sub,email", "joined by %20"),
        ("sub%20email", "sub%2Cemail", "joined by %20"),
        ("sub%20email", "sub%20%20email", "joined by %20"),
    ],
)
async def test_authorization_request_invalid_shows_error_page(
    client: OAuthClient, old: str, new: str, sentence: str
) -> None:
    assert old in AUTHORIZE
    url = URL(client.authorize_url(AUTHORIZE.replace(old, new)), encoded=True)
    for method in ("GET", "POST"):
        async with client.session.request(method, url, allow_redirects=False) as response:
            assert response.status == 400
            assert response.content_type == "text/html"
            assert sentence in await response.text()


async def test_authorization_request_with_invalid_scope_redirects_with_error(
    client: OAuthClient,
) -> None:
    redirect = await client.simulator.approve(
        client.authorize_url(AUTHORIZE.replace("home-assistant", "read-only-app"))
    )
    assert parse_qs(urlsplit(redirect).query) == {"error": ["invalid_scope"], "state": ["a&b"]}


@pytest.mark.parametrize(
    ("changes", "status", "sentence"),
    [
        ({"password": "wrong"}, 401, "the password is wrong"),
        ({"email": "x@example.com"}, 401, "the password is wrong"),
        ({"account": "none"}, 400, "Choose an organisation"),
        ({"decision": ""}, 400, "Approve or deny"),
    ],
)
async def test_sign_in_form_invalid_is_shown_with_error(
    client: OAuthClient, changes: dict[str, str], status: int, sentence: str
) -> None:
    form = {
        "email": "anna@example.com",
        "password": "demo",
        "account": client.simulator.database.account().id,
        "decision": "approve",
    }
    url = URL(client.authorize_url(), encoded=True)
    async with client.session.post(url, data=form | changes, allow_redirects=False) as response:
        assert response.status == status
        text = await response.text()
    assert sentence in text
    assert 'type="password"' in text


async def test_sign_in_page_shows_client_scopes_and_accounts(client: OAuthClient) -> None:
    async with client.session.get(URL(client.authorize_url(), encoded=True)) as response:
        text = await response.text()
    for words in ("home-assistant", "Second Organisation", "See your organisation's", "Approve"):
        assert words in text.replace("&#x27;", "'")


async def test_code_exchanged_returns_tokens_for_userinfo(client: OAuthClient) -> None:
    token = await client.get_token()
    assert token["token_type"] == "Bearer"
    assert token["expires_in"] == 3600
    assert token["refresh_token"].startswith("rt-")
    assert token["scope"] == "sub email hubs:read accounts:read hubs:write"
    status, user = await client.get_userinfo(token["access_token"])
    assert status == 200
    assert user.keys() == {"sub", "email", "name"}
    assert user["name"] == "Anna Andersson"


async def test_sign_in_with_account_gives_access_to_account(client: OAuthClient) -> None:
    redirect = await client.simulator.approve(client.authorize_url(), "Second Organisation")
    _, token = await client.request_token(
        client.code_form(parse_qs(urlsplit(redirect).query)["code"][0])
    )
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    async with client.session.get(
        f"{client.simulator.url}/api/accounts/v1", headers=headers
    ) as response:
        assert (await response.json())["name"] == "Second Organisation"


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"code": "code-made-up"}, 400, "invalid_grant"),
        ({"client_id": "somebody"}, 401, "invalid_client"),
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        (
            {"client_id": "read-only-app", "client_secret": "read-only-secret"},
            400,
            "invalid_grant",
        ),
        (
            {"client_id": "server-to-server", "client_secret": "server-to-server-secret"},
            400,
            "unauthorized_client",
        ),
        ({"redirect_uri": "http://localhost:8123/auth/external/callback"}, 400, "invalid_grant"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, 400, "invalid_request"),
        ({"grant_type": ""}, 400, "unsupported_grant_type"),
        ({"code": ""}, 400, "invalid_request"),
        ({"extra": "1"}, 400, "invalid_request"),
        ({"codeVerifier": ""}, 400, "invalid_request"),
        ({"codeVerifier": "not base64 at all!!"}, 400, "invalid_request"),
        ({"codeVerifier": base64.b64encode(b"15 bytes, short").decode()}, 400, "invalid_request"),
        ({"codeVerifier": "ab+/ab-_" * 4}, 400, "invalid_request"),
    ],
)
async def test_code_exchange_with_invalid_parameter_is_rejected(
    client: OAuthClient, changes: dict[str, str], status: int, error: str
) -> None:
    response = await client.request_token(client.code_form(await client.get_code(), **changes))
    assert (response[0], response[1]["error"]) == (status, error)
    assert response[1]["error_description"]


@pytest.mark.parametrize(
    "verifier",
    [
        base64.b64encode(b"\xfb\xff" * 8).decode(),
        base64.urlsafe_b64encode(b"\xfb\xff" * 8).decode(),
        base64.urlsafe_b64encode(b"\xfb\xff" * 8).decode().rstrip("="),
    ],
)
async def test_verifier_in_each_base64_alphabet_is_accepted(
    client: OAuthClient, verifier: str
) -> None:
    status, _ = await client.request_token(
        client.code_form(await client.get_code(), codeVerifier=verifier)
    )
    assert status == 200


async def test_verifier_reused_is_rejected(client: OAuthClient) -> None:
    form = client.code_form(await client.get_code())
    assert (await client.request_token(form))[0] == 200
    status, body = await client.request_token(form | {"code": await client.get_code()})
    assert (status, body["error"]) == (400, "invalid_request")


async def test_code_reused_is_rejected(client: OAuthClient) -> None:
    code = await client.get_code()
    assert (await client.request_token(client.code_form(code)))[0] == 200
    status, body = await client.request_token(client.code_form(code))
    assert (status, body["error"]) == (400, "invalid_grant")


async def test_code_after_60_seconds_is_rejected(
    client: OAuthClient, freezer: FrozenDateTimeFactory
) -> None:
    early, late = await client.get_code(), await client.get_code()
    freezer.tick(59)
    assert (await client.request_token(client.code_form(early)))[0] == 200
    freezer.tick(1)
    assert (await client.request_token(client.code_form(late)))[0] == 400


async def test_token_request_without_form_body_is_rejected(client: OAuthClient) -> None:
    form = client.code_form(await client.get_code())
    url = f"{client.simulator.url}/identity/oauth/v2/token"
    async with client.session.post(url, json=form) as response:
        assert response.status == 415
    async with client.session.post(url, params=form, data={"grant_type": "x"}) as response:
        assert response.status == 400
        assert (await response.json())["error"] == "invalid_request"
    async with client.session.get(url, params=form) as response:
        assert response.status == 400
        assert (await response.json())["error"] == "invalid_request"
    twice = [*form.items(), ("code", form["code"])]
    assert (await client.request_token(twice))[1]["error"] == "invalid_request"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    _, body = await client.request_token("{not a form}", headers=headers)
    assert body["error"] == "invalid_request"
    assert (await client.request_token({"code": "x"}))[1]["error"] == "invalid_request"


async def test_refresh_rotates_refresh_token(client: OAuthClient) -> None:
    first = await client.get_token()
    status, second = await client.request_token(client.refresh_form(first["refresh_token"]))
    assert status == 200
    assert second["refresh_token"] != first["refresh_token"]
    assert (await client.get_userinfo(second["access_token"]))[0] == 200
    status, body = await client.request_token(client.refresh_form(first["refresh_token"]))
    assert (status, body["error"]) == (400, "invalid_grant")
    assert (await client.request_token(client.refresh_form(second["refresh_token"])))[0] == 200


async def test_refresh_token_reused_revokes_grant_if_set(client: OAuthClient) -> None:
    client.simulator.settings.reuse_revokes = True
    other = await client.get_token()
    first = await client.get_token()
    _, second = await client.request_token(client.refresh_form(first["refresh_token"]))
    await client.request_token(client.refresh_form(first["refresh_token"]))
    assert (await client.request_token(client.refresh_form(second["refresh_token"])))[0] == 400
    assert (await client.get_userinfo(second["access_token"]))[0] == 401
    assert (await client.get_userinfo(other["access_token"]))[0] == 200


async def test_refresh_without_rotation_keeps_refresh_token(client: OAuthClient) -> None:
    client.simulator.settings.rotate = False
    first = await client.get_token()
    for _ in range(2):
        status, again = await client.request_token(client.refresh_form(first["refresh_token"]))
        assert status == 200
        assert "refresh_token" not in again


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"redirect_uri": "http://localhost:8123/auth/external/callback"}, 400, "invalid_grant"),
        ({"redirect_uri": ""}, 400, "invalid_request"),
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        (
            {"client_id": "read-only-app", "client_secret": "read-only-secret"},
            400,
            "invalid_grant",
        ),
        ({"codeVerifier": "x"}, 400, "invalid_request"),
    ],
)
async def test_refresh_with_invalid_parameter_does_not_rotate_token(
    client: OAuthClient, changes: dict[str, str], status: int, error: str
) -> None:
    token = (await client.get_token())["refresh_token"]
    response = await client.request_token(client.refresh_form(token, **changes))
    assert (response[0], response[1]["error"]) == (status, error)
    assert (await client.request_token(client.refresh_form(token)))[0] == 200


async def test_access_token_after_lifetime_is_rejected(
    client: OAuthClient, freezer: FrozenDateTimeFactory
) -> None:
    client.simulator.settings.token_lifetime = 100
    token = await client.get_token()
    freezer.tick(99)
    assert (await client.get_userinfo(token["access_token"]))[0] == 200
    freezer.tick(1)
    status, body = await client.get_userinfo(token["access_token"])
    assert (status, body["code"]) == (401, "unauthorized")
    assert (await client.request_token(client.refresh_form(token["refresh_token"])))[0] == 200


async def test_tokens_expired_or_revoked_are_rejected(client: OAuthClient) -> None:
    token = await client.get_token()
    client.simulator.expire_access_tokens()
    assert (await client.get_userinfo(token["access_token"]))[0] == 401
    _, token = await client.request_token(client.refresh_form(token["refresh_token"]))
    code = await client.get_code()
    client.simulator.revoke_access()
    assert (await client.get_userinfo(token["access_token"]))[0] == 401
    status, body = await client.request_token(client.refresh_form(token["refresh_token"]))
    assert (status, body["error"]) == (400, "invalid_grant")
    assert (await client.request_token(client.code_form(code)))[0] == 400


async def test_token_lifetime_follows_lifetime_form(
    client: OAuthClient, freezer: FrozenDateTimeFactory
) -> None:
    freezer.move_to("2026-02-03T04:05:06+00:00")
    settings = client.simulator.settings

    async def get_lifetime() -> object:
        return (await client.get_token()).get("expires_in", "absent")

    expected: dict[str, str | float | None] = {
        "number": 3600,
        "string": "3600",
        "float": 3600.0,
        "date": "2026-02-03T05:05:06Z",
        "date_offset": "2026-02-03T07:05:06+02:00",
        "date_naive": "2026-02-03T05:05:06",
        "date_http": "Tue, 03 Feb 2026 05:05:06 GMT",
        "past": "2026-02-03T03:05:06Z",
        "null": None,
        "absent": "absent",
    }
    for form, value in expected.items():
        settings.update({"lifetime_form": form})
        assert await get_lifetime() == value, form
    settings.lifetime_form = "float"
    assert isinstance(await get_lifetime(), float)
    end = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC) + timedelta(hours=1)
    assert parsedate_to_datetime(str(expected["date_http"])) == end


async def test_token_response_follows_settings(client: OAuthClient) -> None:
    settings = client.simulator.settings
    settings.lifetime_key = "access_expires_in"
    settings.scope_in_answer = False
    token = await client.get_token()
    assert token.keys() == {"access_token", "refresh_token", "token_type", "access_expires_in"}
    settings.lifetime_key = "both"
    settings.token_wrapped = True
    token = await client.get_token()
    assert {"expires_in", "access_expires_in"} < token["data"].keys()


async def test_client_credentials_return_tokens_without_user(client: OAuthClient) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": "server-to-server",
        "client_secret": "server-to-server-secret",
        "scope": "hubs:read sub",
    }
    status, token = await client.request_token(form)
    assert status == 200
    assert (await client.get_userinfo(token["access_token"]))[0] == 403
    application = {"client_id": "server-to-server", "client_secret": "server-to-server-secret"}
    refresh = client.refresh_form(token["refresh_token"], **application)
    status, refreshed = await client.request_token(refresh)
    assert status == 200
    assert refreshed.keys() == token.keys()
    assert refreshed["refresh_token"] != token["refresh_token"]
    status, body = await client.request_token(form | {"scope": "hubs:read everything"})
    assert (status, body["error"]) == (400, "invalid_scope")
    home_assistant = {"client_id": "home-assistant", "client_secret": "home-assistant-secret"}
    status, body = await client.request_token(form | home_assistant)
    assert (status, body["error"]) == (400, "unauthorized_client")


async def test_userinfo_has_only_granted_scopes(client: OAuthClient) -> None:
    client.simulator.applications["mine"] = Application("mine", "s", {"sub"}, [REDIRECT_URI])
    query = AUTHORIZE.partition("&scope=")[0].replace("home-assistant", "mine") + "&scope=sub"
    redirect = await client.simulator.approve(client.authorize_url(query))
    code = parse_qs(urlsplit(redirect).query)["code"][0]
    form = client.code_form(code, client_id="mine", client_secret="s")
    _, token = await client.request_token(form)
    assert (await client.get_userinfo(token["access_token"]))[1].keys() == {"sub"}


async def test_approve_with_invalid_request_raises_error(client: OAuthClient) -> None:
    with pytest.raises(ValueError, match="state is missing"):
        await client.simulator.approve(client.authorize_url(AUTHORIZE.replace("&state=a%26b", "")))
