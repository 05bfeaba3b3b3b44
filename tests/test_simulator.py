"""Tests of the simulator's REST API."""

import asyncio
import base64
from collections.abc import AsyncGenerator, Callable
import hashlib
from typing import Any

import aiohttp
import pytest

from .simulator import SimHub, Simulator

ALL_SCOPES = "sub email accounts:read accounts:write hubs:read hubs:write"


class ApiClient:
    """An HTTP client of the API with an access token of the server-to-server application."""

    def __init__(self, simulator: Simulator, session: aiohttp.ClientSession) -> None:
        self.simulator = simulator
        self.session = session
        self.access_token = ""

    async def sign_in(self, scope: str = ALL_SCOPES) -> None:
        """Get an access token."""
        form = {
            "grant_type": "client_credentials",
            "client_id": "server-to-server",
            "client_secret": "server-to-server-secret",
            "scope": scope,
        }
        url = f"{self.simulator.url}/identity/oauth/v2/token"
        async with self.session.post(url, data=form) as response:
            self.access_token = (await response.json())["access_token"]

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        json: object = None,
        data: str | bytes | None = None,
    ) -> tuple[int, Any]:
        """Send a request. Return the status and the JSON or text of the response."""
        headers = {"Authorization": f"Bearer {self.access_token}"} | (headers or {})
        url = f"{self.simulator.url}{path}"
        async with self.session.request(
            method, url, headers=headers, json=json, data=data
        ) as response:
            is_json = response.content_type == "application/json"
            return response.status, await response.json() if is_json else await response.text()

    async def request_control(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Send a request to the control API."""
        return await self.request(method, f"/simulator/{path}", json=body)

    async def put_state(self, hub: SimHub, port: object) -> int:
        """Send a command that selects the active port. Return the status."""
        path = f"/api/hubs/v1/{hub.id}/state"
        return (await self.request("PUT", path, json={"activeport": port}))[0]


@pytest.fixture
async def client(socket_enabled: None) -> AsyncGenerator[ApiClient]:
    """Return a client with all scopes of a running simulator."""
    async with Simulator() as simulator, aiohttp.ClientSession() as session:
        client = ApiClient(simulator, session)
        await client.sign_in()
        simulator.requests.clear()
        yield client


async def wait_until(condition: Callable[[], object]) -> None:
    """Wait at most 30 seconds until the condition is true."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


# REST


async def test_database_new_has_demo_data(client: ApiClient) -> None:
    _, hubs = await client.request("GET", "/api/hubs/v1")
    assert [hub["name"] for hub in hubs] == ["Boardroom", "Focus room", "Workshop", "Reception"]
    board, focus, workshop, reception = (hub["data"] for hub in hubs)
    assert board["state"]["connected"] == [1, 0, 0, 0]
    assert (board["state"]["active"], board["state"]["mtrport"]) == (1, 1)
    assert (focus["product"], focus["state"]["mtrmode"]) == ("O-PC-3", False)
    assert len(workshop["state"]["connected"]) == 10
    assert reception["presence"] is False
    _, spaces = await client.request("GET", "/api/spaces/v1")
    assert [space["name"] for space in spaces] == [hub["name"] for hub in hubs]
    assert [[space["id"]] for space in spaces] == [hub["spaceId"] for hub in hubs]
    assert await client.request("GET", f"/api/hubs/v1/{hubs[0]['id']}") == (200, hubs[0])


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer at-made-up", "Basic {token}", "{token}"])
async def test_request_without_valid_token_is_unauthorized(client: ApiClient, header: str) -> None:
    headers = {"Authorization": header.format(token=client.access_token)}
    for path in ("/api/hubs/v1", "/api/spaces/v1", "/api/accounts/v1"):
        status, error = await client.request("GET", path, headers=headers)
        assert (status, error["code"]) == (401, "unauthorized")
        assert error["message"]


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/api/accounts/v1", "accounts:read"),
        ("GET", "/api/accounts/v1/groups", "accounts:read"),
        ("GET", "/api/hubs/v1", "hubs:read"),
        ("GET", "/api/hubs/v1/{hub}", "hubs:read"),
        ("PUT", "/api/hubs/v1/{hub}/state", "hubs:write"),
        ("PUT", "/api/hubs/v1/{hub}/config", "hubs:write"),
        ("POST", "/subscriptions/v1/", "hubs:read"),
    ],
)
async def test_request_without_scope_is_forbidden(
    client: ApiClient, method: str, path: str, scope: str
) -> None:
    await client.sign_in(" ".join(set(ALL_SCOPES.split()) - {scope}))
    path = path.format(hub=client.simulator.hub("Boardroom").id)
    status, error = await client.request(method, path)
    assert (status, error["code"]) == (403, "forbidden")
    assert (await client.request("GET", "/api/spaces/v1"))[0] == 200


