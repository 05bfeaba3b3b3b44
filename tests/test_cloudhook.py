"""Tests of cloudhooks: the public address of the webhook through Nabu Casa."""

import ast
from collections.abc import Callable
import inspect
from pathlib import Path
import sys
from textwrap import dedent
from types import ModuleType

import pytest

from homeassistant import components
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.dispatcher import async_dispatcher_connect, async_dispatcher_send

from .home import FRONTEND_URL, SUBSCRIPTIONS_PATH, Home
from .simulator import Fault

SIGNAL_CONNECTION_CHANGE = "mock_cloud_connection_change"


class MockCloud(ModuleType):
    """Mock of the cloud component, whose requirements are not installed in the tests."""

    CloudNotAvailable = HomeAssistantError

    def __init__(self) -> None:
        super().__init__("homeassistant.components.cloud")
        self.subscribed = True
        self.connected = True
        self.created: list[str] = []
        self.deleted: list[str] = []

    def async_active_subscription(self, hass: HomeAssistant) -> bool:
        return self.subscribed

    def async_is_connected(self, hass: HomeAssistant) -> bool:
        return self.connected

    def async_listen_connection_change(
        self, hass: HomeAssistant, target: Callable[[str], None]
    ) -> Callable[[], None]:
        return async_dispatcher_connect(hass, SIGNAL_CONNECTION_CHANGE, target)

    async def async_get_or_create_cloudhook(self, hass: HomeAssistant, webhook_id: str) -> str:
        if webhook_id not in self.created:
            self.created.append(webhook_id)
        return f"https://hooks.example.net/{self.created.index(webhook_id)}"

    async def async_delete_cloudhook(self, hass: HomeAssistant, webhook_id: str) -> None:
        self.deleted.append(webhook_id)


@pytest.fixture
def cloud(hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch) -> MockCloud:
    """Replace the cloud component and return the mock."""
    cloud = MockCloud()
    monkeypatch.setitem(sys.modules, "homeassistant.components.cloud", cloud)
    monkeypatch.setattr(components, "cloud", cloud, raising=False)
    hass.config.components.add("cloud")
    return cloud


async def link_account(home: Home) -> ConfigEntry:
    """Link the first account and wait until it is subscribed, if possible."""
    entry = await home.link_account()
    await home.wait_until_idle()
    return entry


async def reload_entry(home: Home) -> None:
    """Reload the config entry and wait until it is subscribed, if possible."""
    await home.hass.config_entries.async_reload(home.entry.entry_id)
    await home.wait_until_idle()


def send_connection_change(hass: HomeAssistant) -> None:
    """Send the signal that Nabu Casa connected or disconnected."""
    async_dispatcher_send(hass, SIGNAL_CONNECTION_CHANGE, "cloud_connected")


def read_signatures(module: ast.Module | ast.ClassDef) -> dict[str, tuple[type, list[str]]]:
    """Return the kind and the parameters of each function in a module or class."""
    return {
        node.name: (
            type(node),
            [parameter.arg for parameter in node.args.args if parameter.arg != "self"],
        )
        for node in module.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_cloud_mock_has_same_signatures_as_cloud_component() -> None:
    [mock] = ast.parse(dedent(inspect.getsource(MockCloud))).body
    assert isinstance(mock, ast.ClassDef)
    path = Path(components.__path__[0]) / "cloud" / "__init__.py"
    component = ast.parse(path.read_text())
    mocked = {
        name: signature
        for name, signature in read_signatures(mock).items()
        if name.startswith("async_")
    }
    assert mocked.items() <= read_signatures(component).items()


async def test_cloud_component_not_set_up_is_not_imported(
    hass: HomeAssistant, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "homeassistant.components.cloud", None)
    entry = await link_account(home)
    assert await hass.config_entries.async_remove(entry.entry_id)


async def test_cloudhook_without_external_url_is_used_and_deleted_with_entry(
    hass: HomeAssistant, home: Home, cloud: MockCloud
) -> None:
    entry = await link_account(home)
    [subscription] = home.simulator.subscriptions.active()
    assert subscription.webhook_url == "https://hooks.example.net/0"
    await reload_entry(home)
    assert len(cloud.created) == 1
    assert cloud.deleted == []
    await hass.config_entries.async_remove(entry.entry_id)
    assert cloud.deleted == cloud.created
    assert home.simulator.subscriptions.active() == []


async def test_cloud_connects_later_subscribes_immediately(
    hass: HomeAssistant, home: Home, cloud: MockCloud
) -> None:
    cloud.connected = False
    await link_account(home)
    assert home.simulator.subscriptions.active() == []
    cloud.connected = True
    send_connection_change(hass)
    await home.wait_until_idle()
    assert len(home.simulator.subscriptions.active()) == 1


@pytest.mark.parametrize("lost", ["subscribed", "connected"])
async def test_cloud_subscription_or_connection_lost_uses_external_url(
    hass: HomeAssistant, home: Home, cloud: MockCloud, lost: str
) -> None:
    await home.set_external_url()
    await link_account(home)
    [subscription] = home.simulator.subscriptions.active()
    assert subscription.webhook_url == "https://hooks.example.net/0"
    setattr(cloud, lost, False)
    send_connection_change(hass)
    await home.wait_until_idle()
    [subscription] = home.simulator.subscriptions.active()
    assert subscription.webhook_url.startswith(f"{FRONTEND_URL}/api/webhook/")


async def test_connection_that_changes_often_causes_one_new_subscription_a_minute(
    hass: HomeAssistant, home: Home, cloud: MockCloud
) -> None:
    await link_account(home)
    home.simulator.requests.clear()
    for _ in range(61):
        cloud.connected = not cloud.connected
        send_connection_change(hass)
        await home.advance_time(5)
    assert home.count_requests(SUBSCRIPTIONS_PATH, "POST") <= 5
    cloud.connected = True
    send_connection_change(hass)
    await home.advance_time(61)
    assert len(home.simulator.subscriptions.active()) == 1


async def test_cloudhook_subscription_always_refused_is_deleted_with_entry(
    hass: HomeAssistant, home: Home, cloud: MockCloud
) -> None:
    home.simulator.add_fault("POST", SUBSCRIPTIONS_PATH, Fault.status(403), times=None)
    entry = await link_account(home)
    await reload_entry(home)
    assert len(cloud.created) == 1
    await hass.config_entries.async_remove(entry.entry_id)
    assert cloud.deleted == cloud.created
