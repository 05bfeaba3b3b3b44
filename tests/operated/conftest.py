"""Fixtures for the tests of the API client, which run without Home Assistant."""

from collections.abc import AsyncGenerator

import aiohttp
import pytest

from custom_components.ochno.operated.budget import RequestBudget
from custom_components.ochno.operated.client import OperatedClient
from custom_components.ochno.operated.evidence import Evidence

from ..simulator import Simulator


class SimulatorTokenSource:
    """Token source that fetches access tokens from the simulator.

    `calls` has the argument of each call: the rejected token, or None.
    """

    def __init__(self, simulator: Simulator, session: aiohttp.ClientSession) -> None:
        self.calls: list[str | None] = []
        self.token: str | None = None
        self.scope = "hubs:read accounts:read"
        self._simulator = simulator
        self._session = session

    async def __call__(self, rejected: str | None) -> str:
        """Return an access token, a new one if the present one was rejected."""
        self.calls.append(rejected)
        if self.token is None or self.token == rejected:
            form = {
                "grant_type": "client_credentials",
                "client_id": "server-to-server",
                "client_secret": "server-to-server-secret",
                "scope": self.scope,
            }
            url = f"{self._simulator.url}/identity/oauth/v2/token"
            async with self._session.post(url, data=form) as response:
                self.token = str((await response.json())["access_token"])
        return self.token


async def static_token_source(_rejected: str | None) -> str:
    """Return a token that servers other than the simulator accept."""
    return "token"


@pytest.fixture
def _custom_integrations() -> None:
    """Replace the fixture that sets up Home Assistant."""


@pytest.fixture
async def session() -> AsyncGenerator[aiohttp.ClientSession]:
    """Return an HTTP session."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def token_source(
    simulator: Simulator, session: aiohttp.ClientSession
) -> SimulatorTokenSource:
    """Return a token source that has a token already."""
    token_source = SimulatorTokenSource(simulator, session)
    await token_source(None)
    token_source.calls.clear()
    simulator.requests.clear()
    return token_source


@pytest.fixture
def client(
    simulator: Simulator, session: aiohttp.ClientSession, token_source: SimulatorTokenSource
) -> OperatedClient:
    """Return a client that is connected to the simulator."""
    return OperatedClient(session, simulator.url, token_source, Evidence(), RequestBudget())
