"""Tests of the quality scale rules that no test of a feature covers.

hassfest checks these rules for the integrations of Home Assistant core only.
"""

import ast
from importlib import import_module
import inspect
import json
from pathlib import Path
import re
import tomllib
from types import ModuleType

import pytest
import yaml

from custom_components.ochno import PLATFORMS
from custom_components.ochno.config_flow import OchnoConfigFlow
from custom_components.ochno.const import DOMAIN
from custom_components.ochno.data import OchnoConfigEntry, OchnoData
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
STATUSES = {
    rule: status if isinstance(status, str) else status["status"] for rule, status in RULES.items()
}
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}


def modules() -> dict[Path, ModuleType]:
    """Return the integration's modules by path."""
    names = {
        path: ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in TREES
    }
    return {path: import_module(name) for path, name in names.items()}


def imported_modules() -> set[str]:
    """Return the names of the modules that the integration imports from elsewhere."""
    names = set()
    for tree in TREES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            if isinstance(node, ast.ImportFrom) and not node.level:
                names.add(str(node.module))
    return names


# quality_scale.yaml


def test_rules_file_has_all_rules_of_home_assistant() -> None:
    path = Path(components.__path__[0]) / "yoto" / "quality_scale.yaml"
    rules_of_core = yaml.safe_load(path.read_text(encoding="utf-8"))["rules"]
    assert RULES.keys() == rules_of_core.keys()
    assert len(RULES) == 54


def test_each_rule_is_done_or_exempt_with_a_comment() -> None:
    assert set(STATUSES.values()) == {"done", "exempt"}
    for rule, status in RULES.items():
        if status != "done":
            assert status.keys() == {"status", "comment"}, rule
            assert status["comment"].endswith("."), rule
    assert MANIFEST["quality_scale"] == "platinum"


def test_rule_is_exempt_only_if_the_integration_lacks_its_subject() -> None:
    files = {path.name for path in PACKAGE.iterdir()}
    discovery_keys = {"bluetooth", "dhcp", "homekit", "mqtt", "ssdp", "usb", "zeroconf"}
    exempt_if = {
        ("action-setup", "docs-actions"): "services.yaml" not in files,
        ("docs-conditions",): "condition.py" not in files,
        ("docs-triggers",): "trigger.py" not in files,
        ("async-dependency", "dependency-transparency"): not MANIFEST["requirements"],
        ("discovery", "discovery-update-info"): not discovery_keys & MANIFEST.keys(),
    }
    assert {rule for rule, status in STATUSES.items() if status == "exempt"} == {
        rule for rules, exempt in exempt_if.items() if exempt for rule in rules
    }


# Code


async def test_integration_registers_no_actions(home: Home) -> None:
    await home.link_account(access="control")
    assert home.hass.services.async_services_for_domain(DOMAIN) == {}


def test_platforms_do_not_limit_parallel_updates() -> None:
    assert "budget" in RULES["parallel-updates"]["comment"]
    for platform in PLATFORMS:
        module = import_module(f"custom_components.{DOMAIN}.{platform}")
        assert module.PARALLEL_UPDATES == 0, platform


def test_functions_called_by_home_assistant_have_typed_config_entry() -> None:
    checked = 0
    for module in modules().values():
        for name, function in inspect.getmembers(module, inspect.iscoroutinefunction):
            if function.__module__ == module.__name__ and re.fullmatch(
                r"async_(setup|unload|remove)_entry|async_(get|remove)_config_entry_.*"
                r"|async_get_device_diagnostics",
                name,
            ):
                assert inspect.get_annotations(function)["entry"] is OchnoConfigEntry, name
                checked += 1
    assert checked == 4 + len(PLATFORMS) + 2
    options_flow = inspect.get_annotations(OchnoConfigFlow.async_get_options_flow)
    assert options_flow["config_entry"] is OchnoConfigEntry


async def test_runtime_data_is_stored_in_entry_and_not_in_hass_data(home: Home) -> None:
    entry = await home.link_account()
    assert isinstance(entry.runtime_data, OchnoData)
    assert DOMAIN not in home.hass.data


def test_fields_of_config_and_options_flow_have_descriptions() -> None:
    for flow in ("config", "options"):
        for step, form in EN[flow]["step"].items():
            assert form.get("data", {}).keys() == form.get("data_description", {}).keys(), step


def test_config_flow_has_user_reauth_and_reconfigure_steps() -> None:
    assert {"async_step_reauth", "async_step_reconfigure", "async_step_user"} <= vars(
        OchnoConfigFlow
    ).keys()
    assert MANIFEST["config_flow"] is True


def test_exceptions_for_users_have_translation_keys() -> None:
    checked = 0
    for path, module in modules().items():
        for node in ast.walk(TREES[path]):
            match node:
                case ast.Call(func=ast.Name(id=name)) | ast.Raise(exc=ast.Name(id=name)):
                    exception = getattr(module, name, None)
                case _:
                    continue
            if not inspect.isclass(exception) or not issubclass(exception, HomeAssistantError):
                continue
            # Home Assistant has texts for OAuth2 errors, and an aborted flow has a reason instead.
            if issubclass(exception, (OAuth2TokenRequestBaseError, FlowError)):
                continue
            assert isinstance(node, ast.Call), f"{path.name}:{node.lineno}"
            keywords = {keyword.arg for keyword in node.keywords}
            assert {"translation_domain", "translation_key"} <= keywords, (
                f"{path.name}:{node.lineno}"
            )
            checked += 1
    assert checked >= 5


def test_http_requests_use_session_of_home_assistant_and_do_not_block() -> None:
    assert "aiohttp" in imported_modules()
    assert not imported_modules() & {
        *("requests", "httpx", "urllib.request", "http.client", "socket"),
    }
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                # Home Assistant creates the session without cookies.
                assert not re.search(r"ClientSession$|time\.sleep$", ast.unparse(node.func)), path


def test_test_command_requires_strict_types_and_full_coverage() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert project["coverage"]["report"]["fail_under"] == 100
    scripts = {
        name: [line.split() for line in (ROOT / "scripts" / name).read_text().splitlines()]
        for name in ("lint", "test")
    }
    [mypy_command] = [line for line in scripts["lint"] if line and line[0].endswith("/mypy")]
    assert {"--strict", f"custom_components/{DOMAIN}"} <= set(mypy_command)
    assert ["scripts/lint"] in scripts["test"]
    assert not any(re.search(r"# type: ignore", path.read_text()) for path in TREES)


# Entities


@pytest.mark.parametrize("access", ["read", "control"])
async def test_entities_have_unique_id_device_and_name(home: Home, access: str) -> None:
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
