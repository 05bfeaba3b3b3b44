"""The dashboard to copy shows what there is."""

from pathlib import Path
import re

from .home import Home

DASHBOARD = Path(__file__).parent.parent / "docs" / "dashboard.yaml"


async def test_dashboard_names_entities_that_an_account_to_control_has(home: Home) -> None:
    await home.link_account(access="control")
    named = set(re.findall(r"\b(?:binary_sensor|select|switch)\.\w+", DASHBOARD.read_text()))
    assert len(named) == 11
    assert {entity_id for entity_id in named if home.hass.states.get(entity_id) is None} == set()
