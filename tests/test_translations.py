"""Tests of translations and icons: what hassfest validates, and additional rules."""

import ast
from collections.abc import Iterator, KeysView
import json
from pathlib import Path
import re
from typing import Any

import hass_frontend
import pytest
import yaml

from custom_components.ochno.binary_sensor import (
    BINARY_SENSORS,
    connection_binary_sensor,
    port_binary_sensors,
)
from custom_components.ochno.condition import CONDITIONS
from custom_components.ochno.const import DOMAIN
from custom_components.ochno.sensor import (
    ACCOUNT_SENSORS,
    ACTIVE_PORT,
    ROOMS_SENSORS,
    SENSORS,
    TIME_SENSORS,
)
from custom_components.ochno.trigger import TRIGGERS
from homeassistant import const
from homeassistant.generated import languages
from homeassistant.helpers import config_entry_oauth2_flow
from homeassistant.helpers.translation import async_get_translations

from .home import Home

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "custom_components" / DOMAIN
LANGUAGES = sorted((PACKAGE / "translations").glob("*.json"))
TRANSLATED = [path for path in LANGUAGES if path.stem != "en"]
# Names, and texts of Ochno's own pages, which are not translated.
UNTRANSLATED_NAMES = (
    *("Ochno Operated", "Home Assistant", "Account", "Integrations", "Custom Integrations"),
    *("hubs:read", "hubs:write", "accounts:read", "https"),
)
# The texts that are the same as in English, by language.
SAME_AS_ENGLISH: dict[str, set[str]] = {
    "cs": {"Offline", "Port", "Port {port}", "Server"},
    "da": {"Offline", "Port", "Port {port}", "Server"},
    "de": {"Hubs", "Hubs offline", "Hubs online", "Offline", "Port", "Port {port}", "Server"},
    "es": {"Hubs"},
    "fi": set(),
    "fr": {"Hubs", "Options", "Port", "Port {port}"},
    "it": {"Server"},
    "nb": {"Port", "Port {port}", "Server"},
    "nl": {
        *(
            "Hub is offline",
            "Hub is online",
            "Hubs",
            "Hubs offline",
            "Hubs online",
            "Offline",
        ),
        "Server",
    },
    "pl": {"Offline", "Port", "Port {port}"},
    "pt": {"Hubs", "Hubs offline", "Hubs online", "Offline"},
    "pt-BR": {"Hubs", "Hubs offline", "Hubs online", "Offline"},
    "sv": {"Offline", "Port", "Port {port}", "Server"},
}
# How the texts name the custom integration at Ochno. Home Assistant's integrations are others.
CUSTOM_INTEGRATION = {
    "cs": "vlastní integrac",
    "da": "brugerdefinerede integration",
    "de": "benutzerdefinierte",
    "en": "custom integration",
    "es": "integración personalizada",
    "fi": "mukautet",
    "fr": "intégration personnalisée",
    "it": "integrazione personalizzata",
    "nb": "egendefinerte integrasjon",
    "nl": "aangepaste integratie",
    "pl": "niestandardow",
    "pt": "integração personalizada",
    "pt-BR": "integração personalizada",
    "sv": "anpassade integration",
}
# Where the frontend has the names of the buttons and pages that the texts quote. The others are
# those of Ochno's own pages.
FRONTEND_NAMES = {
    "Application credentials": "ui.panel.config.application_credentials.caption",
    "Areas, labels & zones": "ui.panel.config.dashboard.areas.main",
    "Configure": "ui.panel.config.integrations.config_entry.configure",
    "Devices & services": "ui.panel.config.dashboard.devices.main",
    "Download diagnostics": "ui.panel.config.integrations.config_entry.download_diagnostics",
    "Logs": "ui.panel.config.logs.caption",
    "Reconfigure": "ui.panel.config.integrations.config_entry.reconfigure",
    "Settings": "panel.config",
    "System": "ui.panel.config.dashboard.system.main",
}
OCHNO_NAMES = {"Account", "Create", "Custom Integrations", "Integrations"}
FRONTEND_TRANSLATIONS = Path(hass_frontend.where()) / "static" / "translations"
TREES = {path: ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}


def read_json(path: Path) -> Any:
    """Return the content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


EN = read_json(PACKAGE / "translations" / "en.json")
ICONS = read_json(PACKAGE / "icons.json")
AUTOMATION_KEYS = [
    pytest.param("triggers", TRIGGERS.keys(), id="triggers"),
    pytest.param("conditions", CONDITIONS.keys(), id="conditions"),
]
PORT_OPTIONS = EN["selector"]["port"]["options"].keys()


def walk_texts(tree: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Return all texts of a file with their dotted paths."""
    if isinstance(tree, str):
        yield path, tree
    else:
        for key, value in tree.items():
            yield from walk_texts(value, f"{path}.{key}".removeprefix("."))