async def test_hub_of_other_account_is_not_found(client: ApiClient) -> None:
    hub = client.simulator.hub("Elsewhere")
    assert (await client.request("GET", f"/api/hubs/v1/{hub.id}"))[0] == 404
    assert await client.put_state(hub, 1) == 404


async def test_account_is_object_or_array(client: ApiClient) -> None:
    _, account = await client.request("GET", "/api/accounts/v1")
    assert account["name"] == "Example Organisation"
    client.simulator.settings.accounts_form = "array"
    assert await client.request("GET", "/api/accounts/v1") == (200, [account])
    _, groups = await client.request("GET", "/api/accounts/v1/groups")
    assert groups[0].keys() == {"id", "name"}


async def test_hub_json_follows_settings(client: ApiClient) -> None:
    settings = client.simulator.settings
    settings.list_state = False
    settings.space_key = "spaceIds"
    settings.serial_at = "top"
    hub = (await client.request("GET", "/api/hubs/v1"))[1][0]
    assert hub["data"]["presence"] is True
    assert "serialNumber" in hub
    assert "spaceIds" in hub
    assert hub["data"].keys().isdisjoint({"serial", "state", "config", "connections"})
    settings.serial_at = "data"
    _, hub = await client.request("GET", f"/api/hubs/v1/{hub['id']}")
    assert hub["data"].keys() > {"serial", "state", "config", "connections"}
    assert "serialNumber" not in hub


async def test_hub_json_can_be_changed_and_replaced(client: ApiClient) -> None:
    hub = client.simulator.hub("Boardroom")
    hub.extra = {"data": {"state": {"new": 1}}, "colour": "blue"}
    hub.omit = {"data.config", "data.state.otp", "name", "no.such.thing"}
    client.simulator.hub("Workshop").json_override = "not even an object"
    _, hubs = await client.request("GET", "/api/hubs/v1")
    assert hubs[0]["colour"] == "blue"
    assert hubs[0]["data"]["state"]["new"] == 1
    assert "config" not in hubs[0]["data"]
    assert "otp" not in hubs[0]["data"]["state"]
    assert "name" not in hubs[0]
    assert hubs[2] == "not even an object"
    assert "new" not in hub.state
    assert hub.state["otp"] == "normal"


async def test_hub_with_unusual_json_values_is_returned(client: ApiClient) -> None:
    hub = client.simulator.hub("Boardroom")
    hub.extra = {"name": "\ud800", "big": 10**400}
    hub.state["otp"] = "\udfff"
    for path in ("/api/hubs/v1", f"/api/hubs/v1/{hub.id}", "/simulator/state"):
        assert (await client.request("GET", path))[0] == 200
    _, hub_json = await client.request("GET", f"/api/hubs/v1/{hub.id}")
    assert (hub_json["name"], hub_json["big"]) == ("\ud800", 10**400)


async def test_hub_list_unchanged_is_not_modified(client: ApiClient) -> None:
    url = f"{client.simulator.url}/api/hubs/v1"
    auth = {"Authorization": f"Bearer {client.access_token}"}
    async with client.session.get(url, headers=auth) as response:
        body, tag = await response.read(), response.headers["ETag"]
        assert response.headers["Content-Type"] == "application/json; charset=utf-8"
        assert response.headers["X-Powered-By"] == "Express"
    digest = base64.b64encode(hashlib.sha1(body).digest()).decode()[:27]
    assert tag == f'W/"{len(body):x}-{digest}"'
    for known in (tag, f'"other", {tag}', "*", tag.removeprefix("W/")):
        async with client.session.get(url, headers=auth | {"If-None-Match": known}) as response:
            assert response.status == 304
            assert await response.read() == b""
            assert response.headers["ETag"] == tag
    client.simulator.hub("Focus room").plug(1)
    async with client.session.get(url, headers=auth | {"If-None-Match": tag}) as response:
        assert response.status == 200
    async with client.session.get(url, headers={"If-None-Match": "*"}) as response:
        assert response.status == 401
        assert "ETag" not in response.headers


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/x"), ("DELETE", "/api/hubs/v1"), ("POST", "/subscriptions/v1"), ("GET", "/a")],
)
async def test_request_to_unknown_path_is_not_found(
    client: ApiClient, method: str, path: str
) -> None:
    status, text = await client.request(method, path)
    assert status == 404
    assert f"Cannot {method} {path}" in text


