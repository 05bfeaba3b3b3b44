"""Command line of the simulator: python -m tests.simulator --port 8124."""

import argparse
import asyncio
import errno
import signal
import sys

from .simulator import HOST, Simulator


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulator", description="Run a simulator of Ochno Operated."
    )
    parser.add_argument(
        "--port", type=int, default=8124, help="port to listen on; 0 selects a free port"
    )
    parser.add_argument(
        "--hubs", type=int, default=0, metavar="N", help="number of hubs to add to the demo data"
    )
    parser.add_argument(
        "--building", action="store_true", help="add the other rooms of the demo's building"
    )
    parser.add_argument(
        "--redirect-uri",
        action="append",
        default=[],
        metavar="URI",
        help="additional OAuth2 redirect URI; can be repeated",
    )
    parser.add_argument(
        "--deliver-to",
        metavar="URL",
        help="send all webhooks to this server instead of their own host, "
        "for example http://127.0.0.1:8123",
    )
    return parser.parse_args()


async def _run(arguments: argparse.Namespace) -> int:
    simulator = Simulator(port=arguments.port, hubs=arguments.hubs)
    if arguments.building:
        simulator.database.add_building()
    simulator.settings.deliver_to = arguments.deliver_to
    for application in simulator.applications.values():
        if "authorization_code" in application.grant_types:
            application.redirect_uris += arguments.redirect_uri
    stopped = asyncio.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_number, stopped.set)
    try:
        await simulator.start()
    except OSError as error:
        reason = "is in use already" if error.errno == errno.EADDRINUSE else f"failed: {error}"
        print(f"Port {arguments.port} on {HOST} {reason}.", file=sys.stderr)
        return 1
    print(f"Ochno Operated (simulated) is at {simulator.url}", flush=True)
    await stopped.wait()
    await simulator.stop()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_run(_parse_arguments())))
