"""Tests of the simulator's webhook subscriptions and deliveries."""

from collections.abc import AsyncGenerator
import json
from typing import Any

from aiohttp import web
from freezegun.api import FrozenDateTimeFactory
import pytest

from .home import HUBS_PATH
from .test_simulator import ApiClient, client, wait_until

__all__ = ["client"]

EVENTS = ["hub:state:change", "hub:config:change", "hub:con:change", "hub:charging", "hub:temp"]


class Webhook:
    """A webhook server that records the deliveries."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.requests: list[web.Request] = []
        self.status = 200
        self.url = ""

    async def handle_request(self, request: web.Request) -> web.Response:
        """Record a delivery."""
        self.requests.append(request)
        self.bodies.append(json.loads(await request.read()))
        return web.Response(status=self.status)


@pytest.fixture
async def webhook(socket_enabled: None) -> AsyncGenerator[Webhook]:
    """Return a running webhook server."""
    webhook = Webhook()
    app = web.Application()
    app.add_routes([web.post("/api/webhook/{id}", webhook.handle_request)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    webhook.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield webhook
    await runner.cleanup()


async def subscribe(client: ApiClient, **changes: object) -> tuple[int, Any]:
    """Create a subscription. Return the status and JSON of the response."""
    body = {
        "event": EVENTS,
        "webhookUrl": "https://home.example.com/api/webhook/abc",
        "verificationToken": "secret",
    }
    return await client.request("POST", "/subscriptions/v1/", json=body | changes)


async def test_subscription_is_renewed_expires_and_is_deleted(
    client: ApiClient, freezer: FrozenDateTimeFactory
) -> None:
    client.simulator.settings.token_lifetime = 100_000
    await client.sign_in()
    status, body = await subscribe(client)
    assert status == 201
    path = f"/subscriptions/v1/{body['id']}"
    freezer.tick(7199)
    assert await client.request("PATCH", path) == (200, body)
    freezer.tick(7199)
    assert (await client.request("PATCH", path, json={}))[0] == 400
    assert (await client.request("PATCH", path))[0] == 200
    freezer.tick(7200)
    assert (await client.request("PATCH", path))[0] == 404
    _, body = await subscribe(client)
    path = f"/subscriptions/v1/{body['id']}"
    assert (await client.request("DELETE", path))[0] == 204
    assert (await client.request("DELETE", path))[0] == 404


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
async def test_subscription_with_invalid_body_is_rejected(
    client: ApiClient, changes: dict[str, object]
) -> None:
    assert (await subscribe(client, **changes))[0] == 400


async def test_delivery_is_sent_for_each_event_of_account(
    client: ApiClient, webhook: Webhook
) -> None:
    client.simulator.settings.deliver_to = webhook.url
    client.simulator.settings.delivery_token = None
    await subscribe(client)
    hub = client.simulator.hub("Focus room")
    hub.plug(2)
    await wait_until(lambda: len(webhook.bodies) == 2)
    state, connection = webhook.bodies
    assert state == {
        "event": "hub:state:change",
        "hubId": hub.id,
        "data": {"newState": hub.state},
    }
    assert connection["event"] == "hub:con:change"
    assert "newState" not in connection["data"]
    assert webhook.requests[0].path == "/api/webhook/abc"
    assert webhook.requests[0].headers["Content-Type"] == "application/vnd.ochno.event"
    await wait_until(
        lambda: [delivery.status for delivery in client.simulator.deliveries] == [200, 200]
    )
    hub.change_config(defaultport=3)
    hub.online = False
    client.simulator.hub("Elsewhere").press(1)
    await wait_until(lambda: len(webhook.bodies) == 3)
    assert webhook.bodies[2]["data"] == {"newConfig": hub.config}
    assert len(client.simulator.deliveries) == 3


async def test_delivery_is_sent_for_subscribed_events_only(
    client: ApiClient, webhook: Webhook
) -> None:
    client.simulator.settings.deliver_to = webhook.url
    await subscribe(client, event=["hub:con:change"])
    client.simulator.hub("Focus room").plug(2)
    await wait_until(lambda: webhook.bodies)
    assert [delivery.event for delivery in client.simulator.deliveries] == ["hub:con:change"]


async def test_delivery_to_other_machine_is_not_sent(client: ApiClient) -> None:
    await subscribe(client)
    client.simulator.hub("Focus room").press(2)
    await wait_until(lambda: client.simulator.deliveries[0].error)
    assert client.simulator.deliveries[0].error == "not delivered: not this machine"
    client.simulator.settings.deliver_to = "http://192.0.2.1"
    client.simulator.hub("Focus room").press(3)
    await wait_until(lambda: client.simulator.deliveries[1].error)
    assert client.simulator.deliveries[1].status is None


async def test_delivery_to_loopback_url_is_sent_unchanged(
    client: ApiClient, webhook: Webhook
) -> None:
    await subscribe(client, webhookUrl=webhook.url.replace("http:", "https:") + "/api/webhook/x")
    client.simulator.hub("Focus room").press(2)
    await wait_until(lambda: client.simulator.deliveries[0].error)
    error = client.simulator.deliveries[0].error  # the webhook server has no TLS
    assert error
    assert error.startswith("ClientConnector")


async def test_delivery_follows_settings(client: ApiClient, webhook: Webhook) -> None:
    settings = client.simulator.settings
    settings.deliver_to = webhook.url
    await subscribe(client)
    hub = client.simulator.hub("Focus room")
    settings.delivery_id = "serialNumber"
    settings.delivery_token = "verificationToken"
    settings.delivery_partial = True
    settings.delivery_content_type = "text/plain; charset=x-ochno"
    hub.press(1)
    await wait_until(lambda: len(webhook.bodies) == 1)
    assert webhook.bodies[0]["serialNumber"] == hub.serial
    assert webhook.bodies[0]["verificationToken"] == "secret"
    assert webhook.bodies[0]["data"]["newState"] == {"active": 1}
    assert webhook.requests[0].headers["Content-Type"] == "text/plain; charset=x-ochno"
    settings.delivery_id = "data.hubId"
    settings.delivery_token = "header"
    hub.press(2)
    await wait_until(lambda: len(webhook.bodies) == 2)
    assert webhook.bodies[1]["data"]["hubId"] == hub.id
    assert webhook.bodies[1].keys() == {"event", "data"}
    assert webhook.requests[1].headers["X-Verification-Token"] == "secret"
    settings.delivery_token = "query"
    hub.press(3)
    await wait_until(lambda: len(webhook.bodies) == 3)
    assert webhook.requests[2].query["verificationToken"] == "secret"


async def test_deliveries_are_dropped_repeated_reordered_or_delayed(
    client: ApiClient, webhook: Webhook
) -> None:
    settings = client.simulator.settings
    settings.deliver_to = webhook.url
    await subscribe(client, event=["hub:state:change"])
    hub = client.simulator.hub("Focus room")

    def active_ports() -> list[int]:
        return [body["data"]["newState"]["active"] for body in webhook.bodies]

    settings.delivery_drop = True
    hub.press(1)
    assert client.simulator.deliveries[0].error == "dropped by delivery_drop"
    settings.delivery_drop = False
    settings.delivery_repeat = 1
    hub.press(2)
    await wait_until(lambda: active_ports() == [2, 2])
    settings.delivery_repeat = 0
    settings.delivery_reorder = True
    hub.press(3)
    hub.press(4)
    await wait_until(lambda: active_ports() == [2, 2, 4, 3])
    settings.delivery_reorder = False
    settings.delivery_delay = 0.2
    hub.press(1)
    settings.delivery_delay = 0
    hub.press(2)
    await wait_until(lambda: active_ports() == [2, 2, 4, 3, 1, 2])


async def test_custom_delivery_has_custom_token_and_body(
    client: ApiClient, webhook: Webhook
) -> None:
    simulator = client.simulator
    simulator.settings.deliver_to = webhook.url
    simulator.settings.delivery_token = "header"
    assert await simulator.deliver("Boardroom", "hub:temp", {}) == []
    await subscribe(client, event=["hub:state:change"])
    webhook.status = 418
    [delivery] = await simulator.deliver("Boardroom", "hub:temp", {"x": 1}, token="wrong")
    assert delivery.status == 418
    assert webhook.requests[0].headers["X-Verification-Token"] == "wrong"
    assert webhook.bodies[0]["data"] == {"x": 1}
    await simulator.deliver(simulator.hub("Boardroom"), "hub:temp", None, body="[]")
    assert webhook.bodies[1] == []


def assert_state_is_complete(state: dict[str, Any], active: int) -> None:
    """Assert that the vendor's demo client can replace its state of the Boardroom by this one."""
    assert type(state["active"]) is int
    assert state["active"] == active
    assert state["connected"] == [1, 0, 0, 0]
    assert {type(connected) for connected in state["connected"]} == {int}


