"""The canaries themselves: a secret that gets out is found, and all secrets are known."""

from collections.abc import Callable
import logging
from urllib.parse import parse_qsl

import pytest
from yarl import URL

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir

from .canaries import Canaries
from .home import SUBSCRIPTIONS, Home

PLANTED = "a-planted-secret"
LOGGER = logging.getLogger("custom_components.ochno")


def log_error(_hass: HomeAssistant) -> None:
    try:
        raise ValueError(PLANTED)
    except ValueError:
        LOGGER.exception("Something happened")


def report_issue(hass: HomeAssistant) -> None:
    ir.async_create_issue(
        hass,
        "ochno",
        "issue",
        is_fixable=False,
        severity=ir.IssueSeverity.WARNING,
        translation_key="issue",
        translation_placeholders={"account": PLANTED},
    )


def refuse(_call: object) -> None:
    raise HomeAssistantError(PLANTED)


@pytest.mark.parametrize(
    ("plant", "place"),
    [
        (lambda hass: LOGGER.debug("Using %s", PLANTED), "log of custom_components.ochno"),
        (log_error, "log of custom_components.ochno"),
        (lambda hass: hass.states.async_set("sensor.x", PLANTED), "state of sensor.x"),
        (lambda hass: hass.states.async_set("sensor.x", "", {"x": PLANTED}), "state of sensor.x"),
        (report_issue, "issue"),
    ],
)
async def test_secret_that_gets_out_is_found(
    hass: HomeAssistant, home: Home, plant: Callable[[HomeAssistant], None], place: str
) -> None:
    with Canaries() as finder:
        plant(hass)
        finder.look_at(hass)
    assert finder.found() == []
    finder.add({PLANTED})
    assert f"{PLANTED} in {place}" in finder.found()


async def test_state_that_was_shown_for_a_moment_is_found(hass: HomeAssistant, home: Home) -> None:
    with Canaries() as finder:
        hass.states.async_set("sensor.x", "", {"x": PLANTED})
        hass.states.async_set("sensor.x", "")
        await home.settle()
    finder.add({PLANTED})
    assert finder.found()


async def test_secret_in_an_address_or_an_error_is_found(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    hass.services.async_register("sensor", "refuse", refuse)
    home.canaries = finder = Canaries()
    finder.add({PLANTED})
    with pytest.raises(HomeAssistantError):
        await home.call("sensor", "refuse", "Boardroom", "active_port")
    home.simulator.paths.add(f"/api/hubs/v1?token={PLANTED}")
    finder.watch(home.simulator)
    assert finder.found() == [f"{PLANTED} in error of refuse", f"{PLANTED} in addresses asked for"]
    home.simulator.paths.clear()


async def test_all_secrets_of_an_account_are_known(hass: HomeAssistant, home: Home) -> None:
    await home.be_reachable()
    entry = await home.link()
    first = entry.data["token"]
    await home.wait(3600)
    [subscription] = home.simulator.subscriptions.live()
    exchange = next(
        form
        for request in home.simulator.requests
        if "code" in (form := dict(parse_qsl(request.body)))
    )
    assert home.simulator.secrets() >= {
        "anna@example.com",
        "home-assistant-secret",
        subscription.token,
        URL(subscription.webhook_url).name,
        exchange["code"],
        exchange["codeVerifier"],
        first["access_token"],
        first["refresh_token"],
        entry.data["token"]["access_token"],
        entry.data["token"]["refresh_token"],
    }
    assert SUBSCRIPTIONS in home.simulator.paths
