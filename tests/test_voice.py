"""Tests of the voice sentences of Home Assistant with the entities of a hub."""

from pathlib import Path
import re

import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from homeassistant.components.conversation import async_converse
from homeassistant.components.homeassistant.exposed_entities import async_expose_entity
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import Context, HomeAssistant
from homeassistant.helpers import (
    area_registry as ar,
    device_registry as dr,
    entity_registry as er,
)
from homeassistant.setup import async_setup_component
from homeassistant.util.yaml import parse_yaml

from .home import Home

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "automations.md"
TRANSLATIONS = ROOT / "custom_components" / "ochno" / "translations"
YES = {
    "cs": "Ano",
    "da": "Ja",
    "de": "Ja",
    "en": "Yes",
    "es": "Sí",
    "fi": "Kyllä",
    "fr": "Oui",
    "it": "Sì",
    "nb": "Ja",
    "nl": "Ja",
    "pl": "Tak",
    "pt": "Sim",
    "pt-BR": "Sim",
    "sv": "Ja",
}
NO = {
    "cs": "Ne",
    "da": "Nej",
    "de": "Nein",
    "en": "No",
    "es": "No",
    "fi": "Ei",
    "fr": "Non",
    "it": "No",
    "nb": "Nei",
    "nl": "Nee",
    "pl": "Nie",
    "pt": "Não",
    "pt-BR": "Não",
    "sv": "Nej",
}


@pytest.fixture
def freezer() -> None:
    """Do not freeze time, because a command waits for the confirmation of the cloud."""


@pytest.fixture(autouse=True)
async def _set_up_assist(hass: HomeAssistant) -> None:
    """Set up Assist. This must be done before the HTTP server starts."""
    for component in ("homeassistant", "conversation"):
        assert await async_setup_component(hass, component, {})


@pytest.fixture
async def entry(home: Home) -> ConfigEntry:
    """Link the first account with control access and return its config entry."""
    home.simulator.settings.command_delay = 0.1
    return await home.link_account(access="control")


async def say(home: Home, sentence: str, language: str = "en") -> str:
    """Send a sentence to Assist and return the text of the response."""
    response = await home.request(
        "POST", "/api/conversation/process", {"text": sentence, "language": language}
    )
    speech: str = response["response"]["speech"]["plain"]["speech"]
    return speech


def expose(home: Home, platform: str, key: str, *aliases: str, hub: str = "Boardroom") -> None:
    """Expose an entity of a hub to Assist and add aliases."""
    entity_id = home.entity_id(platform, hub, key)
    assert entity_id is not None
    async_expose_entity(home.hass, "conversation", entity_id, True)
    er.async_get(home.hass).async_update_entity(entity_id, aliases=[er.COMPUTED_NAME, *aliases])


async def plug_and_refresh(home: Home, port: int) -> None:
    """Plug in a laptop in the boardroom and refresh the coordinator."""
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
async def test_sentence_turn_on_port_activates_the_port(
    home: Home, entry: ConfigEntry, sentence: str
) -> None:
    assert await say(home, sentence) == "Turned on the switch"
    await home.wait_until_idle()
    assert home.simulator.hub("Boardroom").active == 2
    assert home.state("select", "Boardroom", "active_port") == "2"


SENTENCES = re.findall(
    r"^\| ([a-z]{2}(?:-[A-Z]{2})?) \| (.+) \| (.+) \|$",
    DOCUMENT.read_text(encoding="utf-8"),
    flags=re.MULTILINE,
)


def test_document_has_sentences_in_all_languages_of_the_integration() -> None:
    languages = [language for language, _, _ in SENTENCES]
    assert languages == sorted(path.stem for path in TRANSLATIONS.iterdir())


@pytest.mark.parametrize(("language", "switch", "ask"), SENTENCES)
async def test_documented_sentences_switch_and_ask(
    home: Home, language: str, switch: str, ask: str
) -> None:
    home.simulator.settings.command_delay = 0.1
    home.hass.config.language = language
    await home.link_account(access="control")
    before = await say(home, ask, language)
    await say(home, switch, language)
    await home.wait_until_idle()
    assert home.simulator.hub("Boardroom").active == 2
    assert home.simulator.hub("Focus room").active == 0
    after = await say(home, ask, language)
    assert re.match(rf"{NO[language]}\b", before)
    assert re.match(rf"{YES[language]}\b", after)


async def say_to_satellite(home: Home, sentence: str, area: str) -> None:
    """Say a sentence to a voice satellite in an area, and wait until it is done."""
    satellite_entry = MockConfigEntry(domain="test")
    satellite_entry.add_to_hass(home.hass)
    registry = dr.async_get(home.hass)
    satellite = registry.async_get_or_create(
        config_entry_id=satellite_entry.entry_id, identifiers={("test", "satellite")}
    )
    registry.async_update_device(satellite.id, area_id=area)
    await async_converse(
        home.hass, sentence, None, Context(), language="en", device_id=satellite.id
    )
    await home.wait_until_idle()


