"""Tests of the simulator's control API, web page and command line."""

import asyncio
import json
import os
from pathlib import Path
import re
import signal
import socket
import sys

import aiohttp
import pytest

from .simulator import Fault, Simulator
from .test_simulator import ApiClient, client

__all__ = ["client"]

CONTRIBUTING = Path(__file__).parent.parent / "CONTRIBUTING.md"


async def test_hub_action_changes_hub(client: ApiClient) -> None:
    hub = client.simulator.hub("Workshop")
    status, summary = await client.request_control("POST", "hubs/Workshop/plug", {"port": 9})
    assert (status, summary["active"], hub.plugged) == (200, 9, [9])
    await client.request_control("POST", f"hubs/{hub.id}/press", {"port": 2})
    assert hub.active == 2
    await client.request_control("POST", f"hubs/{hub.id}/unplug", {"port": 9})
    assert hub.plugged == []
    await client.request_control("POST", f"hubs/{hub.id}/overheat", {"on": True})
    assert hub.state["otp"] == "warning"
    await client.request_control("POST", f"hubs/{hub.id}/online", {"online": False})
    assert hub.online is False
    for path, body in (
        ("plug", {"port": 11}),
        ("plug", {"port": "1"}),
        ("plug", {}),
        ("online", {"online": 1}),
    ):
        status, error = await client.request_control("POST", f"hubs/{hub.id}/{path}", body)
        assert (status, error["code"]) == (400, "bad_request")
    assert (await client.request_control("POST", f"hubs/{hub.id}/dance", {}))[0] == 404
    assert (await client.request_control("POST", "hubs/none/plug", {"port": 1}))[0] == 404


async def test_hub_is_added_and_removed(client: ApiClient) -> None:
    status, summary = await client.request_control("POST", "hubs", {"name": "New", "ports": 2})
    assert status == 201
    assert client.simulator.hub("New").id == summary["id"]
    assert (await client.request_control("DELETE", "hubs/New"))[0] == 204
    assert (await client.request_control("DELETE", "hubs/New"))[0] == 404
    for body in ({}, {"name": 1}, {"name": "N", "x": 1}, {"name": "N", "account": "none"}):
        assert (await client.request_control("POST", "hubs", body))[0] == 400
    assert (await client.request_control("POST", "hubs", {"name": "N", "ports": 0}))[0] == 400


async def test_settings_are_validated_and_changed(client: ApiClient) -> None:
    valid = {"token_lifetime": 5, "delivery_drop": 0.5, "deliver_to": None, "rotate": False}
    status, settings = await client.request_control("POST", "settings", valid)
    assert status == 200
    assert settings.items() >= valid.items()
    assert client.simulator.settings.delivery_drop == 0.5
    for invalid in (
        {"rotate": True, "unknown": 1},
        {"rotate": "yes"},
        {"token_lifetime": True},
        {"delivery_repeat": 1.5},
        {"command_mode": "explode"},
        {"lifetime_form": None},
        {"deliver_to": 5},
    ):
        status, error = await client.request_control("POST", "settings", invalid)
        assert status == 400
        assert error["message"].endswith(".")
    assert client.simulator.settings.rotate is False


async def test_faults_and_access_are_controlled(client: ApiClient) -> None:
    fault = {"method": "GET", "path": "/api/*", "kind": "status", "code": 503}
    fault |= {"headers": {"Retry-After": "7"}, "times": None}
    assert (await client.request_control("POST", "faults", fault))[0] == 201
    assert (await client.request("GET", "/api/hubs/v1"))[0] == 503
    assert (await client.request_control("DELETE", "faults"))[0] == 204
    assert (await client.request("GET", "/api/hubs/v1"))[0] == 200
    for invalid in (
        {"kind": "from_json"},
        {"code": "x"},
        {"extra": 1},
        {"times": "x"},
        {"path": 1},
    ):
        assert (await client.request_control("POST", "faults", fault | invalid))[0] == 400
    del fault["code"]
    assert (await client.request_control("POST", "faults", fault))[0] == 400
    assert (await client.request_control("POST", "expire"))[0] == 204
    assert (await client.request("GET", "/api/hubs/v1"))[0] == 401
    await client.sign_in()
    assert (await client.request_control("POST", "revoke"))[0] == 204
    assert (await client.request("GET", "/api/hubs/v1"))[0] == 401


