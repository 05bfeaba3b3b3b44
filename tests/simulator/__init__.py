"""Ochno Operated as a strict HTTP server for tests, demonstrations and benchmarks.

Only 127.0.0.1 is listened on, and nothing is ever sent elsewhere.
"""

from .cloud import Account, Cloud, Space, User
from .faults import Fault
from .hub import SimHub
from .identity import Application
from .settings import Settings
from .simulator import Request, Simulator
from .subscriptions import Delivery, Subscription

__all__ = [
    "Account",
    "Application",
    "Cloud",
    "Delivery",
    "Fault",
    "Request",
    "Settings",
    "SimHub",
    "Simulator",
    "Space",
    "Subscription",
    "User",
]
