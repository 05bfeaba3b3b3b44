"""Run the simulator on its own: python -m tests.simulator --port 8124."""

import argparse
import asyncio
import errno
import signal
import sys

from .simulator import HOST, Simulator


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulator", description="Ochno Operated, simulated on this machine."
    )
    parser.add_argument("--port", type=int, default=8124, help="0 takes a free one")
    parser.add_argument("--hubs", type=int, default=0, metavar="N", help="so many more hubs")
    parser.add_argument(
        "--redirect-uri",
        action="append",
        default=[],
        metavar="URI",
        help="allow sign-ins to return here, too (several times if need be)",
    )
    parser.add_argument(
        "--deliver-to",
        metavar="URL",
        help="send webhooks to this server, e.g. http://127.0.0.1:8123, whatever host they name",
    )
    return parser.parse_args()


async def _run(arguments: argparse.Namespace) -> int:
    simulator = Simulator(port=arguments.port, hubs=arguments.hubs)
    simulator.settings.deliver_to = arguments.deliver_to
    for application in simulator.applications.values():
        if "authorization_code" in application.grant_types:
            application.redirect_uris += arguments.redirect_uri
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    try:
        await simulator.start()
    except OSError as error:
        reason = "is in use already" if error.errno == errno.EADDRINUSE else f"failed: {error}"
        print(f"Port {arguments.port} on {HOST} {reason}.", file=sys.stderr)
        return 1
    print(f"Ochno Operated (simulated) is at {simulator.url}", flush=True)
    await over.wait()
    await simulator.stop()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_run(_arguments())))
