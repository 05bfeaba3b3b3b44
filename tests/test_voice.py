"""What people say to Home Assistant about a room, in words that it understands by itself."""

from pathlib import Path
import re

import pytest

from homeassistant.components.homeassistant.exposed_entities import async_expose_entity
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.setup import async_setup_component
from homeassistant.util.yaml import parse_yaml

from .home import Home

DOCUMENT = Path(__file__).parent.parent / "docs" / "automations.md"


@pytest.fixture
def freezer() -> None:
    """Let time run: what is said is done, and the cloud takes its time for that."""


@pytest.fixture(autouse=True)
async def _assist(hass: HomeAssistant) -> None:
    """Have Assist, before the frontend can ask for anything."""
    for component in ("homeassistant", "conversation"):
        assert await async_setup_component(hass, component, {})


@pytest.fixture
async def entry(home: Home) -> ConfigEntry:
    """Link the first account with control."""
    home.simulator.settings.command_delay = 0.1
    return await home.link_account(access="control")


async def say(home: Home, sentence: str) -> str:
    """Say something to Assist as the frontend does; return what it answers."""
    answer = await home.request("POST", "/api/conversation/process", {"text": sentence})
    speech: str = answer["response"]["speech"]["plain"]["speech"]
    return speech


def expose(home: Home, platform: str, key: str, *aliases: str) -> None:
    """Expose an entity of the boardroom's hub, and give it more names."""
    entity_id = home.entity_id(platform, "Boardroom", key)
    assert entity_id is not None
    async_expose_entity(home.hass, "conversation", entity_id, True)
    er.async_get(home.hass).async_update_entity(entity_id, aliases=[er.COMPUTED_NAME, *aliases])


async def plug(home: Home, port: int) -> None:
    home.simulator.hub("Boardroom").plug(port)
    await home.entry.runtime_data.coordinator.async_refresh()


@pytest.mark.parametrize(
    "sentence",
    [
        "turn on port 2 in the boardroom",
        "Turn on Boardroom port 2.",
        "switch on the boardroom port 2",
        "boardroom port 2",
    ],
)
async def test_port_is_switched_by_voice(home: Home, entry: ConfigEntry, sentence: str) -> None:
    assert await say(home, sentence) == "Turned on the switch"
    await home.wait_until_idle()
    assert home.simulator.hub("Boardroom").active == 2
    assert home.state("select", "Boardroom", "active_port") == "2"


async def test_port_is_switched_off_by_voice(home: Home, entry: ConfigEntry) -> None:
    assert await say(home, "turn off port 1 in the boardroom") == "Turned off the switch"
    await home.wait_until_idle()
    assert home.simulator.hub("Boardroom").active == 0


async def test_active_port_is_told(home: Home, entry: ConfigEntry) -> None:
    assert await say(home, "is boardroom port 1 on") == "Yes"
    assert (await say(home, "is boardroom port 2 on")).startswith("No")
    assert await say(home, "which switches are on in the boardroom") == "Boardroom Port 1"


@pytest.mark.parametrize("room", ["lobby", "library"])
async def test_no_port_is_switched_in_a_room_without_a_hub(
    home: Home, entry: ConfigEntry, room: str
) -> None:
    home.simulator.database.add_space("Lobby")
    assert (await say(home, f"turn on port 2 in the {room}")).startswith("Sorry")
    await home.wait_until_idle()
    assert [request for request in home.simulator.requests if request.method == "PUT"] == []


async def test_port_of_a_hub_with_another_name_than_its_room_needs_an_alias(home: Home) -> None:
    home.simulator.settings.command_delay = 0.1
    hub = home.simulator.hub("Boardroom")
    hub.name = "Table 3"
    await home.link_account(access="control")
    hub.name = "Boardroom"
    assert (await say(home, "turn on port 2 in the boardroom")).startswith("Sorry")
    expose(home, "switch", "port_2", "Port 2", "Port two")
    for number, port in (("two", 2), ("2", 2)):
        assert await say(home, f"turn on port {number} in the boardroom") == "Turned on the switch"
        await home.wait_until_idle()
        assert hub.active == port
        hub.press(1)
        await home.entry.runtime_data.coordinator.async_refresh()


async def test_same_alias_in_two_rooms_is_told_apart_by_the_room(
    home: Home, entry: ConfigEntry
) -> None:
    registry = er.async_get(home.hass)
    for hub in ("Boardroom", "Focus room"):
        entity_id = home.entity_id("switch", hub, "port_2")
        registry.async_update_entity(entity_id or "", aliases=[er.COMPUTED_NAME, "Port 2"])
    await say(home, "turn on port 2 in the focus room")
    await home.wait_until_idle()
    assert home.simulator.hub("Focus room").active == 2
    assert home.simulator.hub("Boardroom").active == 1


async def test_whether_the_room_is_in_use_is_told_of_its_table(
    home: Home, entry: ConfigEntry
) -> None:
    assert (await say(home, "is the boardroom table occupied")).startswith("Sorry")
    expose(home, "binary_sensor", "in_use", "Boardroom table")
    assert (await say(home, "is the boardroom table occupied")).startswith("No")
    assert await say(home, "is the boardroom table empty") == "Yes"
    await plug(home, 2)
    assert await say(home, "is the boardroom table occupied") == "Yes"
    assert (await say(home, "is the boardroom table empty")).startswith("No")
    assert (await say(home, "is the boardroom open")).startswith("Sorry")


async def test_rooms_name_as_an_alias_answers_what_was_not_asked(
    home: Home, entry: ConfigEntry
) -> None:
    expose(home, "binary_sensor", "in_use", "Boardroom")
    await plug(home, 2)
    assert await say(home, "is the boardroom open") == "Yes"


async def test_active_port_of_an_account_that_is_read_only_is_told(home: Home) -> None:
    await home.link_account()
    assert (await say(home, "turn on port 2 in the boardroom")).startswith("Sorry")
    expose(home, "sensor", "active_port")
    assert await say(home, "what is the boardroom active port") == "Boardroom active port is 1"


async def test_question_to_copy_tells_whether_a_room_is_in_use(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    assert (await say(home, "is the boardroom in use")).startswith("Sorry")
    [text] = re.findall(
        r"```yaml\n(alias: Is the room in use.*?)```", DOCUMENT.read_text(), re.DOTALL
    )
    assert await async_setup_component(hass, "automation", {"automation": parse_yaml(text)})
    assert await say(home, "Is the boardroom in use?") == "No, it is free."
    await plug(home, 2)
    assert await say(home, "Is the boardroom in use?") == "Yes, somebody is plugged in."
    assert await say(home, "is focus room in use") == "No, it is free."
    assert await say(home, "is reception in use") == "I can't tell."
    assert await say(home, "is the library in use") == "I can't tell."
