"""Tests of the simulator's fault injection."""

import asyncio
import json
import time

import aiohttp
import pytest

from .home import HUBS_PATH
from .simulator import Fault, Simulator
from .test_simulator import ApiClient, client, wait_until

__all__ = ["client"]


async def test_fault_status_applies_number_of_times(client: ApiClient) -> None:
    fault = Fault.status(429, {"Retry-After": "30"}, "slow down")
    client.simulator.add_fault("GET", HUBS_PATH, fault, times=2)
    for _ in range(2):
        assert await client.request("GET", f"{HUBS_PATH}?x=1") == (429, "slow down")
    assert (await client.request("GET", HUBS_PATH))[0] == 200
    assert [request.status for request in client.simulator.requests] == [429, 429, 200]


async def test_fault_applies_to_matching_method_and_path(client: ApiClient) -> None:
    client.simulator.add_fault("*", "/api/s*", Fault.status(500), times=None)
    client.simulator.add_fault("PUT", HUBS_PATH, Fault.status(500), times=None)
    assert (await client.request("GET", HUBS_PATH))[0] == 200
    assert (await client.request("POST", "/api/spaces/v1"))[0] == 500
    client.simulator.clear_faults()
    assert (await client.request("GET", "/api/spaces/v1"))[0] == 200


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault.empty(), b""),
        (Fault.body("null"), b"null"),
        (Fault.body("NaN"), b"NaN"),
        (Fault.nested(3), b"[[[]]]"),
        (Fault.bad_utf8(), b'[{"id": "1", "name": "K\xf6k"}]'),
        (Fault.huge(100_000), b"[" + b" " * 99_998 + b"]"),
    ],
)
async def test_fault_body_is_returned(client: ApiClient, fault: Fault, expected: bytes) -> None:
    client.simulator.add_fault("GET", HUBS_PATH, fault)
    async with client.session.get(f"{client.simulator.url}{HUBS_PATH}") as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        assert await response.read() == expected


async def test_fault_html_or_truncated_returns_invalid_json(client: ApiClient) -> None:
    client.simulator.add_fault("GET", HUBS_PATH, Fault.html())
    assert "<html>" in (await client.request("GET", HUBS_PATH))[1]
    client.simulator.add_fault("GET", HUBS_PATH, Fault.truncated())
    with pytest.raises(json.JSONDecodeError):
        await client.request("GET", HUBS_PATH)


async def test_fault_bad_gzip_returns_invalid_encoding(client: ApiClient) -> None:
    client.simulator.add_fault("GET", HUBS_PATH, Fault.bad_gzip())
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.request("GET", HUBS_PATH)


async def test_fault_redirect_is_followed(client: ApiClient) -> None:
    client.simulator.add_fault("GET", HUBS_PATH, Fault.redirect("/api/spaces/v1"))
    assert (await client.request("GET", HUBS_PATH))[1][0].keys() == {"id", "name"}
    client.simulator.add_fault("GET", HUBS_PATH, Fault.redirect_loop())
    with pytest.raises(aiohttp.TooManyRedirects):
        await client.request("GET", HUBS_PATH)


async def test_fault_reset_drops_connection(client: ApiClient) -> None:
    client.simulator.add_fault("PUT", "*", Fault.reset(), times=None)
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.request("PUT", HUBS_PATH)
    assert client.simulator.requests[-1].status is None


async def test_fault_slow_sends_headers_at_once(client: ApiClient) -> None:
    client.simulator.add_fault("GET", "/api/spaces/v1", Fault.slow(3600))
    async with client.session.get(
        f"{client.simulator.url}/api/spaces/v1",
        headers={"Authorization": f"Bearer {client.access_token}"},
    ) as response:
        client.simulator.clear_faults()
        assert len(await response.json()) == 4


async def test_fault_slow_delays_body(client: ApiClient) -> None:
    client.simulator.add_fault("GET", "/api/spaces/v1", Fault.slow(0.3))
    start = time.perf_counter()
    assert len((await client.request("GET", "/api/spaces/v1"))[1]) == 4
    assert time.perf_counter() - start >= 0.3


async def test_fault_delay_executes_request_at_once(client: ApiClient) -> None:
    client.simulator.settings.command_delay = 0
    hub = client.simulator.hub("Workshop")
    client.simulator.add_fault("PUT", "*", Fault.delay(3600))
    command = asyncio.create_task(client.put_state(hub, 3))
    await wait_until(lambda: hub.active == 3)
    assert not command.done()
    client.simulator.clear_faults()
    assert await command == 200


async def test_faults_cleared_end_hanging_and_delayed_requests(client: ApiClient) -> None:
    client.simulator.add_fault("POST", HUBS_PATH, Fault.hang())
    client.simulator.add_fault("GET", "/api/spaces/v1", Fault.delay(3600))
    hanging_request = asyncio.create_task(client.request("POST", HUBS_PATH))
    delayed_request = asyncio.create_task(client.request("GET", "/api/spaces/v1"))
    await wait_until(lambda: len(client.simulator.requests) == 2)
    assert not hanging_request.done()
    client.simulator.clear_faults()
    with pytest.raises(aiohttp.ClientConnectionError):
        await hanging_request
    assert (await delayed_request)[0] == 200


@pytest.mark.parametrize("fault", [Fault.hang(), Fault.delay(60), Fault.slow(60)])
@pytest.mark.parametrize("request_cancelled", [False, True])
async def test_stop_during_fault_ends_all_tasks(
    socket_enabled: None, fault: Fault, request_cancelled: bool
) -> None:
    tasks = asyncio.all_tasks()
    async with aiohttp.ClientSession() as session:
        async with Simulator() as simulator:
            client = ApiClient(simulator, session)
            await client.sign_in()
            simulator.add_fault("GET", HUBS_PATH, fault)
            simulator.settings.command_mode = "late"
            await client.put_state(simulator.hub("Boardroom"), 2)
            requests = len(simulator.requests)
            request = asyncio.create_task(client.request("GET", HUBS_PATH))
            await wait_until(lambda: len(simulator.requests) > requests)
            if request_cancelled:
                request.cancel()
                await asyncio.sleep(0.05)
            start = time.perf_counter()
        # Less than the faults, also on a busy machine.
        assert time.perf_counter() - start < 20
        await asyncio.gather(request, return_exceptions=True)
        assert asyncio.all_tasks() == tasks
