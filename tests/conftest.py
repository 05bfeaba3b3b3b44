"""Fixtures: Home Assistant and the simulator, which use real HTTP on the loopback interface."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
import logging
from pathlib import Path
from unittest.mock import patch

from freezegun.api import FrozenDateTimeFactory
import pytest
from pytest_homeassistant_custom_component.common import MockUser
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from homeassistant.auth.models import Credentials
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component

from .home import FRONTEND_URL, Home
from .secret_leaks import SecretLeakDetector
from .simulator import Simulator

# The access log of aiohttp fails while time is frozen.
logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
# The storage mock logs the data that it writes, including tokens.
logging.getLogger("pytest_homeassistant_custom_component.common").setLevel(logging.WARNING)
# SecretLeakDetector needs all log records. `log_level` limits what pytest shows.
logging.getLogger().setLevel(logging.DEBUG)
# The plugin for custom integrations also prints the records, which nothing needs.
logging.getLogger().handlers = []
# These log each event, row, component and entity, which takes a quarter of the time of the tests.
# The detector listens to the events.
for logger in (
    "homeassistant.components.recorder",
    "homeassistant.core",
    "homeassistant.helpers.entity_registry",
    "homeassistant.loader",
    "homeassistant.setup",
    "sqlalchemy.engine",
):
    logging.getLogger(logger).setLevel(logging.WARNING)


@pytest.fixture(autouse=True)
def leak_detector() -> Iterator[SecretLeakDetector]:
    """Return the detector that fails a test if a secret leaks."""
    with SecretLeakDetector() as leak_detector:
        yield leak_detector
    assert leak_detector.find_leaks() == []


@pytest.fixture(autouse=True)
def _unlimited_request_rate() -> Iterator[None]:
    """Lift the maximum of requests per minute: no request can wait while time is frozen."""
    with patch("custom_components.ochno.operated.budget.RequestBudget._wait_for_rate"):
        yield


@pytest.fixture(autouse=True)
def _custom_integrations(_unlimited_request_rate: None, enable_custom_integrations: None) -> None:
    """Enable custom integrations in all tests. The limit is lifted until Home Assistant stopped."""


@pytest.fixture(autouse=True)
def enable_event_loop_debug() -> None:
    """Keep the debug mode of asyncio off, because it doubles the duration of the tests."""


@pytest.fixture
def hass_config_dir(tmp_path: Path) -> str:
    """Return an empty folder, so that `custom_components` is the one of this repository."""
    return str(tmp_path)


@pytest.fixture
async def hass_access_token(
    hass: HomeAssistant, hass_admin_user: MockUser, hass_admin_credential: Credentials
) -> str:
    """Return an access token that does not expire when a test advances time."""
    await hass.auth.async_link_user(hass_admin_user, hass_admin_credential)
    token = await hass.auth.async_create_refresh_token(
        hass_admin_user,
        FRONTEND_URL,
        credential=hass_admin_credential,
        access_token_expiration=timedelta(days=30),
    )
    return hass.auth.async_create_access_token(token)


@pytest.fixture
async def simulator(
    socket_enabled: None, leak_detector: SecretLeakDetector
) -> AsyncIterator[Simulator]:
    """Return a running simulator of Ochno Operated."""
    async with Simulator() as simulator:
        yield simulator
    leak_detector.record_simulator(simulator)


@pytest.fixture
async def home(
    simulator: Simulator,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    freezer: FrozenDateTimeFactory | None,
    leak_detector: SecretLeakDetector,
) -> AsyncIterator[Home]:
    """Return the driver of a Home Assistant in which the integration is not set up yet."""
    for component in (
        "config",
        "application_credentials",
        "frontend",
        "webhook",
        "diagnostics",
        "system_health",
    ):
        assert await async_setup_component(hass, component, {})
    # Home Assistant's web server does the same, so that integrations can be added at any time.
    hass.http.app._router.freeze = lambda: None  # type: ignore[method-assign]  # noqa: SLF001
    leak_detector.listen(hass)
    yield Home(hass, await hass_client(), simulator, freezer, leak_detector)
    # Home Assistant must be able to shut down after a test that injected faults.
    simulator.clear_faults()
    leak_detector.record_home_assistant(hass)


@pytest.fixture
async def entry(home: Home) -> ConfigEntry:
    """Link the first account and return its config entry."""
    return await home.link_account()
