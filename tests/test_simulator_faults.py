"""The simulator's faults and its webhooks, and that it stops whatever is going on."""

import asyncio
from collections.abc import AsyncGenerator
import json
import time
from typing import Any

import aiohttp
from aiohttp import web
from freezegun.api import FrozenDateTimeFactory
import pytest

from .home import HUBS
from .simulator import Fault, Simulator
from .test_simulator import Client, client, until

__all__ = ["client"]

EVENTS = ["hub:state:change", "hub:config:change", "hub:con:change", "hub:charging", "hub:temp"]


# Faults


async def test_status_and_times(client: Client) -> None:
    fault = Fault.status(429, {"Retry-After": "30"}, "slow down")
    client.simulator.fail("GET", HUBS, fault, times=2)
    for _ in range(2):
        assert await client.call("GET", f"{HUBS}?x=1") == (429, "slow down")
    assert (await client.call("GET", HUBS))[0] == 200
    assert [request.status for request in client.simulator.requests] == [429, 429, 200]


async def test_what_is_matched(client: Client) -> None:
    client.simulator.fail("*", "/api/s*", Fault.status(500), times=None)
    client.simulator.fail("PUT", HUBS, Fault.status(500), times=None)
    assert (await client.call("GET", HUBS))[0] == 200
    assert (await client.call("POST", "/api/spaces/v1"))[0] == 500
    client.simulator.clear_faults()
    assert (await client.call("GET", "/api/spaces/v1"))[0] == 200


@pytest.mark.parametrize(
    ("fault", "wanted"),
    [
        (Fault.empty(), b""),
        (Fault.body("null"), b"null"),
        (Fault.body("NaN"), b"NaN"),
        (Fault.nested(3), b"[[[]]]"),
        (Fault.bad_utf8(), b'[{"id": "1", "name": "K\xf6k"}]'),
        (Fault.huge(100_000), b"[" + b" " * 99_998 + b"]"),
    ],
)
async def test_odd_bodies(client: Client, fault: Fault, wanted: bytes) -> None:
    client.simulator.fail("GET", HUBS, fault)
    async with client.session.get(f"{client.simulator.url}{HUBS}") as answer:
        assert answer.status == 200
        assert answer.content_type == "application/json"
        assert await answer.read() == wanted


async def test_html_and_truncated(client: Client) -> None:
    client.simulator.fail("GET", HUBS, Fault.html())
    assert "<html>" in (await client.call("GET", HUBS))[1]
    client.simulator.fail("GET", HUBS, Fault.truncated())
    with pytest.raises(json.JSONDecodeError):
        await client.call("GET", HUBS)


async def test_bad_gzip(client: Client) -> None:
    client.simulator.fail("GET", HUBS, Fault.bad_gzip())
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.call("GET", HUBS)


async def test_redirects(client: Client) -> None:
    client.simulator.fail("GET", HUBS, Fault.redirect("/api/spaces/v1"))
    assert (await client.call("GET", HUBS))[1][0].keys() == {"id", "name"}
    client.simulator.fail("GET", HUBS, Fault.redirect_loop())
    with pytest.raises(aiohttp.TooManyRedirects):
        await client.call("GET", HUBS)


async def test_reset(client: Client) -> None:
    client.simulator.fail("PUT", "*", Fault.reset(), times=None)
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.call("PUT", HUBS)
    assert client.simulator.requests[-1].status is None


async def test_slow_body(client: Client) -> None:
    client.simulator.fail("GET", "/api/spaces/v1", Fault.slow(0.3))
    start = time.perf_counter()
    async with client.session.get(
        f"{client.simulator.url}/api/spaces/v1", headers={"Authorization": f"Bearer {client.token}"}
    ) as answer:
        assert time.perf_counter() - start < 0.25
        assert len(await answer.json()) == 4
    assert time.perf_counter() - start >= 0.3


async def test_delay_acts_at_once(client: Client) -> None:
    client.simulator.settings.command_delay = 0
    hub = client.simulator.hub("Workshop")
    client.simulator.fail("PUT", "*", Fault.delay(0.2))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await client.put_state(hub, 3)
    assert hub.active == 3


async def test_clearing_lets_go(client: Client) -> None:
    client.simulator.fail("POST", HUBS, Fault.hang())
    client.simulator.fail("GET", "/api/spaces/v1", Fault.delay(60))
    hanging = asyncio.create_task(client.call("POST", HUBS))
    waiting = asyncio.create_task(client.call("GET", "/api/spaces/v1"))
    await asyncio.sleep(0.1)
    assert not hanging.done()
    client.simulator.clear_faults()
    with pytest.raises(aiohttp.ClientConnectionError):
        await hanging
    assert (await waiting)[0] == 200