def placeholders(text: str) -> set[str]:
    """Return the names of the placeholders in a text."""
    return set(re.findall(r"\{(\w+)\}", text))


def markdown_marks(text: str) -> list[list[str]]:
    """Return the Markdown of each line, sorted because the order of words can differ."""
    marks = r"^\d+\. |\*+|`[^`]*`|\]\([^)]*\)"
    return [sorted(re.findall(marks, line)) for line in text.split("\n")]


def string_constants(tree: ast.AST) -> set[str]:
    """Return all strings in the code."""
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def walk_calls() -> Iterator[tuple[Path, str, ast.Call, dict[str, ast.expr]]]:
    """Return the file, the function name, the node and the keywords of each call."""
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func).rpartition(".")[2]
                keywords = {keyword.arg or "**": keyword.value for keyword in node.keywords}
                yield path, name, node, keywords


def described_entities() -> dict[str, dict[str, bool]]:
    """Return the translation keys by platform, and whether they have a device class."""
    entities: dict[str, dict[str, bool]] = {}
    for path, name, _, keywords in walk_calls():
        if name.endswith("EntityDescription") and "translation_key" in keywords:
            key = ast.literal_eval(keywords["translation_key"])
            entities.setdefault(path.stem, {})[key] = "device_class" in keywords
    return entities


def exception_keys() -> set[str]:
    """Return the translation keys of exceptions, including keys that a variable holds."""
    keys = set()
    for path, _, _, keywords in walk_calls():
        match keywords.get("translation_key") if "translation_domain" in keywords else None:
            case ast.Constant(value=str(key)):
                keys.add(key)
            case ast.Name(id=variable):
                keys |= {
                    node.value.value
                    for node in ast.walk(TREES[path])
                    if isinstance(node, ast.Assign)
                    and ast.unparse(node.targets[0]) == variable
                    and isinstance(node.value, ast.Constant)
                    and isinstance(node.value.value, str)
                }
    return keys


# Texts


def test_entity_translations_match_entity_descriptions() -> None:
    assert {platform: set(keys) for platform, keys in described_entities().items()} == {
        platform: set(keys) for platform, keys in EN["entity"].items()
    }
    for path, text in walk_texts(EN["entity"]):
        assert text, path


def test_entity_names_use_placeholders_of_their_descriptions() -> None:
    binary_sensors = (*BINARY_SENSORS, *port_binary_sensors(1), connection_binary_sensor("usb1"))
    for platform, descriptions in {
        "binary_sensor": binary_sensors,
        "sensor": (ACTIVE_PORT, *SENSORS, *TIME_SENSORS, *ACCOUNT_SENSORS, *ROOMS_SENSORS),
    }.items():
        for description in descriptions:
            if description.translation_key is None:
                # Home Assistant uses the name of the device class.
                assert description.device_class, description.key
                continue
            name = EN["entity"][platform][description.translation_key]["name"]
            assert placeholders(name) == set(description.translation_placeholders or {})


@pytest.mark.parametrize(("access", "platform"), [("read", "sensor"), ("control", "select")])
async def test_active_port_options_of_16_ports_are_translated(
    home: Home, access: str, platform: str
) -> None:
    home.simulator.add_hub("Auditorium", ports=16)
    await home.link_account(access=access)
    state = home.hass.states.get(home.entity_id(platform, "Auditorium", "active_port") or "")
    assert state is not None
    assert set(state.attributes["options"]) == EN["entity"][platform]["active_port"]["state"].keys()


def test_binary_sensor_translated_states_are_on_and_off() -> None:
    for key, entity in EN["entity"]["binary_sensor"].items():
        assert entity.get("state", {}).keys() <= {"on", "off"}, key


def test_exception_translations_match_raised_exceptions() -> None:
    assert exception_keys() == set(EN["exceptions"])


def test_config_flow_aborts_and_steps_are_translated() -> None:
    reasons = set()
    for path, name, node, keywords in walk_calls():
        # Without a reason, it ends another flow.
        if name == "async_abort" and "reason" in keywords:
            reasons.add(ast.literal_eval(keywords["reason"]))
        if name == "AbortFlow":
            reasons.add(ast.literal_eval(node.args[0]))
        if path.stem == "config_flow" and isinstance(keywords.get("step_id"), ast.Constant):
            assert (
                ast.literal_eval(keywords["step_id"])
                in EN["config"]["step"] | EN["options"]["step"]
            )
    # Home Assistant has a text for this reason.
    assert reasons - {"missing_credentials"} == reasons & set(EN["config"]["abort"])
    assert reasons > {"missing_credentials"}


