"""Test driver for Home Assistant: config flows over HTTP, simulated time, entity states."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
import traceback
from typing import Any

from aiohttp.test_utils import TestClient
from aiohttp.web import Application, Request
from freezegun.api import FrozenDateTimeFactory
import orjson
from pytest_homeassistant_custom_component.common import async_fire_time_changed
from yarl import URL

from homeassistant.components.application_credentials import (
    ClientCredential,
    async_import_client_credential,
)
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er

from .secret_leaks import SecretLeakDetector
from .simulator import Simulator

FLOWS_PATH = "/api/config/config_entries/flow"
FRONTEND_URL = "https://example.com"
HUBS_PATH = "/api/hubs/v1"
TOKEN_PATH = "/identity/oauth/v2/token"
SUBSCRIPTIONS_PATH = "/subscriptions/v1/"
POLL_INTERVAL = 30

type Step = dict[str, Any]


def _runs_automation(task: asyncio.Future[Any]) -> bool:
    return isinstance(task, asyncio.Task) and getattr(task.get_coro(), "__qualname__", "") in (
        "AutomationEntity._async_trigger_if_enabled",
        "Script.async_run",
    )


@dataclass
class Home:
    """Test driver for one Home Assistant that is connected to the simulator.

    `automations_wait`: automations can wait or delay, and no other method waits until they end.
    """

    hass: HomeAssistant
    client: TestClient[Request, Application]
    simulator: Simulator
    freezer: FrozenDateTimeFactory | None
    leak_detector: SecretLeakDetector
    automations_wait: bool = False

    async def add_credentials(
        self, client_id: str = "home-assistant", secret: str | None = None, name: str = "Simulator"
    ) -> None:
        """Add application credentials. The defaults are valid at the simulator."""
        await async_import_client_credential(
            self.hass,
            "ochno",
            ClientCredential(client_id, secret or f"{client_id}-secret", name),
            auth_domain=client_id,
        )

    async def request(self, method: str, path: str, json: object = None) -> Any:
        """Send a request to Home Assistant's HTTP API and return the JSON response."""
        async with self.client.request(
            method, path, json=json, headers={"HA-Frontend-Base": FRONTEND_URL}
        ) as response:
            text = await response.text()
            self.leak_detector.record_output(f"response to {method} {path}", text)
            assert response.status == 200, text
            return orjson.loads(text)

    async def start_flow(self, **extra: Any) -> Step:
        """Start a config flow, by default the user flow, and return its first step."""
        step: Step = await self.request("POST", FLOWS_PATH, {"handler": "ochno", **extra})
        return step

    async def submit_form(self, step: Step, **user_input: Any) -> Step:
        """Submit the form of a flow step and return the next step."""
        path = f"{FLOWS_PATH}/{step['flow_id']}"
        next_step: Step = await self.request("POST", path, user_input)
        return next_step

    async def follow_redirect(self, step: Step, location: str) -> Step:
        """Follow the redirect from the sign-in page to Home Assistant and return the next step."""
        url = URL(location, encoded=True)
        assert str(url).startswith(f"{FRONTEND_URL}/auth/external/callback")
        async with self.client.get(URL(url.raw_path_qs, encoded=True)) as response:
            assert response.status == 200, await response.text()
        step = await self.request("GET", f"{FLOWS_PATH}/{step['flow_id']}")
        await self.wait_until_idle()
        return step

    async def sign_in(self, step: Step, account: str | None = None) -> Step:
        """Sign in and approve the access at the simulator, and return the next step."""
        return await self.follow_redirect(step, await self.simulator.approve(step["url"], account))

    async def run_user_flow(self, account: str | None = None, **user_input: Any) -> Step:
        """Complete the user flow and return its last step."""
        return await self._complete_flow(await self.start_flow(), account, user_input)

    async def run_reconfigure_flow(self, account: str | None = None, **user_input: Any) -> Step:
        """Complete the reconfigure flow of the config entry and return its last step."""
        step = await self.start_flow(entry_id=self.entry.entry_id)
        return await self._complete_flow(step, account, user_input)

    async def _complete_flow(
        self, step: Step, account: str | None, user_input: dict[str, Any]
    ) -> Step:
        user_input = {"server": self.simulator.url, "access": "read", **user_input}
        return await self.sign_in(await self.submit_form(step, **user_input), account)

    async def link_account(self, account: str | None = None, **user_input: Any) -> ConfigEntry:
        """Add the default credentials, complete the user flow and return the config entry."""
        await self.add_credentials()
        step = await self.run_user_flow(account, **user_input)
        assert step["type"] == "create_entry", step
        return self.entry

    @property
    def flow_sources(self) -> list[str]:
        """Return the source of each config flow in progress, such as `reauth`."""
        flows = self.hass.config_entries.flow.async_progress_by_handler("ochno")
        return [flow["context"]["source"] for flow in flows]

    @property
    def entry(self) -> ConfigEntry:
        """Return the only config entry of the integration."""
        [entry] = self.hass.config_entries.async_entries("ochno")
        return entry

    async def call_action(
        self, platform: str, action: str, hub: str, key: str, **data: Any
    ) -> None:
        """Call an action on an entity of a hub and wait until it is done."""
        target = {"entity_id": self.entity_id(platform, hub, key)}
        try:
            await self.hass.services.async_call(
                platform, action, data, blocking=True, target=target
            )
        except Exception as err:
            text = "".join(traceback.format_exception(err))
            self.leak_detector.record_output(f"error of {action}", text)
            raise

    async def set_external_url(self) -> None:
        """Set an external URL, so that the simulator can deliver to the webhook."""
        self.simulator.settings.deliver_to = str(self.client.make_url("/")).rstrip("/")
        await self.hass.config.async_update(external_url=FRONTEND_URL)
        await self.wait_until_idle()

    async def post_to_webhook(
        self,
        body: object,
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
    ) -> int:
        """Post bytes or JSON to the webhook and return the status of the response.

        An object gets the verification token if the simulator's deliveries have it in the body.
        """
        [subscription] = self.simulator.subscriptions.active()
        if isinstance(body, dict) and self.simulator.settings.delivery_token == "verificationToken":
            body = {"verificationToken": subscription.token, **body}
        url = URL(subscription.webhook_url).path
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        async with self.client.post(url, data=data, headers=headers, params=query) as response:
            assert await response.read() == b""
            return response.status

    def enable_instant_updates_sensor(self) -> None:
        """Enable the sensor *Instant updates* before the account is linked."""
        unique_id = f"{self.simulator.database.account().id}_instant_updates"
        er.async_get(self.hass).async_get_or_create("sensor", "ochno", unique_id)

    @property
    def instant_updates_state(self) -> str | None:
        """Return the state of the sensor *Instant updates*, or None if it has no state."""
        unique_id = f"{self.entry.unique_id}_instant_updates"
        registry = er.async_get(self.hass)
        entity_id = registry.async_get_entity_id("sensor", "ochno", unique_id)
        state = None if entity_id is None else self.hass.states.get(entity_id)
        return None if state is None else state.state

    async def measure_poll_interval(self) -> int:
        """Return the seconds between two polls, rounded to ten seconds."""

        async def seconds_to_poll() -> int:
            polls, seconds = self.count_requests(HUBS_PATH), 0
            while self.count_requests(HUBS_PATH) == polls:
                await self.advance_time(2)
                seconds += 2
                assert seconds < 200, "no poll"
            return seconds

        await seconds_to_poll()
        return round(await seconds_to_poll(), -1)

    async def wait_until(self, condition: Callable[[], object]) -> None:
        """Run the event loop, without advancing time, until a condition is true."""
        for _ in range(50_000):
            if condition():
                return
            await asyncio.sleep(0)
        raise AssertionError("The condition did not become true")

    async def wait_until_idle(self) -> None:
        """Wait until all tasks of Home Assistant are done."""
        if not self.automations_wait:
            await self.hass.async_block_till_done(wait_background_tasks=True)
            return
        # An automation that continues may create tasks within a few iterations of the event loop.
        for _ in range(100):
            await asyncio.sleep(0)
            if tasks := [task for task in self._tasks if not _runs_automation(task)]:
                await asyncio.wait(tasks)

    @property
    def _tasks(self) -> set[asyncio.Future[Any]]:
        return self.hass._tasks | self.hass._background_tasks  # noqa: SLF001

    async def wait_for_deliveries(self) -> None:
        """Wait until all webhook deliveries of the simulator are done."""
        while any(
            delivery.status is None and delivery.error is None
            for delivery in self.simulator.deliveries
        ):
            await asyncio.sleep(0)
        await self.hass.async_block_till_done()

    def fire_time_changed(self, seconds: float) -> None:
        """Advance time and start the timers that are due, but do not wait for them."""
        assert self.freezer is not None
        self.freezer.tick(timedelta(seconds=seconds))
        async_fire_time_changed(self.hass)

    async def advance_time(self, seconds: float) -> None:
        """Advance time, start the timers that are due and wait until they are done."""
        self.fire_time_changed(seconds)
        await self.wait_until_idle()

    async def poll(self, times: int = 1) -> None:
        """Advance time by one poll interval, several times if requested."""
        for _ in range(times):
            await self.advance_time(POLL_INTERVAL + 1)

    def entity_id(self, platform: str, hub: str, key: str) -> str | None:
        """Return the entity id for a hub of the simulator, or None if it is not registered."""
        unique_id = f"{self.simulator.hub(hub).id}_{key}"
        return er.async_get(self.hass).async_get_entity_id(platform, "ochno", unique_id)

    def state(self, platform: str, hub: str, key: str) -> str | None:
        """Return the state of an entity of a hub, or None if it has no state."""
        entity_id = self.entity_id(platform, hub, key)
        state = None if entity_id is None else self.hass.states.get(entity_id)
        return None if state is None else state.state

    def device(self, hub: str) -> dr.DeviceEntry | None:
        """Return the device of a hub of the simulator."""
        registry = dr.async_get(self.hass)
        identifier = ("ochno", self.simulator.hub(hub).id)
        return registry.async_get_device_by_identifier(identifier, self.entry.entry_id)

    def count_requests(self, path: str, method: str = "GET") -> int:
        """Return the number of requests to a path of the simulator."""
        return sum(
            request.method == method and request.path.partition("?")[0] == path
            for request in self.simulator.requests
        )
