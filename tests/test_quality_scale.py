"""Home Assistant's quality scale: nobody else checks it for a custom integration.

Each rule is kept by what is tested here, by a section of a document, or by a test named below.
Texts and icons are in test_translations.py, brand images in test_hacs.py.
"""

import ast
from importlib import import_module
import inspect
import json
from pathlib import Path
import re
import tomllib
from types import ModuleType
from typing import Any

import pytest
import yaml

from custom_components.ochno import PLATFORMS
from custom_components.ochno.config_flow import OchnoConfigFlow
from custom_components.ochno.const import DOMAIN
from custom_components.ochno.data import OchnoConfigEntry
from homeassistant import components
from homeassistant.data_entry_flow import FlowError
from homeassistant.exceptions import HomeAssistantError, OAuth2TokenRequestBaseError
from homeassistant.helpers import entity_registry as er

from .home import Home

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "custom_components" / DOMAIN
MANIFEST = json.loads((PACKAGE / "manifest.json").read_text(encoding="utf-8"))
EN = json.loads((PACKAGE / "translations" / "en.json").read_text(encoding="utf-8"))
RULES = yaml.safe_load((PACKAGE / "quality_scale.yaml").read_text(encoding="utf-8"))["rules"]
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}

# Which document keeps a rule, in which section, and how that begins.
DOCUMENTED = {
    "docs-high-level-description": ("README", "Ochno for Home Assistant", r"USB-C switches"),
    "docs-use-cases": ("README", "Ochno for Home Assistant", r"lights"),
    "docs-installation-instructions": ("README", "Install", r"1\. In HACS"),
    "docs-installation-parameters": ("README", "Install", r"ID and secret, choose the server"),
    "docs-examples": ("README", "A first automation", r"```yaml"),
    "docs-supported-functions": ("README", "Entities", r"\| entity \|"),
    "docs-triggers": ("docs/automations", "Triggers", r"\| trigger \|"),
    "docs-conditions": ("docs/automations", "Conditions", r"\| condition \|"),
    "docs-data-update": ("docs/using", "How changes arrive", r"every \d+ seconds"),
    "docs-configuration-parameters": ("docs/using", "What you can set", r"\*Instant updates\*"),
    "docs-supported-devices": (
        "docs/using",
        "What it works with, and what it does not do",
        r"O-PC-4",
    ),
    "docs-known-limitations": (
        "docs/using",
        "What it works with, and what it does not do",
        r"nothing else",
    ),
    "docs-troubleshooting": (
        "docs/using",
        "What a sentence means, and what helps",
        r"\| what helps \|",
    ),
    "docs-removal-instructions": ("docs/using", "Remove it", r"\*\*Delete\*\*"),
}

# Which test shows that a rule is kept; what a user meets, where there are several.
SHOWN = {
    "appropriate-polling": "test_coordinator.py::test_poll_costs_one_request_however_many",
    "brands": "test_hacs.py::test_home_assistant_shows_the_brand_images",
    "test-before-configure": "test_config_flow.py::test_list_of_hubs_is_not_understood",
    "test-before-setup": "test_coordinator.py::test_failing_setup_says_why_and_is_tried_again",
    "unique-config-entry": "test_config_flow.py::test_each_organisation_can_be_linked_but_only",
    "action-exceptions": "test_control.py::test_failed_command_is_told_and_not_repeated",
    "config-entry-unloading": "test_init.py::test_unloaded_entry_asks_nothing_and_comes_back",
    "entity-event-setup": "test_init.py::test_unloaded_entry_asks_nothing_and_comes_back",
    "entity-unavailable": "test_sensor.py::test_hub_that_left_shows_nothing",
    "integration-owner": "test_hacs.py::test_manifest",
    "log-when-unavailable": "test_coordinator.py::test_failing_poll_is_told_once_and_passes",
    "reauthentication-flow": "test_config_flow.py::test_signing_in_again_loses_nothing",
    "devices": "test_init.py::test_hub_is_a_device_with_all_that_is_known",
    "diagnostics": "test_diagnostics.py::test_diagnostics_name_nobody_and_nothing",
    "dynamic-devices": "test_init.py::test_new_hub_appears",
    "entity-category": "test_sensor.py::test_how_a_sensor_is_shown",
    "entity-device-class": "test_binary_sensor.py::test_how_a_binary_sensor_is_shown",
    "entity-disabled-by-default": "test_sensor.py::test_how_a_sensor_is_shown",
    "entity-translations": "test_translations.py::test_every_entity_has_a_name_and_every_name",
    "exception-translations": "test_translations.py::test_every_exception_has_a_message",
    "icon-translations": "test_translations.py::test_entities_without_a_device_class_have_an_icon",
    "reconfiguration-flow": "test_config_flow.py::test_account_moves_to_another_server",
    "repair-issues": "test_problems.py::test_missing_scope_is_an_issue_until_it_is_there",
    "stale-devices": "test_init.py::test_hub_that_leaves_is_unavailable_at_once_and_removed_later",
}

