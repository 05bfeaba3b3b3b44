"""Tests of the example dashboard."""

from pathlib import Path
import re
from typing import Any

import yaml

from .home import Home

DASHBOARD = (Path(__file__).parent.parent / "docs" / "dashboard.yaml").read_text(encoding="utf-8")


def port_cards() -> dict[str, dict[str, Any]]:
    """Return the cards of the port buttons by entity id."""
    [view] = yaml.safe_load(DASHBOARD)["views"]
    return {
        card["entity"]: card
        for section in view["sections"]
        for card in section["cards"]
        if card.get("entity", "").startswith("switch.")
    }


async def perform(home: Home, action: dict[str, Any]) -> None:
    """Perform the action of a tap as the frontend does."""
    assert action["action"] == "perform-action"
    domain, name = action["perform_action"].split(".")
    await home.hass.services.async_call(domain, name, {}, target=action["target"], blocking=True)


async def test_example_dashboard_has_only_entities_that_exist_with_control_access(
    home: Home,
) -> None:
    await home.link_account(access="control")
    entity_ids = set(re.findall(r"\b(?:binary_sensor|select|switch)\.(?!turn_)\w+", DASHBOARD))
    assert len(entity_ids) == 11
    missing = {entity_id for entity_id in entity_ids if home.hass.states.get(entity_id) is None}
    assert missing == set()


async def test_port_button_tapped_twice_activates_the_port_and_leaves_it_active(
    home: Home,
) -> None:
    home.simulator.settings.command_delay = 0
    await home.link_account(access="control")
    hub = home.simulator.hub("Boardroom")
    cards = port_cards()
    assert len(cards) == 4
    for entity_id, card in cards.items():
        # A tap on the icon of a switch toggles it by default.
        for action in (card["tap_action"], card["icon_tap_action"]):
            await perform(home, action)
            assert f"switch.boardroom_boardroom_port_{hub.active}" == entity_id