async def test_requests_of_vendor_demo_succeed(client: ApiClient, webhook: Webhook) -> None:
    simulator = client.simulator
    simulator.settings.deliver_to = webhook.url
    simulator.settings.command_delay = 0
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    for path in ("/api/accounts/v1/groups", "/api/spaces/v1", HUBS_PATH):
        status, body = await client.request("GET", path, headers=headers)
        assert 200 <= status < 300
        assert isinstance(body, list)
    hub = simulator.hub("Boardroom")
    assert body[0]["id"] == hub.id
    assert body[0]["data"]["presence"] is True
    path = f"{HUBS_PATH}/{hub.id}"
    _, body = await client.request("GET", path, headers=headers)
    assert body["data"].keys() > {"state", "config", "connections"}
    assert_state_is_complete(body["data"]["state"], active=1)
    status, subscription = await subscribe(client)
    assert 200 <= status < 300
    command = {"activeport": 3}
    status, body = await client.request("PUT", f"{path}/state", headers=headers, json=command)
    assert 200 <= status < 300
    assert isinstance(body, dict)
    await wait_until(lambda: webhook.bodies)
    assert_state_is_complete(webhook.bodies[0]["data"]["newState"], active=3)
    path = f"/subscriptions/v1/{subscription['id']}"
    for method in ("PATCH", "DELETE"):
        status, _ = await client.request(method, path, headers=headers)
        assert 200 <= status < 300
