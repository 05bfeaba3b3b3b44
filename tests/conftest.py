"""Home Assistant and the simulator, both real, on loopback."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
import logging
from pathlib import Path

from freezegun.api import FrozenDateTimeFactory
import pytest
from pytest_homeassistant_custom_component.common import MockUser
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from homeassistant.auth.models import Credentials
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component

from .canaries import Canaries
from .home import FRONTEND, Home
from .simulator import Simulator

# aiohttp's access log fails at times that are frozen.
logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
# The tests' stand-in for the disk logs whatever is written, tokens included.
logging.getLogger("pytest_homeassistant_custom_component.common").setLevel(logging.WARNING)
# The canaries read all of the log; what pytest shows of it is from `log_level` on.
logging.getLogger().setLevel(logging.DEBUG)


@pytest.fixture(autouse=True)
def canaries() -> Iterator[Canaries]:
    """Fail every test in which a secret is seen outside."""
    with Canaries() as canaries:
        yield canaries
    assert canaries.found() == []


@pytest.fixture(autouse=True)
def _custom_integrations(enable_custom_integrations: None) -> None:
    """Let Home Assistant find the integration."""


@pytest.fixture(autouse=True)
def enable_event_loop_debug() -> None:
    """Leave asyncio's debug mode off: it watches for threads, and takes half of the time."""


@pytest.fixture
def hass_config_dir(tmp_path: Path) -> str:
    """Use an empty folder, so that `custom_components` is the project's own."""
    return str(tmp_path)


@pytest.fixture
async def hass_access_token(
    hass: HomeAssistant, hass_admin_user: MockUser, hass_admin_credential: Credentials
) -> str:
    """Let the user stay signed in to Home Assistant for all the hours that a test lets pass."""
    await hass.auth.async_link_user(hass_admin_user, hass_admin_credential)
    token = await hass.auth.async_create_refresh_token(
        hass_admin_user,
        FRONTEND,
        credential=hass_admin_credential,
        access_token_expiration=timedelta(days=30),
    )
    return hass.auth.async_create_access_token(token)


@pytest.fixture
async def simulator(socket_enabled: None, canaries: Canaries) -> AsyncIterator[Simulator]:
    """Ochno Operated, running."""
    async with Simulator() as simulator:
        yield simulator
    canaries.watch(simulator)


@pytest.fixture
async def home(
    simulator: Simulator,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    freezer: FrozenDateTimeFactory | None,
    canaries: Canaries,
) -> AsyncIterator[Home]:
    """Home Assistant without the integration."""
    for component in (
        "config",
        "application_credentials",
        "webhook",
        "diagnostics",
        "system_health",
    ):
        assert await async_setup_component(hass, component, {})
    yield Home(hass, await hass_client(), simulator, freezer, canaries)
    # Home Assistant stops without faults, whatever became of the test.
    simulator.clear_faults()
    canaries.look_at(hass)


@pytest.fixture
async def entry(home: Home) -> ConfigEntry:
    """Link the first account through the dialog."""
    return await home.link()
