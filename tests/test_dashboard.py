"""Tests of the example dashboard."""

from pathlib import Path
import re

from .home import Home

DASHBOARD = Path(__file__).parent.parent / "docs" / "dashboard.yaml"


async def test_example_dashboard_has_only_entities_that_exist_with_control_access(
    home: Home,
) -> None:
    await home.link_account(access="control")
    entity_ids = set(
        re.findall(r"\b(?:binary_sensor|select|switch)\.\w+", DASHBOARD.read_text(encoding="utf-8"))
    )
    assert len(entity_ids) == 11
    missing = {entity_id for entity_id in entity_ids if home.hass.states.get(entity_id) is None}
    assert missing == set()
