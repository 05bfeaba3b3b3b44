"""Run Home Assistant and the simulator, link them as a browser would, and tell what happens."""

import argparse
import asyncio
from contextlib import AsyncExitStack
import re
import signal
import sys

import aiohttp
from house import DemoError, House, Socket, add_credentials, say, start


def natural_order(text: str) -> list[tuple[str, int]]:
    """Return what sorts port 10 after port 9."""
    return [(word, int(part or 0)) for word, part in re.findall(r"(\D+)(\d*)", text)]


async def show_devices(websocket: Socket) -> dict[str, str]:
    """Print the devices with their states; return the names of the entities."""
    devices = await websocket.command("config/device_registry/list")
    areas = {
        area["area_id"]: area["name"]
        for area in await websocket.command("config/area_registry/list")
    }
    entities = await websocket.command("config/entity_registry/list")
    states = {state["entity_id"]: state["state"] for state in await websocket.command("get_states")}
    names: dict[str, str] = {}
    for device in sorted(devices, key=lambda device: (device["entry_type"] or "", device["name"])):
        own = [
            entity
            for entity in entities
            if entity["device_id"] == device["id"]
            and entity["platform"] == "ochno"
            and entity["disabled_by"] is None
        ]
        if not own:
            continue
        area = areas.get(device["area_id"])
        say(f"\n{device['name']} ({device['model']}{f', {area}' if area else ''})")
        for entity in sorted(own, key=lambda entity: natural_order(entity["entity_id"])):
            name = entity["original_name"] or entity["entity_id"]
            names[entity["entity_id"]] = f"{device['name']}: {name}"
            say(f"  {name:<28} {states.get(entity['entity_id'], '-')}")
    return names


async def tell_changes(websocket: Socket, names: dict[str, str]) -> None:
    """Print one line per state change, for as long as Home Assistant runs."""
    await websocket.command("subscribe_events", event_type="state_changed")
    await websocket.command("subscribe_events", event_type="automation_triggered")
    async for message in websocket.connection:
        event = message.json().get("event") or {}
        data, time = event.get("data") or {}, str(event.get("time_fired"))[11:19]
        if event.get("event_type") == "automation_triggered":
            say(f"{time}  Automation: {data['name']}")
            continue
        old, new = data.get("old_state"), data.get("new_state")
        if not old or not new or old["state"] == new["state"]:
            continue
        if (entity_id := data["entity_id"]) in names:
            say(f"{time}  {names[entity_id]}: {old['state']} → {new['state']}")


async def demo(*, manual: bool, control: bool, push: bool) -> None:
    house = House()
    if house.folder.exists():
        say("A fresh Home Assistant: what was made in the last demo is gone.")
    house.prepare(
        "https://home.example" if push else house.home_assistant, dashboard=control or manual
    )
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        home_assistant, websocket = await start(stack, session, house)
        if manual:
            say(
                f"\nOpen {house.home_assistant} (user demo, password demo), "
                "add the integration Ochno.\n"
                f"Server: {house.simulator}\n"
                "Client ID: home-assistant, client secret: home-assistant-secret\n"
                "Waiting until it is there …"
            )
            while not await websocket.command("config_entries/get", domain="ochno"):
                await asyncio.sleep(1)
        else:
            say("Linking the account: credentials, sign-in, approval …")
            await add_credentials(websocket)
            await home_assistant.link("control" if control else "read")
        names = await show_devices(websocket)
        say(f"\nHome Assistant: {house.home_assistant} (user demo, password demo)")
        say(f"The rooms:      {house.simulator} (plug in laptops, press buttons)")
        say("Elsewhere is another organisation's: Home Assistant does not get to see it.")
        within = "at once" if push else "within 30 seconds, with --push at once"
        say(f"Ctrl-C ends both. State changes, {within}:\n")
        await tell_changes(websocket, names)
        raise DemoError("Home Assistant ended by itself; see .demo/hass.log.")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manual", action="store_true", help="leave the linking to you")
    parser.add_argument("--control", action="store_true", help="let Home Assistant switch ports")
    parser.add_argument(
        "--push", action="store_true", help="let changes arrive at once, as from the internet"
    )
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        asyncio.run(demo(**vars(arguments)))
    except DemoError as err:
        say(f"demo: {err}")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