CHECKED_HERE = {
    *("common-modules", "config-flow", "entity-unique-id", "has-entity-name", "runtime-data"),
    *("parallel-updates", "test-coverage", "config-flow-test-coverage", "async-dependency"),
    *("inject-websession", "strict-typing"),
}


def modules() -> dict[Path, ModuleType]:
    """Return the integration's modules."""
    names = {
        path: ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in TREES
    }
    return {path: import_module(name) for path, name in names.items()}


def imports() -> set[str]:
    """Return the names of all modules that are imported."""
    found = set()
    for tree in TREES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            if isinstance(node, ast.ImportFrom) and not node.level:
                found.add(str(node.module))
    return found


# The file


def test_rules_are_those_of_home_assistant() -> None:
    any_other = Path(components.__path__[0]) / "yoto" / "quality_scale.yaml"
    known = yaml.safe_load(any_other.read_text(encoding="utf-8"))["rules"]
    assert RULES.keys() == known.keys()
    assert len(RULES) == 54


def test_each_rule_is_kept_or_does_not_apply_for_a_reason() -> None:
    for rule, status in RULES.items():
        if status != "done":
            assert status.keys() == {"status", "comment"}, rule
            assert status["status"] == "exempt", rule
            assert status["comment"].endswith("."), rule
    assert MANIFEST["quality_scale"] == "platinum"


def test_rules_that_do_not_apply_are_those_of_what_there_is_not() -> None:
    sources = {path.name for path in PACKAGE.iterdir()}
    discoveries = {"bluetooth", "dhcp", "homekit", "mqtt", "ssdp", "usb", "zeroconf"}
    not_there = {
        ("action-setup", "docs-actions"): "services.yaml" not in sources,
        ("docs-conditions",): "condition.py" not in sources,
        ("docs-triggers",): "trigger.py" not in sources,
        ("dependency-transparency",): not MANIFEST["requirements"],
        ("discovery", "discovery-update-info"): not discoveries & MANIFEST.keys(),
    }
    assert {rule for rule, status in RULES.items() if status != "done"} == {
        rule for rules, applies in not_there.items() if applies for rule in rules
    }


def test_it_is_known_of_every_rule_how_it_is_kept() -> None:
    kept = {rule for rule, status in RULES.items() if status == "done"}
    assert DOCUMENTED.keys() | SHOWN.keys() | CHECKED_HERE == kept


@pytest.mark.parametrize("rule", DOCUMENTED)
def test_document_has_what_the_rule_asks_for(rule: str) -> None:
    document, heading, content = DOCUMENTED[rule]
    text = (ROOT / f"{document}.md").read_text(encoding="utf-8")
    sections = re.split(r"^#+ (.+)\n", text, flags=re.MULTILINE)[1:]
    assert re.search(content, dict(zip(sections[::2], sections[1::2], strict=True))[heading])


@pytest.mark.parametrize("rule", SHOWN)
def test_test_of_the_rule_exists(rule: str) -> None:
    file, _, name = SHOWN[rule].partition("::")
    assert f"def {name}" in (ROOT / "tests" / file).read_text(encoding="utf-8")


# The code


def test_actions_are_those_of_home_assistant() -> None:
    code = "\n".join(map(ast.unparse, TREES.values()))
    assert not re.search(r"services\.async_register|register_entity_service", code)


