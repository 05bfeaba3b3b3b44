"""Tests of the simulated hub: ports, buttons and automatic switching."""

import pytest

from .simulator import Simulator


def test_hub_switches_to_first_laptop_and_back_to_default_port() -> None:
    hub = Simulator().hub("Focus room")
    hub.plug(2)
    assert (hub.active, hub.state["connected"]) == (2, [0, 1, 0, 0])
    assert hub.connections["usb2"]["connected"] is True
    hub.plug(3)
    assert hub.active == 2
    hub.unplug(2)
    assert (hub.active, hub.connections["usb2"]) == (0, None)
    hub.press(3)
    hub.change_config(defaultport=4)
    hub.unplug(3)
    assert hub.active == 4
    with pytest.raises(ValueError, match="ports 1 to 4"):
        hub.plug(5)


def test_hub_with_room_system_switches_to_laptop_and_back() -> None:
    hub = Simulator().hub("Boardroom")
    hub.plug(3)
    assert hub.active == 3
    hub.unplug(3)
    assert hub.active == 1


@pytest.mark.parametrize("active", [0, 1])
def test_plug_with_first_rule_does_not_switch_if_room_system_is_connected(active: int) -> None:
    config = {"autoswitchconnect": "first"}
    hub = Simulator().add_hub("New", connected=[1], active=active, mtr_port=1, config=config)
    hub.plug(3)
    assert hub.active == active


@pytest.mark.parametrize(("rule", "active"), [("disabled", 0), ("first", 1), ("every", 2)])
def test_plug_follows_connect_rule(rule: str, active: int) -> None:
    hub = Simulator().add_hub("New", config={"autoswitchconnect": rule})
    hub.plug(1)
    hub.plug(2)
    assert hub.active == active


@pytest.mark.parametrize(
    ("rule", "after_active", "after_last"),
    [("disabled", 1, 3), ("active", 4, 3), ("last", 1, 4), ("both", 4, 4)],
)
def test_unplug_follows_disconnect_rule(rule: str, after_active: int, after_last: int) -> None:
    config = {"autoswitchdisconnect": rule, "defaultport": 4}
    hub = Simulator().add_hub("New", connected=[1, 2], active=1, config=config)
    hub.unplug(1)
    assert hub.active == after_active
    hub.press(3)
    hub.unplug(2)
    assert hub.active == after_last


def test_button_switches_port_on_and_off() -> None:
    hub = Simulator().hub("Boardroom")
    hub.press(3)
    assert hub.active == 3
    hub.press(3)
    assert hub.active == 0
    hub.change_config(buttonoffdefault=True)
    hub.press(3)
    hub.press(3)
    assert hub.active == 1


def test_offline_hub_reports_changes_when_online() -> None:
    hub = Simulator().hub("Boardroom")
    hub.online = False
    hub.unplug(1)
    hub.plug(2)
    hub.press(4)
    hub.set_overheated(True)
    assert (hub.active, hub.state["connected"], hub.plugged) == (1, [1, 0, 0, 0], [2])
    hub.online = True
    assert (hub.active, hub.state["connected"]) == (2, [0, 1, 0, 0])
    assert hub.state["otp"] == "warning"
    hub.set_overheated(False)
    assert hub.state["otp"] == "normal"


def test_hub_removed_keeps_space_of_other_hub() -> None:
    simulator = Simulator(hubs=3)
    hub = simulator.add_hub("New", account="Second Organisation", ports=2)
    second = simulator.database.account("Second Organisation").id
    assert [hub.name for hub in simulator.database.hubs_in_account(second)] == ["Elsewhere", "New"]
    other = simulator.add_hub("Other", space=hub.space_ids[0])
    simulator.remove_hub(hub.id)
    assert other.space_ids[0] in simulator.database.spaces
    simulator.remove_hub("Other")
    assert other.space_ids[0] not in simulator.database.spaces
    assert simulator.hub("Room 0003").ports == 4
    with pytest.raises(KeyError):
        simulator.hub("New")
