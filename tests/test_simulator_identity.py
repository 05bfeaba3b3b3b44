"""The simulator's OAuth2: what it insists on, refusal by refusal."""

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


def verifier() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


class Client:
    """An application that does everything right unless told otherwise."""

    def __init__(self, simulator: Simulator, session: aiohttp.ClientSession) -> None:
        self.simulator = simulator
        self.session = session

    def url(self, query: str = AUTHORIZE) -> str:
        return f"{self.simulator.url}/identity/oauth/v2/authorize?{query}"

    async def code(self) -> str:
        back = urlsplit(await self.simulator.approve(self.url()))
        return parse_qs(back.query)["code"][0]

    async def post(self, form: Any, **more: Any) -> tuple[int, dict[str, Any]]:
        url = f"{self.simulator.url}/identity/oauth/v2/token"
        async with self.session.post(url, data=form, **more) as answer:
            return answer.status, await answer.json()

    def exchange_form(self, code: str, /, **changes: str) -> dict[str, str]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "client_id": "home-assistant",
            "client_secret": "home-assistant-secret",
            "redirect_uri": REDIRECT_URI,
            "codeVerifier": verifier(),
        }
        return form | changes

    def refresh_form(self, token: str, **changes: str) -> dict[str, str]:
        form = {
            "grant_type": "refresh_token",
            "refresh_token": token,
            "client_id": "home-assistant",
            "client_secret": "home-assistant-secret",
            "redirect_uri": REDIRECT_URI,
        }
        return form | changes

    async def token(self) -> dict[str, Any]:
        status, token = await self.post(self.exchange_form(await self.code()))
        assert status == 200
        return token

    async def userinfo(self, access_token: str) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {access_token}"}
        url = f"{self.simulator.url}/identity/oauth/v2/userinfo"
        async with self.session.get(url, headers=headers) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def client(socket_enabled: None) -> AsyncGenerator[Client]:
    async with Simulator() as simulator, aiohttp.ClientSession() as session:
        yield Client(simulator, session)


async def test_sign_in_returns_code_and_state(client: Client) -> None:
    back = await client.simulator.approve(client.url())
    assert back.startswith(f"{REDIRECT_URI}?")
    answer = parse_qs(urlsplit(back).query)
    assert answer["state"] == ["a&b"]
    assert answer["code"][0].startswith("code-")


async def test_denied(client: Client) -> None:
    back = await client.simulator.deny(client.url())
    assert parse_qs(urlsplit(back).query) == {"error": ["access_denied"], "state": ["a&b"]}


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
async def test_wrong_authorize_request(client: Client, old: str, new: str, sentence: str) -> None:
    assert old in AUTHORIZE
    url = URL(client.url(AUTHORIZE.replace(old, new)), encoded=True)
    for method in ("GET", "POST"):
        async with client.session.request(method, url, allow_redirects=False) as answer:
            assert answer.status == 400
            assert answer.content_type == "text/html"
            assert sentence in await answer.text()


async def test_scope_the_application_lacks_is_told_by_redirect(client: Client) -> None:
    back = await client.simulator.approve(
        client.url(AUTHORIZE.replace("home-assistant", "read-only-app"))
    )
    assert parse_qs(urlsplit(back).query) == {"error": ["invalid_scope"], "state": ["a&b"]}


@pytest.mark.parametrize(
    ("changes", "status", "sentence"),
    [
        ({"password": "wrong"}, 401, "the password is wrong"),
        ({"email": "x@example.com"}, 401, "the password is wrong"),
        ({"account": "none"}, 400, "Choose an organisation"),
        ({"decision": ""}, 400, "Approve or deny"),
    ],
)
async def test_form_is_shown_again(
    client: Client, changes: dict[str, str], status: int, sentence: str
) -> None:
    form = {
        "email": "anna@example.com",
        "password": "demo",
        "account": client.simulator.cloud.account().id,
        "decision": "approve",
    }
    url = URL(client.url(), encoded=True)
    async with client.session.post(url, data=form | changes, allow_redirects=False) as answer:
        assert answer.status == status
        text = await answer.text()
    assert sentence in text
    assert 'type="password"' in text


async def test_page_names_client_scopes_and_accounts(client: Client) -> None:
    async with client.session.get(URL(client.url(), encoded=True)) as answer:
        text = await answer.text()
    for words in ("home-assistant", "Second Organisation", "See your organisation's", "Approve"):
        assert words in text.replace("&#x27;", "'")


