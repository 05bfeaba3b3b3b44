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
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.dispatcher import async_dispatcher_connect, async_dispatcher_send

from .home import FRONTEND_URL, SUBSCRIPTIONS_PATH, Home
from .simulator import Fault

class NabuCasa(ModuleType):
    """The cloud component, which can't run here: it wants an account, and much to be installed."""

    CloudNotAvailable = HomeAssistantError

    def __init__(self) -> None:
        super().__init__("homeassistant.components.cloud")
        self.subscribed = True
        self.connected = True
        self.hooks: list[str] = []
        self.deleted: list[str] = []

    def async_active_subscription(self, hass: HomeAssistant) -> bool:
        return self.subscribed

    def async_is_connected(self, hass: HomeAssistant) -> bool:
        return self.connected

    def async_listen_connection_change(
        self, hass: HomeAssistant, target: Callable[[str], None]
    ) -> Callable[[], None]:
        return async_dispatcher_connect(hass, "nabu_casa", target)

    async def async_get_or_create_cloudhook(self, hass: HomeAssistant, webhook_id: str) -> str:
        if webhook_id not in self.hooks:
            self.hooks.append(webhook_id)
        return f"https://hooks.example.net/{self.hooks.index(webhook_id)}"

    async def async_delete_cloudhook(self, hass: HomeAssistant, webhook_id: str) -> None:
        self.deleted.append(webhook_id)


@pytest.fixture
def nabu_casa(hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch) -> NabuCasa:
    """Stand in for the cloud component."""
    nabu_casa = NabuCasa()
    monkeypatch.setitem(sys.modules, "homeassistant.components.cloud", nabu_casa)
    monkeypatch.setattr(components, "cloud", nabu_casa, raising=False)
    hass.config.components.add("cloud")
    return nabu_casa


def reconnect(hass: HomeAssistant) -> None:
    """Announce that the connection to Nabu Casa came or went."""
    async_dispatcher_send(hass, "nabu_casa", "cloud_connected")


def signatures(module: ast.Module | ast.ClassDef) -> dict[str, tuple[type, list[str]]]:
    """Return kind and parameters of the functions that are defined directly in there."""
    return {
        node.name: (
            type(node),
            [parameter.arg for parameter in node.args.args if parameter.arg != "self"],
        )
        for node in module.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_stand_in_has_the_functions_of_the_cloud_component() -> None:
    [ours] = ast.parse(dedent(inspect.getsource(NabuCasa))).body
    assert isinstance(ours, ast.ClassDef)
    source = Path(components.__path__[0]) / "cloud" / "__init__.py"
    theirs = ast.parse(source.read_text())
    public = {name: value for name, value in signatures(ours).items() if name.startswith("async_")}
    assert public.items() <= signatures(theirs).items()


async def test_cloud_component_that_does_not_run_is_not_imported(
    hass: HomeAssistant, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "homeassistant.components.cloud", None)
    entry = await link(home)
    assert await hass.config_entries.async_remove(entry.entry_id)


async def test_nabu_casa_serves_without_an_address_of_its_own(
    hass: HomeAssistant, home: Home, nabu_casa: NabuCasa
) -> None:
    entry = await link(home)
    [subscription] = home.simulator.subscriptions.active()
    assert subscription.webhook_url == "https://hooks.example.net/0"
    await restart(home)
    assert len(nabu_casa.hooks) == 1
    assert nabu_casa.deleted == []
    await hass.config_entries.async_remove(entry.entry_id)
    assert nabu_casa.deleted == nabu_casa.hooks
    assert live(home) == []


async def test_nabu_casa_connecting_later_subscribes_at_once(
    hass: HomeAssistant, home: Home, nabu_casa: NabuCasa
) -> None:
    nabu_casa.connected = False
    await link(home)
    assert live(home) == []
    nabu_casa.connected = True
    reconnect(hass)
    await home.wait_until_idle()
    assert len(live(home)) == 1


@pytest.mark.parametrize("lost", ["subscribed", "connected"])
async def test_without_nabu_casa_the_own_address_serves(
    hass: HomeAssistant, home: Home, nabu_casa: NabuCasa, reachable: None, lost: str
) -> None:
    await link(home)
    [subscription] = home.simulator.subscriptions.active()
    assert subscription.webhook_url == "https://hooks.example.net/0"
    setattr(nabu_casa, lost, False)
    reconnect(hass)
    await home.wait_until_idle()
    [subscription] = home.simulator.subscriptions.active()
    assert subscription.webhook_url.startswith(f"{FRONTEND_URL}/api/webhook/")


async def test_cloudhook_is_deleted_although_the_service_always_refused(
    hass: HomeAssistant, home: Home, nabu_casa: NabuCasa
) -> None:
    home.simulator.add_fault("POST", SUBSCRIPTIONS_PATH, Fault.status(403), times=None)
    entry = await link(home)
    await restart(home)
    assert len(nabu_casa.hooks) == 1
    await hass.config_entries.async_remove(entry.entry_id)
    assert nabu_casa.deleted == nabu_casa.hooks
