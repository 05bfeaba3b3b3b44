"""Tests of the blueprint files and of the links to them."""

from pathlib import Path
import re
import textwrap

import probatio
import pytest
from yarl import URL

from homeassistant.components.blueprint.models import Blueprint
from homeassistant.components.blueprint.schemas import BLUEPRINT_SCHEMA
from homeassistant.helpers import device_registry as dr, label_registry as lr
from homeassistant.helpers.selector import selector
from homeassistant.helpers.template import Template
from homeassistant.util.yaml import load_yaml_dict

from ..automation import Config, target_config
from ..home import Home
from .blueprint import BLUEPRINTS, FOCUS, REPOSITORY, ROOT, account_device_id, device_id


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda path: path.stem)
def test_blueprint_file_is_valid_and_has_metadata(path: Path) -> None:
    blueprint = Blueprint(
        load_yaml_dict(path), expected_domain="automation", schema=BLUEPRINT_SCHEMA
    )
    assert blueprint.validate() is None
    assert blueprint.name.startswith("Ochno: ")
    assert blueprint.metadata["homeassistant"] == {"min_version": "2026.10.0"}
    assert blueprint.metadata["source_url"] == f"{REPOSITORY}/{path.relative_to(ROOT)}"
    assert blueprint.metadata["description"].endswith(".")
    for key, field in blueprint.inputs.items():
        assert field["name"], key
        if "default" in field:
            probatio.Schema(selector(field["selector"]))(field["default"])
    [required] = [field for field in blueprint.inputs.values() if "default" not in field]
    assert re.search(r"'integration': \[?'ochno'|'domain': \['calendar'", str(required["selector"]))
    mode = load_yaml_dict(path)
    assert (mode["mode"], mode.get("max")) in (("parallel", 1000), ("restart", None))


@pytest.mark.parametrize("document", ["README.md", "docs/automations.md"])
def test_document_has_import_link_for_each_blueprint(document: str) -> None:
    links = re.findall(
        r"https://my\.home-assistant\.io/redirect/blueprint_import/\?[^\s)]+",
        (ROOT / document).read_text(),
    )
    assert sorted(URL(link).query["blueprint_url"] for link in links) == [
        f"{REPOSITORY}/{path.relative_to(ROOT)}" for path in BLUEPRINTS
    ]


TARGET_TEMPLATES = [
    text
    for path in BLUEPRINTS
    for text in re.findall(
        r"^ +hubs: >-\n((?: +\{.*found.*\n)(?: .*\n)*?.*unique \| list \}\}\n)",
        path.read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
]


@pytest.mark.parametrize(
    "kind",
    [
        "area",
        "floor",
        "label of the area",
        "label of the device",
        "label of the entity",
        "device",
        "entity",
    ],
)
async def test_target_templates_of_blueprints_are_the_same_and_resolve_include_and_exclude(
    home: Home, kind: str
) -> None:
    """Home Assistant accepts `exclude` since 2026.11."""
    await home.link_account()
    assert len(TARGET_TEMPLATES) == 3
    [text] = {textwrap.dedent(text) for text in TARGET_TEMPLATES}
    boardroom = target_config(home, kind, "binary_sensor", "Boardroom", "in_use")
    all_hubs = [device_id(home, name) for name in ("Boardroom", FOCUS, "Workshop")]

    def resolve(target: Config) -> object:
        template = Template(text, home.hass)
        return template.async_render({"target": target, "all_hubs": all_hubs})

    both = {"device_id": all_hubs[:2]}
    assert resolve(boardroom) == all_hubs[:1]
    assert resolve(both) == all_hubs[:2]
    assert resolve(both | {"exclude": boardroom}) == all_hubs[1:2]
    assert resolve({"device_id": device_id(home, "Reception")}) == []
    account = account_device_id(home)
    assert resolve({"device_id": account, "exclude": boardroom}) == all_hubs[1:]
    assert resolve(both | {"exclude": {"device_id": account}}) == []
    label = lr.async_get(home.hass).async_create("Building").label_id
    dr.async_get(home.hass).async_update_device(account, labels={label})
    assert resolve({"label_id": label}) == all_hubs