async def test_exchange_and_userinfo(client: Client) -> None:
    token = await client.token()
    assert token["token_type"] == "Bearer"
    assert token["expires_in"] == 3600
    assert token["refresh_token"].startswith("rt-")
    assert token["scope"] == "sub email hubs:read accounts:read hubs:write"
    status, user = await client.userinfo(token["access_token"])
    assert status == 200
    assert user.keys() == {"sub", "email", "name"}
    assert user["name"] == "Anna Andersson"


async def test_approve_chooses_account(client: Client) -> None:
    back = await client.simulator.approve(client.url(), "Second Organisation")
    _, token = await client.post(client.exchange_form(parse_qs(urlsplit(back).query)["code"][0]))
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    async with client.session.get(
        f"{client.simulator.url}/api/accounts/v1", headers=headers
    ) as answer:
        assert (await answer.json())["name"] == "Second Organisation"


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
async def test_wrong_exchange(
    client: Client, changes: dict[str, str], status: int, error: str
) -> None:
    answer = await client.post(client.exchange_form(await client.code(), **changes))
    assert (answer[0], answer[1]["error"]) == (status, error)
    assert answer[1]["error_description"]


@pytest.mark.parametrize(
    "good",
    [
        base64.b64encode(b"\xfb\xff" * 8).decode(),
        base64.urlsafe_b64encode(b"\xfb\xff" * 8).decode(),
        base64.urlsafe_b64encode(b"\xfb\xff" * 8).decode().rstrip("="),
    ],
)
async def test_either_alphabet_makes_a_verifier(client: Client, good: str) -> None:
    status, _ = await client.post(client.exchange_form(await client.code(), codeVerifier=good))
    assert status == 200


async def test_verifier_must_be_fresh(client: Client) -> None:
    form = client.exchange_form(await client.code())
    assert (await client.post(form))[0] == 200
    status, answer = await client.post(form | {"code": await client.code()})
    assert (status, answer["error"]) == (400, "invalid_request")


async def test_code_is_good_once(client: Client) -> None:
    code = await client.code()
    assert (await client.post(client.exchange_form(code)))[0] == 200
    status, answer = await client.post(client.exchange_form(code))
    assert (status, answer["error"]) == (400, "invalid_grant")


async def test_code_is_good_for_a_minute(client: Client, freezer: FrozenDateTimeFactory) -> None:
    early, late = await client.code(), await client.code()
    freezer.tick(59)
    assert (await client.post(client.exchange_form(early)))[0] == 200
    freezer.tick(1)
    assert (await client.post(client.exchange_form(late)))[0] == 400


async def test_token_request_must_be_a_form_in_the_body(client: Client) -> None:
    form = client.exchange_form(await client.code())
    url = f"{client.simulator.url}/identity/oauth/v2/token"
    async with client.session.post(url, json=form) as answer:
        assert answer.status == 415
    async with client.session.post(url, params=form, data={"grant_type": "x"}) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"] == "invalid_request"
    async with client.session.get(url, params=form) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"] == "invalid_request"
    twice = [*form.items(), ("code", form["code"])]
    assert (await client.post(twice))[1]["error"] == "invalid_request"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await client.post("{not a form}", headers=headers))[1]["error"] == "invalid_request"
    missing = {"code": "x"}
    assert (await client.post(missing))[1]["error"] == "invalid_request"


async def test_refresh_rotates(client: Client) -> None:
    first = await client.token()
    status, second = await client.post(client.refresh_form(first["refresh_token"]))
    assert status == 200
    assert second["refresh_token"] != first["refresh_token"]
    assert (await client.userinfo(second["access_token"]))[0] == 200
    status, answer = await client.post(client.refresh_form(first["refresh_token"]))
    assert (status, answer["error"]) == (400, "invalid_grant")
    assert (await client.post(client.refresh_form(second["refresh_token"])))[0] == 200


async def test_reuse_can_kill_the_grant(client: Client) -> None:
    client.simulator.settings.reuse_revokes = True
    other = await client.token()
    first = await client.token()
    _, second = await client.post(client.refresh_form(first["refresh_token"]))
    await client.post(client.refresh_form(first["refresh_token"]))
    assert (await client.post(client.refresh_form(second["refresh_token"])))[0] == 400
    assert (await client.userinfo(second["access_token"]))[0] == 401
    assert (await client.userinfo(other["access_token"]))[0] == 200


