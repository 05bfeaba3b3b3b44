"""What hassfest would say of texts and icons, and what it does not check."""

import ast
from collections.abc import Iterator
import json
from pathlib import Path
import re
from typing import Any

import pytest
import yaml

from custom_components.ochno.binary_sensor import (
    BINARY_SENSORS,
    connection_binary_sensor,
    port_binary_sensors,
)
from custom_components.ochno.condition import CONDITIONS
from custom_components.ochno.const import DOMAIN
from custom_components.ochno.operated.models import Hub
from custom_components.ochno.sensor import ACCOUNT_SENSORS, ACTIVE_PORT, SENSORS
from custom_components.ochno.trigger import TRIGGERS
from homeassistant.generated import languages
from homeassistant.helpers import config_entry_oauth2_flow
from homeassistant.helpers.translation import async_get_translations

from .home import Home

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "custom_components" / DOMAIN
LANGUAGES = sorted((PACKAGE / "translations").glob("*.json"))
TRANSLATED = [path for path in LANGUAGES if path.stem != "en"]
# What no language translates: names, and what stands on the pages of Ochno Operated.
NAMES = (
    *("Ochno Operated", "Home Assistant", "Account", "Integrations", "Custom Integrations"),
    *("hubs:read", "hubs:write", "accounts:read", "https"),
)
# The texts that are the same in a language as in English.
SAME = {
    "da": {"Port", "Port {port}", "Server"},
    "de": {"Hubs offline", "Hubs online", "Server"},
    "fi": set(),
    "fr": {"Options", "Port", "Port {port}"},
    "nb": {"Port", "Port {port}", "Server"},
    "nl": {"Hub is online", "Hubs offline", "Hubs online", "Server"},
    "sv": {"Server"},
}
TREES = {path: ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


EN = read(PACKAGE / "translations" / "en.json")
ICONS = read(PACKAGE / "icons.json")
AUTOMATIONS = [("triggers", TRIGGERS.keys()), ("conditions", CONDITIONS.keys())]
PORTS = EN["selector"]["port"]["options"].keys()


def texts(tree: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Walk over all texts of a file with their dotted paths."""
    if isinstance(tree, str):
        yield path, tree
    else:
        for key, value in tree.items():
            yield from texts(value, f"{path}.{key}".removeprefix("."))


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def markdown(text: str) -> list[list[str]]:
    """Return what the lines of a text are marked with, in whatever order its words are."""
    marks = r"^\d+\. |\*+|`[^`]*`|\]\([^)]*\)"
    return [sorted(re.findall(marks, line)) for line in text.split("\n")]


def constants(tree: ast.AST) -> set[str]:
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def calls() -> Iterator[tuple[Path, str, ast.Call, dict[str, ast.expr]]]:
    """Walk over all calls: file, name of what is called, the call, its keywords."""
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func).rpartition(".")[2]
                yield path, name, node, {one.arg or "**": one.value for one in node.keywords}


def entities() -> dict[str, dict[str, bool]]:
    """Return the translation keys by platform, and whether they have a device class."""
    found: dict[str, dict[str, bool]] = {}
    for path, name, _, keywords in calls():
        if name.endswith("EntityDescription") and "translation_key" in keywords:
            key = ast.literal_eval(keywords["translation_key"])
            found.setdefault(path.stem, {})[key] = "device_class" in keywords
    return found


def exceptions() -> set[str]:
    """Return the translation keys of exceptions; one in a variable is looked up."""
    found = set()
    for path, _, _, keywords in calls():
        match keywords.get("translation_key") if "translation_domain" in keywords else None:
            case ast.Constant(value=str(key)):
                found.add(key)
            case ast.Name(id=variable):
                found |= {
                    node.value.value
                    for node in ast.walk(TREES[path])
                    if isinstance(node, ast.Assign)
                    and ast.unparse(node.targets[0]) == variable
                    and isinstance(node.value, ast.Constant)
                    and isinstance(node.value.value, str)
                }
    return found


# Texts


def test_every_entity_has_a_name_and_every_name_an_entity() -> None:
    assert {platform: set(keys) for platform, keys in entities().items()} == {
        platform: set(keys) for platform, keys in EN["entity"].items()
    }
    for path, text in texts(EN["entity"]):
        assert text, path


def test_names_use_the_placeholders_that_they_are_given() -> None:
    binary_sensors = (*BINARY_SENSORS, *port_binary_sensors(1), connection_binary_sensor("usb1"))
    for platform, descriptions in {
        "binary_sensor": binary_sensors,
        "sensor": (ACTIVE_PORT, *SENSORS, *ACCOUNT_SENSORS),
    }.items():
        for description in descriptions:
            if description.translation_key is None:
                assert description.device_class, description.key  # which names it
                continue
            name = EN["entity"][platform][description.translation_key]["name"]
            assert placeholders(name) == set(description.translation_placeholders or {})


def test_every_option_has_a_text() -> None:
    [description] = [one for one in SENSORS if one.options_fn]
    state = {"connected": [0] * 16, "active": 0}
    hub = Hub.from_json({"id": "1", "data": {"state": state}})
    assert description.options_fn is not None
    assert description.translation_key is not None
    texts_of_states = EN["entity"]["sensor"][description.translation_key]["state"]
    assert set(description.options_fn(hub)) == set(texts_of_states)
    for key, entity in EN["entity"]["binary_sensor"].items():
        assert entity.get("state", {}).keys() <= {"on", "off"}, key


def test_every_exception_has_a_message_and_every_message_an_exception() -> None:
    assert exceptions() == set(EN["exceptions"])


def test_every_abort_and_error_of_the_dialog_has_a_text() -> None:
    used = set()
    for path, name, node, keywords in calls():
        if name == "async_abort":
            used.add(ast.literal_eval(keywords["reason"]))
        if name == "AbortFlow":
            used.add(ast.literal_eval(node.args[0]))
        if path.stem == "config_flow" and isinstance(keywords.get("step_id"), ast.Constant):
            assert (
                ast.literal_eval(keywords["step_id"])
                in EN["config"]["step"] | EN["options"]["step"]
            )
    # That one has Home Assistant's own words.
    assert used - {"missing_credentials"} == used & set(EN["config"]["abort"])
    assert used > {"missing_credentials"}


def test_every_text_of_the_dialog_is_used() -> None:
    core = Path(config_entry_oauth2_flow.__file__).read_text()
    known = constants(ast.parse(core)).union(*(constants(tree) for tree in TREES.values()))
    steps = {name.removeprefix("async_step_") for name in dir_of_flow() | known}
    assert set(EN["config"]["step"]) <= steps
    assert set(EN["config"]["abort"]) <= known
    assert set(EN["config"]["error"]) <= known
    assert set(EN) <= {
        *("application_credentials", "conditions", "config", "entity", "exceptions"),
        *("issues", "options", "selector", "services", "system_health", "triggers"),
    }


def dir_of_flow() -> set[str]:
    tree = TREES[PACKAGE / "config_flow.py"]
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)}


@pytest.mark.parametrize("path", LANGUAGES, ids=lambda path: path.stem)
def test_texts_keep_the_rules(path: Path) -> None:
    language = read(path)
    for where, text in texts(language):
        assert text == text.strip() != "", where
        assert not re.search(r"\w://|www\.", text), f"URL in {where}"
        assert not re.search(r"</?[a-zA-Z]", text), f"HTML in {where}"
        assert not re.search(r"\[%key:|'[{}]", text), where


@pytest.mark.parametrize("path", TRANSLATED, ids=lambda path: path.stem)
def test_languages_say_the_same(path: Path) -> None:
    english, other = dict(texts(EN)), dict(texts(read(path)))
    assert other.keys() == english.keys()
    for where, text in other.items():
        assert placeholders(text) == placeholders(english[where]), where
        assert markdown(text) == markdown(english[where]), where
        for name in NAMES:
            assert name in text or name not in english[where], where


@pytest.mark.parametrize("path", TRANSLATED, ids=lambda path: path.stem)
def test_no_text_is_left_in_english(path: Path) -> None:
    english = dict(texts(EN))
    same = {text for where, text in texts(read(path)) if text == english[where]}
    assert {re.sub(r"\d+", "{port}", text) for text in same} == SAME[path.stem]


@pytest.mark.parametrize("path", TRANSLATED, ids=lambda path: path.stem)
def test_languages_have_the_same_text_in_the_same_line(path: Path) -> None:
    english, other = (
        re.sub(r'(?<=": )"([^"\\]|\\.)*"', "", one.read_text(encoding="utf-8"))
        for one in (PACKAGE / "translations" / "en.json", path)
    )
    assert other == english


@pytest.mark.parametrize("path", LANGUAGES, ids=lambda path: path.stem)
def test_issues_name_a_choice_as_the_dialog_does(path: Path) -> None:
    language = read(path)
    named = {
        choice
        for _, text in texts(language["issues"])
        for choice in re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", text)
    }
    assert named == set(language["selector"]["access"]["options"].values())


def test_home_assistant_knows_the_languages() -> None:
    assert {path.stem for path in LANGUAGES} <= languages.LANGUAGES


async def test_home_in_swedish_reads_swedish(home: Home) -> None:
    await home.hass.config.async_update(language="sv")
    await home.link_account()
    entity_id = home.entity_id("binary_sensor", "Boardroom", "in_use")
    assert entity_id is not None
    state = home.hass.states.get(entity_id)
    assert state is not None
    assert state.name == "Boardroom Upptaget"
    swedish: dict[str, str] = {}
    for category in ("entity", "exceptions"):
        swedish |= await async_get_translations(home.hass, "sv", category, {DOMAIN})
    section = f"component.{DOMAIN}"
    assert swedish[f"{section}.entity.binary_sensor.in_use.state.off"] == "Ledigt"
    assert swedish[f"{section}.entity.sensor.active_port.state.4"] == "Uttag 4"
    assert swedish[f"{section}.exceptions.unknown_port.message"] == "{hub} har inget uttag {port}."


@pytest.mark.parametrize(("kind", "keys"), AUTOMATIONS)
def test_every_trigger_and_condition_is_explained_as_is_each_of_its_fields(
    kind: str, keys: set[str]
) -> None:
    described = yaml.safe_load((PACKAGE / f"{kind}.yaml").read_text(encoding="utf-8"))
    described = {key: one for key, one in described.items() if not key.startswith(".")}
    assert described.keys() == EN[kind].keys() == keys
    for key, one in described.items():
        fields = EN[kind][key].get("fields", {})
        assert EN[kind][key].keys() - {"fields"} == {"name", "description"}, key
        assert one.get("fields", {}).keys() == fields.keys(), key
        assert all(text.keys() == {"name", "description"} for text in fields.values()), key
        assert {entity["integration"] for entity in one["target"]["entity"]} == {DOMAIN}, key
        for field in one.get("fields", {}).values():
            if "select" in field["selector"]:
                assert field["selector"]["select"]["translation_key"] == "port"
                assert set(field["selector"]["select"]["options"]) <= PORTS
    assert EN["entity"]["sensor"]["active_port"]["state"].keys() == PORTS


# Icons


def test_icons_belong_to_entities() -> None:
    for platform, icons in ICONS["entity"].items():
        assert icons.keys() <= entities()[platform].keys()


def test_entities_without_a_device_class_have_an_icon() -> None:
    for platform, keys in entities().items():
        for key, has_device_class in keys.items():
            assert has_device_class or key in ICONS["entity"][platform], key


@pytest.mark.parametrize(("kind", "keys"), AUTOMATIONS)
def test_every_trigger_and_condition_has_an_icon(kind: str, keys: set[str]) -> None:
    assert {key: set(icons) for key, icons in ICONS[kind].items()} == {
        key: {kind.removesuffix("s")} for key in keys
    }


def test_icons_keep_the_rules() -> None:
    for where, icon in texts(ICONS):
        assert re.fullmatch(r"mdi:[a-z0-9-]+", icon), where
    for platform, icons in ICONS["entity"].items():
        for key, icon in icons.items():
            assert icon["default"] not in icon.get("state", {}).values(), key
            known = set(EN["entity"][platform][key].get("state", {})) | {"on", "off"}
            assert icon.get("state", {}).keys() <= known, key
