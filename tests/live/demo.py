"""Demo: Home Assistant with a linked account of the simulator; prints devices and state changes."""

import argparse
import re
import sys

import aiohttp

from .building import CONFIGURATION, DASHBOARD_PATH, add_dashboard, add_floors, show_rooms
from .environment import PUBLIC_URL, CommandError, Environment, run_command, say
from .frontend import Frontend, start_home_assistant


def natural_order(text: str) -> list[tuple[str, int]]:
    """Return a sort key that sorts port 10 after port 9."""
    return [(word, int(part or 0)) for word, part in re.findall(r"(\D+)(\d*)", text)]


async def show_devices(frontend: Frontend) -> dict[str, str]:
    """Print the devices with their states, and return the name of each entity."""
    devices = await frontend.command("config/device_registry/list")
    areas = {
        area["area_id"]: area["name"]
        for area in await frontend.command("config/area_registry/list")
    }
    entities = await frontend.command("config/entity_registry/list")
    states = {state["entity_id"]: state["state"] for state in await frontend.command("get_states")}
    names: dict[str, str] = {}
    for device in sorted(devices, key=lambda device: (device["entry_type"] or "", device["name"])):
        enabled = [
            entity
            for entity in entities
            if entity["device_id"] == device["id"]
            and entity["platform"] == "ochno"
            and entity["disabled_by"] is None
        ]
        if not enabled:
            continue
        area = areas.get(device["area_id"])
        say(f"\n{device['name']} ({device['model']}{f', {area}' if area else ''})")
        for entity in sorted(enabled, key=lambda entity: natural_order(entity["entity_id"])):
            name = entity["original_name"] or entity["entity_id"]
            names[entity["entity_id"]] = f"{device['name']}: {name}"
            say(f"  {name:<28} {states.get(entity['entity_id'], '-')}")
    return names


async def show_changes(frontend: Frontend, names: dict[str, str]) -> None:
    """Print each state change and each automation that runs, until Home Assistant stops."""
    await frontend.command("subscribe_events", event_type="state_changed")
    await frontend.command("subscribe_events", event_type="automation_triggered")
    async for message in frontend.websocket:
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


async def run_demo(environment: Environment, *, manual: bool, control: bool, push: bool) -> None:
    """Run the demo until Home Assistant stops."""
    old_folder = environment.folder.exists()
    environment.prepare(PUBLIC_URL if push else environment.home_assistant_url, CONFIGURATION)
    if old_folder:
        say("The data of the last demo on this port was deleted.")
    say("Starting the simulator of Ochno Operated …")
    async with (
        aiohttp.ClientSession() as session,
        environment.run_simulator(session, building=True),
        start_home_assistant(session, environment) as frontend,
    ):
        await add_floors(frontend)
        await add_dashboard(frontend)
        if manual:
            say(
                f"\nOpen {environment.home_assistant_url} (user demo, password demo), "
                "and add the integration Ochno.\n"
                f"Server: {environment.simulator_url}\n"
                "Client ID: home-assistant, client secret: home-assistant-secret\n"
                "Waiting until the integration is added …"
            )
        else:
            say("Linking the account: credentials, sign-in, approval …")
            await frontend.add_credentials()
            await frontend.link_account("control" if control else "read")
        await show_rooms(frontend)
        if manual:
            say("The account is linked. Reload the page in the browser to see the dashboard.")
        names = await show_devices(frontend)
        say(f"\nHome Assistant:  {environment.home_assistant_url} (user demo, password demo)")
        say(f"Simulated rooms: {environment.simulator_url} (plug in laptops, press buttons)")
        say("The room Elsewhere belongs to another organisation. Home Assistant does not show it.")
        say("The usage of the last two weeks is simulated, too.")
        say(f"Dashboard:       {environment.home_assistant_url}/{DASHBOARD_PATH}")
        delay = "immediately" if push else "within 30 seconds; immediately with --push"
        say(f"\nPress Ctrl-C to stop both. State changes ({delay}):\n")
        await show_changes(frontend, names)
        raise CommandError(f"Home Assistant stopped. See {environment.log}.")


def main() -> int:
    """Read the command line and run the demo."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--manual", action="store_true", help="link the account yourself")
    parser.add_argument("--control", action="store_true", help="let Home Assistant switch ports")
    parser.add_argument("--push", action="store_true", help="turn on instant updates")
    Environment.add_arguments(parser)
    arguments = parser.parse_args()
    demo = run_demo(
        Environment.from_arguments(arguments),
        manual=arguments.manual,
        control=arguments.control,
        push=arguments.push,
    )
    return run_command("demo", demo)


if __name__ == "__main__":
    sys.exit(main())
