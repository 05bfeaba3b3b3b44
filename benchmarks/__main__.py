"""Command line of the benchmarks."""

import argparse
import sys

from tests.live.environment import Environment, run_command

from .cost import measure_cost
from .crash import measure_crashes
from .push import measure_push


def main() -> int:
    """Read the command line and run one benchmark."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Benchmarks with a real Home Assistant and the simulator.",
        epilog="To draw the last results of `cost`, run scripts/bench plot.",
    )
    benchmarks = parser.add_subparsers(dest="benchmark", required=True)
    push = benchmarks.add_parser("push", help="delay of a state change, pushed and polled")
    cost = benchmarks.add_parser("cost", help="CPU time and memory for 10 to 3,000 hubs")
    cost.add_argument("--quick", action="store_true", help="only 1,000 hubs, in 3 minutes")
    crash = benchmarks.add_parser("crash", help="recovery after Home Assistant is killed")
    crash.add_argument("--kills", type=int, default=30, help="default: %(default)s")
    crash.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    crash.add_argument("--aimed", action="store_true", help="kill during token refreshes")
    for benchmark in (push, cost, crash):
        Environment.add_arguments(benchmark)
    arguments = parser.parse_args()
    if arguments.benchmark == "crash" and arguments.kills < 1:
        crash.error("--kills must be at least 1")
    environment = Environment.from_arguments(arguments)
    match arguments.benchmark:
        case "push":
            command = measure_push(environment)
        case "cost":
            command = measure_cost(environment, quick=arguments.quick)
        case _:
            command = measure_crashes(
                environment, arguments.kills, arguments.seed, aimed=arguments.aimed
            )
    return run_command("bench", command)


if __name__ == "__main__":
    sys.exit(main())
