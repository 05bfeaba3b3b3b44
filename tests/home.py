"""Home Assistant as a user meets it: dialogs over HTTP, time that passes, states."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
import traceback
from typing import Any

from aiohttp.test_utils import TestClient
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

from .canaries import Canaries
from .simulator import Simulator

FLOWS = "/api/config/config_entries/flow"
FRONTEND = "https://example.com"
HUBS = "/api/hubs/v1"
TOKEN = "/identity/oauth/v2/token"
SUBSCRIPTIONS = "/subscriptions/v1/"
POLL = 30

type Step = dict[str, Any]


@dataclass
class Home:
    """What a user sees and does; `client` speaks HTTP to Home Assistant as the frontend does."""

    hass: HomeAssistant
    client: TestClient[Any, Any]
    simulator: Simulator
    freezer: FrozenDateTimeFactory | None
    canaries: Canaries

    async def add_credentials(
        self, client_id: str = "home-assistant", secret: str | None = None, name: str = "Simulator"
    ) -> None:
        """Enter application credentials, by default those the simulator knows."""
        await async_import_client_credential(
            self.hass,
            "ochno",
            ClientCredential(client_id, secret or f"{client_id}-secret", name),
            auth_domain=client_id,
        )

    async def request(self, method: str, path: str, json: Any = None) -> Any:
        """Speak to Home Assistant as the frontend does; return the JSON of the answer."""
        async with self.client.request(
            method, path, json=json, headers={"HA-Frontend-Base": FRONTEND}
        ) as response:
            text = await response.text()
            self.canaries.tell(f"answer to {method} {path}", text)
            assert response.status == 200, text
            return orjson.loads(text)

    async def start(self, **extra: Any) -> Step:
        """Open the dialog that adds the integration."""
        answer: Step = await self.request("POST", FLOWS, {"handler": "ochno", **extra})
        return answer

    async def submit(self, step: Step, **user_input: Any) -> Step:
        """Fill in a form of a dialog."""
        answer: Step = await self.request("POST", f"{FLOWS}/{step['flow_id']}", user_input)
        return answer

    async def come_back(self, step: Step, location: str) -> Step:
        """Follow the redirect from the sign-in page to Home Assistant; return the next step."""
        url = URL(location, encoded=True)
        assert str(url).startswith(f"{FRONTEND}/auth/external/callback")
        async with self.client.get(URL(url.raw_path_qs, encoded=True)) as response:
            assert response.status == 200, await response.text()
        step = await self.request("GET", f"{FLOWS}/{step['flow_id']}")
        await self.settle()
        return step

    async def sign_in(self, step: Step, account: str | None = None) -> Step:
        """Sign in and approve at the simulator, and come back."""
        return await self.come_back(step, await self.simulator.approve(step["url"], account))

    async def add(self, account: str | None = None, **user_input: Any) -> Step:
        """Go through the whole dialog; return its last step."""
        return await self._go_through(await self.start(), account, user_input)

    async def reconfigure(self, account: str | None = None, **user_input: Any) -> Step:
        """Go through the whole dialog for the entry that is there; return its last step."""
        step = await self.start(entry_id=self.entry.entry_id)
        return await self._go_through(step, account, user_input)

    async def _go_through(self, step: Step, account: str | None, user_input: Step) -> Step:
        user_input = {"server": self.simulator.url, "access": "read", **user_input}
        return await self.sign_in(await self.submit(step, **user_input), account)

    async def link(self, account: str | None = None, **user_input: Any) -> ConfigEntry:
        """Add the integration with default credentials and return its entry."""
        await self.add_credentials()
        step = await self.add(account, **user_input)
        assert step["type"] == "create_entry", step
        return self.entry

    @property
    def dialogs(self) -> list[str]:
        """Why each dialog of the integration is open, such as `reauth`."""
        flows = self.hass.config_entries.flow.async_progress_by_handler("ochno")
        return [flow["context"]["source"] for flow in flows]

    @property
    def entry(self) -> ConfigEntry:
        """The only entry of the integration."""
        [entry] = self.hass.config_entries.async_entries("ochno")
        return entry

    async def call(self, platform: str, action: str, hub: str, key: str, **data: Any) -> None:
        """Do something with a hub's entity, as the frontend does, and wait for its end."""
        target = {"entity_id": self.entity_id(platform, hub, key)}
        try:
            await self.hass.services.async_call(
                platform, action, data, blocking=True, target=target
            )
        except Exception as err:
            self.canaries.tell(f"error of {action}", "".join(traceback.format_exception(err)))
            raise

    async def be_reachable(self) -> None:
        """Have an address on the internet that the simulator can deliver to."""
        self.simulator.settings.deliver_to = str(self.client.make_url("/")).rstrip("/")
        await self.hass.config.async_update(external_url=FRONTEND)
        await self.settle()

    async def post(
        self,
        body: Any,
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
    ) -> int:
        """Deliver something to the webhook, bytes as they are; return the status answered."""
        [subscription] = self.simulator.subscriptions.live()
        url = URL(subscription.webhook_url).path
        body = body if isinstance(body, bytes) else orjson.dumps(body)
        async with self.client.post(url, data=body, headers=headers, params=query) as response:
            assert await response.read() == b""
            return response.status

    def enable_instant_updates_sensor(self) -> None:
        """Enable the sensor before the account is linked."""
        unique_id = f"{self.simulator.cloud.account().id}_instant_updates"
        er.async_get(self.hass).async_get_or_create("sensor", "ochno", unique_id)

    @property
    def instant_updates(self) -> str | None:
        """The state of the sensor *Instant updates*; None if there is none."""
        unique_id = f"{self.entry.unique_id}_instant_updates"
        registry = er.async_get(self.hass)
        entity_id = registry.async_get_entity_id("sensor", "ochno", unique_id)
        state = None if entity_id is None else self.hass.states.get(entity_id)
        return None if state is None else state.state

    async def poll_interval(self) -> int:
        """Measure the seconds between two polls, to the ten."""

        async def seconds_to_poll() -> int:
            polls, seconds = self.requests(HUBS), 0
            while self.requests(HUBS) == polls:
                await self.wait(2)
                seconds += 2
                assert seconds < 200, "no poll"
            return seconds

        await seconds_to_poll()
        return round(await seconds_to_poll(), -1)

    async def until(self, condition: Callable[[], object]) -> None:
        """Let things happen, but no time pass, until a condition holds."""
        for _ in range(50_000):
            if condition():
                return
            await asyncio.sleep(0)
        raise AssertionError("it never happened")

    async def settle(self) -> None:
        """Let everything that is under way finish."""
        await self.hass.async_block_till_done(wait_background_tasks=True)

    async def delivered(self) -> None:
        """Wait until the simulator has delivered all that it has to deliver."""
        while any(
            delivery.status is None and delivery.error is None
            for delivery in self.simulator.deliveries
        ):
            await asyncio.sleep(0)
        await self.hass.async_block_till_done()

    def pass_time(self, seconds: float) -> None:
        """Let time pass at once, and what is due by then begin."""
        assert self.freezer is not None
        self.freezer.tick(timedelta(seconds=seconds))
        async_fire_time_changed(self.hass)

    async def wait(self, seconds: float) -> None:
        """Let time pass at once, and what is due by then happen."""
        self.pass_time(seconds)
        await self.settle()

    async def poll(self, times: int = 1) -> None:
        """Let so many polls happen."""
        for _ in range(times):
            await self.wait(POLL + 1)

    def entity_id(self, platform: str, hub: str, key: str) -> str | None:
        """Find an entity by its hub's name in the simulator; None if it is not registered."""
        unique_id = f"{self.simulator.hub(hub).id}_{key}"
        return er.async_get(self.hass).async_get_entity_id(platform, "ochno", unique_id)

    def state(self, platform: str, hub: str, key: str) -> str | None:
        """Return the state of a hub's entity; None if there is none."""
        entity_id = self.entity_id(platform, hub, key)
        state = None if entity_id is None else self.hass.states.get(entity_id)
        return None if state is None else state.state

    def device(self, hub: str) -> dr.DeviceEntry | None:
        """Find the device of a hub by the hub's name in the simulator."""
        registry = dr.async_get(self.hass)
        identifier = ("ochno", self.simulator.hub(hub).id)
        return registry.async_get_device_by_identifier(identifier, self.entry.entry_id)

    def requests(self, path: str, method: str = "GET") -> int:
        """Count the requests to a path of the simulator."""
        return sum(
            request.method == method and request.path.partition("?")[0] == path
            for request in self.simulator.requests
        )