@pytest.mark.parametrize(
    ("area", "active_ports"), [("boardroom", [2, 0]), ("focus_room", [1, 2]), ("lobby", [1, 0])]
)
@pytest.mark.parametrize("sentence", ["turn on port 2", "turn on port two"])
async def test_sentence_to_satellite_switches_the_hub_in_its_room(
    home: Home, area: str, active_ports: list[int], sentence: str
) -> None:
    home.simulator.settings.command_delay = 0.1
    hubs = [home.simulator.hub(name) for name in ("Boardroom", "Focus room")]
    hubs[0].name = "Table 3"
    await home.link_account(access="control")
    ar.async_get(home.hass).async_get_or_create("Lobby")
    await say_to_satellite(home, sentence, area)
    assert [hub.active for hub in hubs] == [1, 0]
    for name in ("Table 3", "Focus room"):
        expose(home, "switch", "port_2", "Port 2", "Port two", hub=name)
    await say_to_satellite(home, sentence, area)
    assert [hub.active for hub in hubs] == active_ports


async def test_sentence_turn_off_port_leaves_no_port_active(home: Home, entry: ConfigEntry) -> None:
    assert await say(home, "turn off port 1 in the boardroom") == "Turned off the switch"
    await home.wait_until_idle()
    assert home.simulator.hub("Boardroom").active == 0


async def test_question_about_active_port_is_answered(home: Home, entry: ConfigEntry) -> None:
    assert await say(home, "is boardroom port 1 on") == "Yes"
    assert (await say(home, "is boardroom port 2 on")).startswith("No")
    assert await say(home, "which switches are on in the boardroom") == "Boardroom Port 1"


@pytest.mark.parametrize("room", ["lobby", "library"])
async def test_sentence_turn_on_port_in_room_without_hub_sends_no_command(
    home: Home, entry: ConfigEntry, room: str
) -> None:
    home.simulator.database.add_space("Lobby")
    assert (await say(home, f"turn on port 2 in the {room}")).startswith("Sorry")
    await home.wait_until_idle()
    assert [request for request in home.simulator.requests if request.method == "PUT"] == []


async def test_sentence_turn_on_port_with_hub_not_named_like_its_room_needs_alias(
    home: Home,
) -> None:
    home.simulator.settings.command_delay = 0.1
    hub = home.simulator.hub("Boardroom")
    hub.name = "Table 3"
    await home.link_account(access="control")
    hub.name = "Boardroom"
    assert (await say(home, "turn on port 2 in the boardroom")).startswith("Sorry")
    expose(home, "switch", "port_2", "Port 2", "Port two")
    for number in ("two", "2"):
        assert await say(home, f"turn on port {number} in the boardroom") == "Turned on the switch"
        await home.wait_until_idle()
        assert hub.active == 2
        hub.press(1)
        await home.entry.runtime_data.coordinator.async_refresh()


async def test_sentence_with_same_alias_in_two_rooms_switches_hub_of_named_room(
    home: Home, entry: ConfigEntry
) -> None:
    registry = er.async_get(home.hass)
    for hub in ("Boardroom", "Focus room"):
        entity_id = home.entity_id("switch", hub, "port_2")
        assert entity_id is not None
        registry.async_update_entity(entity_id, aliases=[er.COMPUTED_NAME, "Port 2"])
    await say(home, "turn on port 2 in the focus room")
    await home.wait_until_idle()
    assert home.simulator.hub("Focus room").active == 2
    assert home.simulator.hub("Boardroom").active == 1


async def test_question_about_occupancy_with_table_alias_is_answered(
    home: Home, entry: ConfigEntry
) -> None:
    assert (await say(home, "is the boardroom table occupied")).startswith("Sorry")
    expose(home, "binary_sensor", "in_use", "Boardroom table")
    assert (await say(home, "is the boardroom table occupied")).startswith("No")
    assert await say(home, "is the boardroom table empty") == "Yes"
    await plug_and_refresh(home, 2)
    assert await say(home, "is the boardroom table occupied") == "Yes"
    assert (await say(home, "is the boardroom table empty")).startswith("No")
    assert (await say(home, "is the boardroom open")).startswith("Sorry")


async def test_question_is_open_with_room_name_as_alias_gets_occupancy_as_answer(
    home: Home, entry: ConfigEntry
) -> None:
    expose(home, "binary_sensor", "in_use", "Boardroom")
    await plug_and_refresh(home, 2)
    assert await say(home, "is the boardroom open") == "Yes"


async def test_question_about_active_port_with_read_only_access_is_answered_by_exposed_sensor(
    home: Home,
) -> None:
    await home.link_account()
    assert (await say(home, "turn on port 2 in the boardroom")).startswith("Sorry")
    expose(home, "sensor", "active_port")
    assert await say(home, "what is the boardroom active port") == "Boardroom active port is 1"


async def test_documented_automation_answers_whether_a_room_is_in_use(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    assert (await say(home, "is the boardroom in use")).startswith("Sorry")
    [text] = re.findall(
        r"```yaml\n(alias: Is the room in use.*?)```",
        DOCUMENT.read_text(encoding="utf-8"),
        re.DOTALL,
    )
    assert await async_setup_component(hass, "automation", {"automation": parse_yaml(text)})
    assert await say(home, "Is the boardroom in use?") == "No, it is free."
    await plug_and_refresh(home, 2)
    assert await say(home, "Is the boardroom in use?") == "Yes, somebody is plugged in."
    assert await say(home, "is focus room in use") == "No, it is free."
    assert await say(home, "is reception in use") == "I can't tell."
    assert await say(home, "is the library in use") == "I can't tell."
    # A room with a hub that is offline is not free.
    focus, reception = home.device("Focus room"), home.device("Reception")
    assert focus is not None
    assert reception is not None
    dr.async_get(hass).async_update_device(reception.id, area_id=focus.area_id)
    assert await say(home, "is focus room in use") == "I can't tell."
