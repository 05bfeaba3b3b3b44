"""Simulator of Ochno Operated: a strict HTTP server for tests, demonstrations and benchmarks.

It listens on 127.0.0.1 only and sends webhooks to this machine only.
"""

from .faults import Fault
from .hub import SimHub
from .oauth import Application
from .simulator import Simulator

__all__ = ["Application", "Fault", "SimHub", "Simulator"]
