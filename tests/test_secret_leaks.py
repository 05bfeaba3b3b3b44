"""Tests of the secret leak detector."""

from collections.abc import Callable
import logging
from urllib.parse import parse_qsl

import pytest
from yarl import URL

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir

from .home import SUBSCRIPTIONS_PATH, Home
from .secret_leaks import SecretLeakDetector

SECRET = "an-example-secret"
LOGGER = logging.getLogger("custom_components.ochno")


def log_debug(_hass: HomeAssistant) -> None:
    LOGGER.debug("Using %s", SECRET)


def log_exception(_hass: HomeAssistant) -> None:
    try:
        raise ValueError(SECRET)
    except ValueError:
        LOGGER.exception("Something happened")


def set_state(hass: HomeAssistant) -> None:
    hass.states.async_set("sensor.x", SECRET)


def set_attribute(hass: HomeAssistant) -> None:
    hass.states.async_set("sensor.x", "", {"x": SECRET})


def create_issue(hass: HomeAssistant) -> None:
    ir.async_create_issue(
        hass,
        "ochno",
        "issue",
        is_fixable=False,
        severity=ir.IssueSeverity.WARNING,
        translation_key="issue",
        translation_placeholders={"account": SECRET},
    )


def raise_error(_call: object) -> None:
    raise HomeAssistantError(SECRET)


@pytest.mark.parametrize(
    ("leak", "place"),
    [
        (log_debug, "log of custom_components.ochno"),
        (log_exception, "log of custom_components.ochno"),
        (set_state, "state of sensor.x"),
        (set_attribute, "state of sensor.x"),
        (create_issue, "issue"),
    ],
)
async def test_detector_secret_is_visible_reports_its_place(
    hass: HomeAssistant, home: Home, leak: Callable[[HomeAssistant], None], place: str
) -> None:
    with SecretLeakDetector() as detector:
        leak(hass)
        detector.record_home_assistant(hass)
    assert detector.find_leaks() == []
    detector.add_secrets({SECRET})
    assert f"{SECRET} in {place}" in detector.find_leaks()


async def test_detector_secret_in_replaced_state_is_found(hass: HomeAssistant, home: Home) -> None:
    with SecretLeakDetector() as detector:
        detector.listen(hass)
        hass.states.async_set("sensor.x", "", {"x": SECRET})
        hass.states.async_set("sensor.x", "")
        await home.wait_until_idle()
    detector.add_secrets({SECRET})
    assert detector.find_leaks()


async def test_detector_secret_in_action_error_and_request_path_is_found(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    hass.services.async_register("sensor", "refuse", raise_error)
    home.leak_detector = detector = SecretLeakDetector()
    detector.add_secrets({SECRET})
    with pytest.raises(HomeAssistantError):
        await home.call_action("sensor", "refuse", "Boardroom", "active_port")
    home.simulator.requested_paths.add(f"/api/hubs/v1?token={SECRET}")
    detector.record_simulator(home.simulator)
    assert detector.find_leaks() == [f"{SECRET} in error of refuse", f"{SECRET} in request paths"]
    home.simulator.requested_paths.clear()


async def test_simulator_secrets_linked_account_contain_all_secrets(
    hass: HomeAssistant, home: Home
) -> None:
    await home.set_external_url()
    entry = await home.link_account()
    first_token = entry.data["token"]
    await home.advance_time(3600)
    [subscription] = home.simulator.subscriptions.active()
    code_exchange = next(
        form
        for request in home.simulator.requests
        if "code" in (form := dict(parse_qsl(request.body)))
    )
    assert home.simulator.secrets() >= {
        "anna@example.com",
        "home-assistant-secret",
        subscription.token,
        URL(subscription.webhook_url).name,
        code_exchange["code"],
        code_exchange["codeVerifier"],
        first_token["access_token"],
        first_token["refresh_token"],
        entry.data["token"]["access_token"],
        entry.data["token"]["refresh_token"],
    }
    assert SUBSCRIPTIONS_PATH in home.simulator.requested_paths