def test_config_flow_translations_are_used() -> None:
    core = Path(config_entry_oauth2_flow.__file__).read_text()
    strings = string_constants(ast.parse(core)).union(*map(string_constants, TREES.values()))
    functions = {
        node.name
        for node in ast.walk(TREES[PACKAGE / "config_flow.py"])
        if isinstance(node, ast.AsyncFunctionDef)
    }
    steps = {name.removeprefix("async_step_") for name in functions | strings}
    assert set(EN["config"]["step"]) <= steps
    assert set(EN["config"]["abort"]) <= strings
    assert set(EN["config"]["error"]) <= strings
    assert set(EN) <= {
        *("application_credentials", "conditions", "config", "config_panel", "entity"),
        *("exceptions", "issues", "options", "selector", "services", "system_health", "triggers"),
    }


def test_dashboard_texts_are_used() -> None:
    package = [tree for path, tree in TREES.items() if path.parent.stem == "dashboard"]
    script = (PACKAGE / "frontend" / "dashboard.js").read_text(encoding="utf-8")
    strings = set().union(*map(string_constants, package), re.findall(r'"(\w+)"', script))
    assert EN["config_panel"]["dashboard"].keys() <= strings


@pytest.mark.parametrize("path", LANGUAGES, ids=lambda path: path.stem)
def test_texts_contain_no_urls_html_references_or_outer_spaces(path: Path) -> None:
    for key, text in walk_texts(read_json(path)):
        assert text == text.strip() != "", key
        assert not re.search(r"\w://|www\.", text), f"URL in {key}"
        assert not re.search(r"</?[a-zA-Z]", text), f"HTML in {key}"
        assert not re.search(r"\[%key:|'[{}]", text), key


@pytest.mark.parametrize("path", TRANSLATED, ids=lambda path: path.stem)
def test_translation_has_keys_placeholders_markdown_and_names_of_english(path: Path) -> None:
    english, translated = dict(walk_texts(EN)), dict(walk_texts(read_json(path)))
    assert translated.keys() == english.keys()
    for key, text in translated.items():
        assert placeholders(text) == placeholders(english[key]), key
        assert markdown_marks(text) == markdown_marks(english[key]), key
        for name in UNTRANSLATED_NAMES:
            assert name in text or name not in english[key], key


@pytest.mark.parametrize("path", TRANSLATED, ids=lambda path: path.stem)
def test_translation_same_text_as_english_is_listed(path: Path) -> None:
    english = dict(walk_texts(EN))
    same = {text for key, text in walk_texts(read_json(path)) if text == english[key]}
    assert {re.sub(r"\d+", "{port}", text) for text in same} == SAME_AS_ENGLISH[path.stem]


@pytest.mark.parametrize("path", TRANSLATED, ids=lambda path: path.stem)
def test_translation_has_keys_on_same_lines_as_english(path: Path) -> None:
    english, translated = (
        re.sub(r'(?<=": )"([^"\\]|\\.)*"', "", file.read_text(encoding="utf-8"))
        for file in (PACKAGE / "translations" / "en.json", path)
    )
    assert translated == english


@pytest.mark.parametrize("path", LANGUAGES, ids=lambda path: path.stem)
def test_issue_texts_name_access_options_as_the_form_does(path: Path) -> None:
    language = read_json(path)
    named = {
        option
        for _, text in walk_texts(language["issues"])
        for option in re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", text)
    }
    assert named == set(language["selector"]["access"]["options"].values())


@pytest.mark.parametrize("path", LANGUAGES, ids=lambda path: path.stem)
def test_texts_about_scopes_name_the_custom_integration_at_ochno(path: Path) -> None:
    language = read_json(path)
    for key, text in walk_texts(
        {part: language[part] for part in ("config", "exceptions", "issues")}
    ):
        if re.search(r"(hubs|accounts):|{scopes}", text):
            assert CUSTOM_INTEGRATION[path.stem] in text.lower(), key


def quoted_names(texts: Any) -> dict[str, list[str]]:
    """Return the names in bold by the dotted path of their text."""
    return {key: re.findall(r"\*\*([^*]+)\*\*", text) for key, text in walk_texts(texts)}


