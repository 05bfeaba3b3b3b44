"""A user in a browser, Home Assistant in a process of its own, the simulator; nothing patched."""