@pytest.mark.parametrize("fault", [Fault.hang(), Fault.delay(60), Fault.slow(60)])
@pytest.mark.parametrize("gave_up", [False, True])
async def test_stop_is_quick_and_clean(socket_enabled: None, fault: Fault, gave_up: bool) -> None:
    before = asyncio.all_tasks()
    async with aiohttp.ClientSession() as session:
        async with Simulator() as simulator:
            client = Client(simulator, session)
            await client.sign_in()
            simulator.fail("GET", HUBS, fault)
            simulator.settings.command_mode = "late"
            await client.put_state(simulator.hub("Boardroom"), 2)
            caller = asyncio.create_task(client.call("GET", HUBS))
            await asyncio.sleep(0.1)
            if gave_up:
                caller.cancel()
                await asyncio.sleep(0.05)
            start = time.perf_counter()
        assert time.perf_counter() - start < 1
        await asyncio.gather(caller, return_exceptions=True)
        assert asyncio.all_tasks() == before


# Webhooks


class Webhook:
    """Somebody who listens."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.requests: list[web.Request] = []
        self.status = 200
        self.url = ""

    async def receive(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        self.bodies.append(json.loads(await request.read()))
        return web.Response(status=self.status)


@pytest.fixture
async def webhook(socket_enabled: None) -> AsyncGenerator[Webhook]:
    webhook = Webhook()
    app = web.Application()
    app.add_routes([web.post("/api/webhook/{id}", webhook.receive)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    webhook.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield webhook
    await runner.cleanup()


async def subscribe(client: Client, **changes: Any) -> tuple[int, Any]:
    body = {
        "event": EVENTS,
        "webhookUrl": "https://home.example.com/api/webhook/abc",
        "verificationToken": "secret",
    }
    return await client.call("POST", "/subscriptions/v1/", json=body | changes)


async def test_subscription_lives_and_lapses(
    client: Client, freezer: FrozenDateTimeFactory
) -> None:
    client.simulator.settings.token_lifetime = 100_000
    await client.sign_in()
    status, answer = await subscribe(client)
    assert status == 201
    path = f"/subscriptions/v1/{answer['id']}"
    freezer.tick(7199)
    assert await client.call("PATCH", path) == (200, answer)
    freezer.tick(7199)
    assert (await client.call("PATCH", path, json={}))[0] == 400
    assert (await client.call("PATCH", path))[0] == 200
    freezer.tick(7200)
    assert (await client.call("PATCH", path))[0] == 404
    _, answer = await subscribe(client)
    path = f"/subscriptions/v1/{answer['id']}"
    assert (await client.call("DELETE", path))[0] == 204
    assert (await client.call("DELETE", path))[0] == 404


@pytest.mark.parametrize(
    "changes",
    [
        {"event": []},
        {"event": "hub:temp"},
        {"event": ["hub:unknown"]},
        {"event": [[]]},
        {"webhookUrl": "http://example.com/x"},
        {"webhookUrl": "https://"},
        {"webhookUrl": 1},
        {"verificationToken": ""},
        {"verificationToken": None},
        {"extra": 1},
    ],
)
async def test_wrong_subscription(client: Client, changes: dict[str, Any]) -> None:
    assert (await subscribe(client, **changes))[0] == 400


async def test_delivery(client: Client, webhook: Webhook) -> None:
    client.simulator.settings.deliver_to = webhook.url
    await subscribe(client)
    hub = client.simulator.hub("Focus room")
    hub.plug(2)
    await until(lambda: len(webhook.bodies) == 2)
    state, connection = webhook.bodies
    assert state == {
        "event": "hub:state:change",
        "hubId": hub.id,
        "data": {"newState": {"connected": [0, 1, 0, 0], "active": 2}},
    }
    assert connection["event"] == "hub:con:change"
    assert "newState" not in connection["data"]
    assert webhook.requests[0].path == "/api/webhook/abc"
    assert webhook.requests[0].headers["Content-Type"] == "application/vnd.ochno.event"
    await until(lambda: [one.status for one in client.simulator.deliveries] == [200, 200])
    hub.change_config(defaultport=3)
    hub.online = False
    client.simulator.hub("Elsewhere").press(1)
    await until(lambda: len(webhook.bodies) == 3)
    assert webhook.bodies[2]["data"] == {"newConfig": {"defaultport": 3}}
    assert len(client.simulator.deliveries) == 3


async def test_only_what_was_subscribed_to(client: Client, webhook: Webhook) -> None:
    client.simulator.settings.deliver_to = webhook.url
    await subscribe(client, event=["hub:con:change"])
    client.simulator.hub("Focus room").plug(2)
    await until(lambda: webhook.bodies)
    assert [one.event for one in client.simulator.deliveries] == ["hub:con:change"]


async def test_nothing_leaves_this_machine(client: Client) -> None:
    await subscribe(client)
    client.simulator.hub("Focus room").press(2)
    await until(lambda: client.simulator.deliveries[0].error)
    assert client.simulator.deliveries[0].error == "not delivered: not this machine"
    client.simulator.settings.deliver_to = "http://192.0.2.1"
    client.simulator.hub("Focus room").press(3)
    await until(lambda: client.simulator.deliveries[1].error)
    assert client.simulator.deliveries[1].status is None


async def test_loopback_webhook_is_called_as_it_is(client: Client, webhook: Webhook) -> None:
    await subscribe(client, webhookUrl=webhook.url.replace("http:", "https:") + "/api/webhook/x")
    client.simulator.hub("Focus room").press(2)
    await until(lambda: client.simulator.deliveries[0].error)
    error = client.simulator.deliveries[0].error  # it is called, but this one has no TLS
    assert error
    assert error.startswith("ClientConnector")


async def test_variants_of_a_delivery(client: Client, webhook: Webhook) -> None:
    settings = client.simulator.settings
    settings.deliver_to = webhook.url
    await subscribe(client)
    hub = client.simulator.hub("Focus room")
    settings.delivery_id = "serialNumber"
    settings.delivery_token = "verificationToken"
    settings.delivery_partial = False
    settings.delivery_content_type = "text/plain; charset=x-ochno"
    hub.press(1)
    await until(lambda: len(webhook.bodies) == 1)
    assert webhook.bodies[0]["serialNumber"] == hub.serial
    assert webhook.bodies[0]["verificationToken"] == "secret"
    assert webhook.bodies[0]["data"]["newState"] == hub.state
    assert webhook.requests[0].headers["Content-Type"] == "text/plain; charset=x-ochno"
    settings.delivery_id = "data.hubId"
    settings.delivery_token = "header"
    hub.press(2)
    await until(lambda: len(webhook.bodies) == 2)
    assert webhook.bodies[1]["data"]["hubId"] == hub.id
    assert webhook.bodies[1].keys() == {"event", "data"}
    assert webhook.requests[1].headers["X-Verification-Token"] == "secret"
    settings.delivery_token = "query"
    hub.press(3)
    await until(lambda: len(webhook.bodies) == 3)
    assert webhook.requests[2].query["verificationToken"] == "secret"


async def test_unreliable_deliveries(client: Client, webhook: Webhook) -> None:
    settings = client.simulator.settings
    settings.deliver_to = webhook.url
    await subscribe(client, event=["hub:state:change"])
    hub = client.simulator.hub("Focus room")

    def active() -> list[int]:
        return [body["data"]["newState"]["active"] for body in webhook.bodies]

    settings.delivery_drop = True
    hub.press(1)
    assert client.simulator.deliveries[0].error == "dropped by delivery_drop"
    settings.delivery_drop = False
    settings.delivery_repeat = 1
    hub.press(2)
    await until(lambda: active() == [2, 2])
    settings.delivery_repeat = 0
    settings.delivery_reorder = True
    hub.press(3)
    hub.press(4)
    await until(lambda: active() == [2, 2, 4, 3])
    settings.delivery_reorder = False
    settings.delivery_delay = 0.2
    hub.press(1)
    settings.delivery_delay = 0
    hub.press(2)
    await until(lambda: active() == [2, 2, 4, 3, 1, 2])


async def test_forged_delivery(client: Client, webhook: Webhook) -> None:
    simulator = client.simulator
    simulator.settings.deliver_to = webhook.url
    simulator.settings.delivery_token = "header"
    assert await simulator.deliver("Boardroom", "hub:temp", {}) == []
    await subscribe(client, event=["hub:state:change"])
    webhook.status = 418
    (sent,) = await simulator.deliver("Boardroom", "hub:temp", {"x": 1}, token="wrong")
    assert sent.status == 418
    assert webhook.requests[0].headers["X-Verification-Token"] == "wrong"
    assert webhook.bodies[0]["data"] == {"x": 1}
    await simulator.deliver(simulator.hub("Boardroom"), "hub:temp", None, body="[]")
    assert webhook.bodies[1] == []


async def test_what_the_vendors_demo_does(client: Client, webhook: Webhook) -> None:
    simulator = client.simulator
    simulator.settings.deliver_to = webhook.url
    simulator.settings.command_delay = 0
    for path in ("/api/accounts/v1/groups", HUBS, "/api/spaces/v1"):
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        status, answer = await client.call("GET", path, headers=headers)
        assert status == 200
        assert isinstance(answer, list)
    hub = simulator.hub("Boardroom")
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    status, answer = await client.call("GET", f"{HUBS}/{hub.id}", headers=headers)
    assert answer["data"].keys() > {"state", "config", "connections"}
    status, subscription = await subscribe(client)
    assert status == 201
    assert await client.put_state(hub, 3) == 200
    await until(lambda: webhook.bodies)
    assert webhook.bodies[0]["data"]["newState"] == {"active": 3}
    path = f"/subscriptions/v1/{subscription['id']}"
    json_type = {"Content-Type": "application/json"}
    assert (await client.call("PATCH", path, headers=json_type))[0] == 200
    assert (await client.call("DELETE", path, headers=json_type))[0] == 204