def frontend_texts(language: str) -> dict[str, str]:
    """Return the texts of the installed frontend in one language."""
    texts: dict[str, str] = {}
    for folder in (FRONTEND_TRANSLATIONS, FRONTEND_TRANSLATIONS / "config"):
        [path] = folder.glob(f"{language}-{'[0-9a-f]' * 32}.json")
        texts |= read_json(path)
    return texts


@pytest.mark.skipif(
    f"homeassistant=={const.__version__}\n" not in (ROOT / "requirements_test.txt").read_text(),
    reason="The names differ between releases, and the texts quote those of the pinned one",
)
@pytest.mark.parametrize("path", LANGUAGES, ids=lambda path: path.stem)
def test_quoted_buttons_have_names_of_the_frontend(path: Path) -> None:
    frontend = frontend_texts("en") | frontend_texts(path.stem)
    names = quoted_names(read_json(path))
    for key, english_names in quoted_names(EN).items():
        assert names[key] == [
            name if name in OCHNO_NAMES else frontend[FRONTEND_NAMES[name]]
            for name in english_names
        ], key


def test_languages_are_supported_by_home_assistant() -> None:
    assert {path.stem for path in LANGUAGES} <= languages.LANGUAGES


async def test_home_assistant_in_swedish_shows_swedish_texts(home: Home) -> None:
    await home.hass.config.async_update(language="sv")
    await home.link_account()
    entity_id = home.entity_id("binary_sensor", "Boardroom", "in_use")
    assert entity_id is not None
    state = home.hass.states.get(entity_id)
    assert state is not None
    assert state.name == "Boardroom Beläggning"
    swedish: dict[str, str] = {}
    for category in ("entity", "exceptions"):
        swedish |= await async_get_translations(home.hass, "sv", category, {DOMAIN})
    section = f"component.{DOMAIN}"
    assert swedish[f"{section}.entity.binary_sensor.in_use.state.off"] == "Ledigt"
    assert swedish[f"{section}.entity.sensor.active_port.state.4"] == "Port 4"
    assert swedish[f"{section}.exceptions.unknown_port.message"] == (
        "{hub} har ingen port {port}. Välj en av hubbens portar."
    )


@pytest.mark.parametrize(("kind", "keys"), AUTOMATION_KEYS)
def test_triggers_and_conditions_with_fields_are_translated(kind: str, keys: KeysView[str]) -> None:
    content = yaml.safe_load((PACKAGE / f"{kind}.yaml").read_text(encoding="utf-8"))
    # Keys that start with a dot only define YAML anchors.
    described = {key: value for key, value in content.items() if not key.startswith(".")}
    assert described.keys() == EN[kind].keys() == keys
    for key, description in described.items():
        fields = description.get("fields", {})
        texts = EN[kind][key].get("fields", {})
        assert EN[kind][key].keys() - {"fields"} == {"name", "description"}, key
        assert fields.keys() == texts.keys(), key
        for field, text in texts.items():
            # As in Home Assistant, the fields that many triggers and conditions have.
            common = field in ("behavior", "for")
            assert text.keys() == ({"name"} if common else {"name", "description"}), key
        integrations = {entity["integration"] for entity in description["target"]["entity"]}
        assert integrations == {DOMAIN}, key
        for field in fields.values():
            if "select" in field["selector"]:
                assert field["selector"]["select"]["translation_key"] == "port"
                assert set(field["selector"]["select"]["options"]) <= PORT_OPTIONS
    assert EN["entity"]["sensor"]["active_port"]["state"].keys() == PORT_OPTIONS


# Icons


def test_entity_icons_belong_to_described_entities() -> None:
    for platform, icons in ICONS["entity"].items():
        assert icons.keys() <= described_entities()[platform].keys()


def test_entities_without_device_class_have_icon() -> None:
    for platform, keys in described_entities().items():
        for key, has_device_class in keys.items():
            assert has_device_class or key in ICONS["entity"][platform], key


@pytest.mark.parametrize(("kind", "keys"), AUTOMATION_KEYS)
def test_triggers_and_conditions_have_icon(kind: str, keys: KeysView[str]) -> None:
    assert {key: set(icons) for key, icons in ICONS[kind].items()} == {
        key: {kind.removesuffix("s")} for key in keys
    }


def test_icons_are_mdi_names_and_state_icons_differ_from_default() -> None:
    for key, icon in walk_texts(ICONS):
        assert re.fullmatch(r"mdi:[a-z0-9-]+", icon), key
    for platform, icons in ICONS["entity"].items():
        for key, icon in icons.items():
            assert icon["default"] not in icon.get("state", {}).values(), key
            states = set(EN["entity"][platform][key].get("state", {})) | {"on", "off"}
            assert icon.get("state", {}).keys() <= states, key
