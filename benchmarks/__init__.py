"""Benchmarks of the integration with a real Home Assistant and the simulator."""
