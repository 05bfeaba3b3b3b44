"""Home Assistant and the simulator as processes, for the demo, benchmarks and browser tests."""
