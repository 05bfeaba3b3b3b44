"""Ochno Operated as a strict HTTP server for tests, demonstrations and benchmarks.

Only 127.0.0.1 is listened on, and nothing is ever sent elsewhere.
"""

from .faults import Fault
from .hub import SimHub
from .identity import Application
from .simulator import Simulator

__all__ = ["Application", "Fault", "SimHub", "Simulator"]