async def test_without_rotation(client: Client) -> None:
    client.simulator.settings.rotate = False
    first = await client.token()
    for _ in range(2):
        status, again = await client.post(client.refresh_form(first["refresh_token"]))
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
async def test_wrong_refresh_does_not_rotate(
    client: Client, changes: dict[str, str], status: int, error: str
) -> None:
    token = (await client.token())["refresh_token"]
    answer = await client.post(client.refresh_form(token, **changes))
    assert (answer[0], answer[1]["error"]) == (status, error)
    assert (await client.post(client.refresh_form(token)))[0] == 200


async def test_access_token_expires(client: Client, freezer: FrozenDateTimeFactory) -> None:
    client.simulator.settings.token_lifetime = 100
    token = await client.token()
    freezer.tick(99)
    assert (await client.userinfo(token["access_token"]))[0] == 200
    freezer.tick(1)
    status, answer = await client.userinfo(token["access_token"])
    assert (status, answer["code"]) == (401, "unauthorized")
    assert (await client.post(client.refresh_form(token["refresh_token"])))[0] == 200


async def test_expire_and_revoke(client: Client) -> None:
    token = await client.token()
    client.simulator.expire_access_tokens()
    assert (await client.userinfo(token["access_token"]))[0] == 401
    _, token = await client.post(client.refresh_form(token["refresh_token"]))
    code = await client.code()
    client.simulator.revoke_access()
    assert (await client.userinfo(token["access_token"]))[0] == 401
    status, answer = await client.post(client.refresh_form(token["refresh_token"]))
    assert (status, answer["error"]) == (400, "invalid_grant")
    assert (await client.post(client.exchange_form(code)))[0] == 400


async def test_forms_of_the_lifetime(client: Client, freezer: FrozenDateTimeFactory) -> None:
    freezer.move_to("2026-02-03T04:05:06+00:00")
    settings = client.simulator.settings

    async def lifetime() -> Any:
        return (await client.token()).get("expires_in", "absent")

    wanted: dict[str, Any] = {
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
    for form, value in wanted.items():
        settings.update({"lifetime_form": form})
        assert await lifetime() == value, form
    settings.lifetime_form = "float"
    assert isinstance(await lifetime(), float)
    end = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC) + timedelta(hours=1)
    assert parsedate_to_datetime(wanted["date_http"]) == end


async def test_other_shapes_of_the_answer(client: Client) -> None:
    settings = client.simulator.settings
    settings.lifetime_key = "access_expires_in"
    settings.scope_in_answer = False
    token = await client.token()
    assert token.keys() == {"access_token", "refresh_token", "token_type", "access_expires_in"}
    settings.lifetime_key = "both"
    settings.token_wrapped = True
    token = await client.token()
    assert {"expires_in", "access_expires_in"} < token["data"].keys()


async def test_client_credentials(client: Client) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": "server-to-server",
        "client_secret": "server-to-server-secret",
        "scope": "hubs:read sub",
    }
    status, token = await client.post(form)
    assert status == 200
    assert "refresh_token" not in token
    assert (await client.userinfo(token["access_token"]))[0] == 403
    status, answer = await client.post(form | {"scope": "hubs:read everything"})
    assert (status, answer["error"]) == (400, "invalid_scope")
    home_assistant = {"client_id": "home-assistant", "client_secret": "home-assistant-secret"}
    status, answer = await client.post(form | home_assistant)
    assert (status, answer["error"]) == (400, "unauthorized_client")


async def test_userinfo_tells_what_was_granted(client: Client) -> None:
    client.simulator.applications["mine"] = Application("mine", "s", {"sub"}, [REDIRECT_URI])
    query = AUTHORIZE.partition("&scope=")[0].replace("home-assistant", "mine") + "&scope=sub"
    back = await client.simulator.approve(client.url(query))
    code = parse_qs(urlsplit(back).query)["code"][0]
    form = client.exchange_form(code, client_id="mine", client_secret="s")
    _, token = await client.post(form)
    assert (await client.userinfo(token["access_token"]))[1].keys() == {"sub"}


async def test_helpers_complain_about_an_error_page(client: Client) -> None:
    with pytest.raises(ValueError, match="state is missing"):
        await client.simulator.approve(client.url(AUTHORIZE.replace("&state=a%26b", "")))