def test_platforms_say_how_many_updates_may_run_at_once() -> None:
    for platform in PLATFORMS:
        module = import_module(f"custom_components.{DOMAIN}.{platform}")
        assert isinstance(module.PARALLEL_UPDATES, int), platform


def test_entry_is_typed_wherever_home_assistant_hands_it_over() -> None:
    typed = 0
    for module in modules().values():
        for name, function in inspect.getmembers(module, inspect.iscoroutinefunction):
            if function.__module__ == module.__name__ and re.fullmatch(
                r"async_(setup|unload|remove)_entry|async_(get|remove)_config_entry_.*"
                r"|async_get_device_diagnostics",
                name,
            ):
                assert inspect.get_annotations(function)["entry"] is OchnoConfigEntry, name
                typed += 1
    assert typed == 4 + len(PLATFORMS) + 2


def test_what_runs_is_kept_with_the_entry() -> None:
    code = "\n".join(map(ast.unparse, TREES.values()))
    assert "entry.runtime_data = OchnoData(" in code
    assert "hass.data[DOMAIN]" not in code


def test_every_field_of_a_dialog_is_explained() -> None:
    for kind in ("config", "options"):
        for step, form in EN[kind]["step"].items():
            assert form.get("data", {}).keys() == form.get("data_description", {}).keys(), step


def test_dialog_has_every_step() -> None:
    assert {"async_step_reauth", "async_step_reconfigure", "async_step_user"} <= vars(
        OchnoConfigFlow
    ).keys()
    assert MANIFEST["config_flow"] is True


def test_every_exception_is_in_the_language_of_the_user() -> None:
    """Those of OAuth have Home Assistant's own words, and those of a dialog a reason instead."""
    checked = 0
    for path, module in modules().items():
        for node in ast.walk(TREES[path]):
            bare = node.exc if isinstance(node, ast.Raise) else None
            called = node.func if isinstance(node, ast.Call) else bare
            kind: Any = getattr(module, called.id, None) if isinstance(called, ast.Name) else None
            if not inspect.isclass(kind) or not issubclass(kind, HomeAssistantError):
                continue
            if issubclass(kind, (OAuth2TokenRequestBaseError, FlowError)):
                continue
            assert isinstance(node, ast.Call), f"{path.name}:{node.lineno}"
            given = {keyword.arg for keyword in node.keywords}
            assert {"translation_domain", "translation_key"} <= given, f"{path.name}:{node.lineno}"
            checked += 1
    assert checked >= 5


def test_requests_are_made_in_home_assistants_session_and_never_block() -> None:
    assert "aiohttp" in imports()
    assert not imports() & {"requests", "httpx", "urllib.request", "http.client", "socket"}
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                assert not re.search(
                    r"ClientSession$|create_clientsession$|time\.sleep$", ast.unparse(node.func)
                ), path


def test_types_and_coverage_are_checked_with_every_test() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert project["coverage"]["report"]["fail_under"] == 100
    assert f"mypy --strict custom_components/{DOMAIN}\n" in (ROOT / "scripts" / "lint").read_text()
    assert "scripts/lint\n" in (ROOT / "scripts" / "test").read_text()
    assert not any(re.search(r"# type: ignore", path.read_text()) for path in TREES)


# The entities


@pytest.mark.parametrize("access", ["read", "control"])
async def test_every_entity_has_an_id_a_device_and_a_name_within_it(
    home: Home, access: str
) -> None:
    entry = await home.link_account(access=access)
    entities = er.async_entries_for_config_entry(er.async_get(home.hass), entry.entry_id)
    assert {entity.domain for entity in entities} == (
        set(PLATFORMS) if access == "control" else {"binary_sensor", "sensor"}
    )
    for entity in entities:
        assert entity.unique_id.startswith(
            tuple(f"{hub}_" for hub in (*entry.runtime_data.coordinator.data, entry.unique_id))
        )
        assert entity.has_entity_name, entity.entity_id
        assert entity.device_id, entity.entity_id
        assert entity.translation_key or entity.original_device_class, entity.entity_id