async def test_fault_command_of_contributing_guide_works(client: ApiClient) -> None:
    [fault] = re.findall("simulator/faults --json '(.*)'", CONTRIBUTING.read_text())
    assert (await client.request_control("POST", "faults", json.loads(fault)))[0] == 201
    assert (await client.request("GET", "/api/hubs/v1"))[0] == 503
    assert (await client.request_control("DELETE", "faults"))[0] == 204
    assert (await client.request("GET", "/api/hubs/v1"))[0] == 200


async def test_state_has_rooms_settings_and_counts(client: ApiClient) -> None:
    await client.request("GET", "/api/spaces/v1")
    _, state = await client.request_control("GET", "state")
    assert [room["name"] for room in state["rooms"]][:2] == ["Boardroom", "Focus room"]
    assert state["rooms"][0]["hubs"][0]["active"] == 1
    assert (state["requests"], state["settings"]["command_mode"]) == (1, "apply")


async def test_page_gets_event_when_hub_changes(client: ApiClient) -> None:
    status, text = await client.request("GET", "/")
    assert status == 200
    assert "Ochno Operated (simulated)" in text
    async with client.session.get(f"{client.simulator.url}/simulator/events") as events:
        assert await events.content.readline() == b"data: 1\n"
        client.simulator.hub("Boardroom").plug(2)
        await events.content.readline()
        assert await events.content.readline() == b"data: 2\n"


async def test_faults_do_not_affect_control_api(client: ApiClient) -> None:
    client.simulator.add_fault("*", "*", Fault.status(500), times=None)
    assert (await client.request_control("GET", "state"))[0] == 200
    assert (await client.request("GET", "/"))[0] == 200
    assert (await client.request("GET", "/api/hubs/v1"))[0] == 500


async def test_simulator_restarted_keeps_port_and_data(client: ApiClient) -> None:
    url = client.simulator.url
    client.simulator.hub("Focus room").plug(1)
    await client.simulator.stop()
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.request("GET", "/api/hubs/v1")
    await client.simulator.start()
    assert client.simulator.url == url
    assert (await client.request("GET", "/api/hubs/v1"))[1][1]["data"]["state"]["active"] == 1


async def test_hub_list_of_3000_hubs_has_all_hubs(socket_enabled: None) -> None:
    async with Simulator(hubs=3000) as simulator, aiohttp.ClientSession() as session:
        client = ApiClient(simulator, session)
        await client.sign_in()
        _, hubs = await client.request("GET", "/api/hubs/v1")
        assert len(hubs) == 3004


async def test_command_line_starts_and_stops_simulator(socket_enabled: None) -> None:
    command = (sys.executable, "-m", "tests.simulator", "--port")
    root = Path(__file__).parent.parent
    process = await asyncio.create_subprocess_exec(
        *command, "0", "--hubs", "2", cwd=root, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    url = (await process.stdout.readline()).decode().split()[-1]
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/simulator/state") as response:
            assert len((await response.json())["rooms"]) == 7
        port = url.rpartition(":")[2]
        second = await asyncio.create_subprocess_exec(
            *command, port, cwd=root, stderr=asyncio.subprocess.PIPE
        )
        _, error = await second.communicate()
        assert error.decode() == f"Port {port} on 127.0.0.1 is in use already.{os.linesep}"
        assert second.returncode == 1
        async with session.get(f"{url}/simulator/events"):
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0


async def test_start_with_port_in_use_raises_error(socket_enabled: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        simulator = Simulator(port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            await simulator.start()
        await simulator.stop()