async def test_request_is_recorded(client: ApiClient) -> None:
    await client.request("GET", "/api/hubs/v1?a=%20b")
    await client.request("POST", "/nowhere", data="text", headers={"X-Mine": "1"})
    first, second = client.simulator.requests
    assert (first.method, first.path, first.status) == ("GET", "/api/hubs/v1?a=%20b", 200)
    assert (second.body, second.headers["x-mine"], second.status) == ("text", "1", 404)


# Commands


async def test_commands_are_executed_after_delay_in_order(client: ApiClient) -> None:
    hub = client.simulator.hub("Workshop")
    client.simulator.settings.command_delay = 0.05
    for port in (3, 10, 7):
        assert await client.put_state(hub, port) == 200
    assert hub.active == 0
    client.simulator.settings.command_delay = 0
    assert await client.put_state(hub, 2) == 200
    seen = []
    client.simulator.database.listeners.append(lambda hub, *_: seen.append(hub.active))
    await wait_until(lambda: hub.active == 2)
    assert seen == [3, 10, 7, 2]
    assert await client.put_state(hub, 0) == 200
    await wait_until(lambda: hub.active == 0)


@pytest.mark.parametrize("port", [-1, 5, "1", 1.0, True, None])
async def test_command_with_invalid_port_is_rejected(client: ApiClient, port: object) -> None:
    assert await client.put_state(client.simulator.hub("Boardroom"), port) == 400


async def test_command_with_invalid_body_is_rejected(client: ApiClient) -> None:
    path = f"/api/hubs/v1/{client.simulator.hub('Boardroom').id}/state"
    json = {"Content-Type": "application/json"}
    for body in (b"", b"{", b"[]", b"{}", b'{"activeport":1,"x":1}', b'{"active":1}'):
        assert (await client.request("PUT", path, data=body, headers=json))[0] == 400
    assert (await client.request("PUT", path, data=b'{"activeport":1}'))[0] == 400
    good = await client.request("PUT", path, data=b'{"activeport":1}', headers=json)
    assert good == (200, {})


async def test_command_follows_command_mode(client: ApiClient) -> None:
    hub = client.simulator.hub("Boardroom")
    settings = client.simulator.settings
    settings.command_delay, settings.late_delay = 0, 0.5
    settings.command_mode = "refuse"
    assert await client.put_state(hub, 2) == 409
    settings.command_mode = "lose"
    assert await client.put_state(hub, 3) == 200
    await asyncio.sleep(0.05)
    assert hub.active == 1
    settings.command_mode = "late"
    assert await client.put_state(hub, 4) == 200
    assert hub.active == 1
    await wait_until(lambda: hub.active == 4)
    assert await client.put_state(client.simulator.hub("Reception"), 1) == 409


async def test_config_is_validated_and_changed(client: ApiClient) -> None:
    hub = client.simulator.hub("Boardroom")
    path = f"/api/hubs/v1/{hub.id}/config"
    good = {"defaultport": 2, "autoswitchconnect": "every", "inactivedisabled": 1}
    assert await client.request("PUT", path, json=good) == (200, {})
    assert hub.config["defaultport"] == 2
    assert hub.config["hdmiceccontrol"] is True
    wrong: list[dict[str, object]] = [
        {},
        {"unknown": 1},
        {"defaultport": 5},
        {"buttonoffdefault": 1},
        {"autoswitchdisconnect": "every"},
        {"autoswitchconnect": "every", "inactivedisabled": [1]},
    ]
    for body in wrong:
        assert (await client.request("PUT", path, json=body))[0] == 400
    hub.online = False
    status, error = await client.request("PUT", path, json={"defaultport": 1})
    assert (status, error["code"]) == (409, "offline")
