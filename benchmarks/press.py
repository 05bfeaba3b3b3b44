"""Process that presses buttons of a simulated hub, as a person in the room does."""

import asyncio
import sys

import aiohttp

PRESSES = 100


async def press_buttons(simulator_url: str, hub: str) -> None:
    """Press the buttons of ports 2 and 3 alternately."""
    async with aiohttp.ClientSession() as session:
        for number in range(PRESSES):
            url = f"{simulator_url}/simulator/hubs/{hub}/press"
            async with session.post(url, json={"port": 2 + number % 2}) as response:
                response.raise_for_status()
            await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(press_buttons(*sys.argv[1:]))
