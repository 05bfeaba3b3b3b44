"""Tests of docs/automations.md and of the examples in it and in the README."""

from pathlib import Path
import re
from typing import Any

import pytest
import yaml

from custom_components.ochno.condition import CONDITIONS
from custom_components.ochno.trigger import TRIGGERS
from homeassistant.config_entries import ConfigEntry
from homeassistant.setup import async_setup_component

from .home import Home

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs" / "automations.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES: list[dict[str, Any]] = [
    example
    for text in re.findall(r"```yaml\n(.*?)```", README + DOCUMENT, flags=re.DOTALL)
    if "triggers" in (example := yaml.safe_load(text))
]


def test_document_lists_all_triggers_and_conditions() -> None:
    listed = re.findall(r"^\| `ochno\.(\w+)`", DOCUMENT, flags=re.MULTILINE)
    assert sorted(listed) == sorted([*TRIGGERS, *CONDITIONS])


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["alias"])
async def test_example_automation_can_be_set_up(
    home: Home, entry: ConfigEntry, example: dict[str, Any]
) -> None:
    assert await async_setup_component(home.hass, "automation", {"automation": [example]})
    await home.wait_until_idle()
    [entity_id] = home.hass.states.async_entity_ids("automation")
    state = home.hass.states.get(entity_id)
    assert state is not None
    assert state.state == "on"
    await home.hass.services.async_call(
        "automation", "turn_off", {"entity_id": entity_id}, blocking=True
    )
