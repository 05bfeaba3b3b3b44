"""Client for the Ochno Operated cloud API. Independent of Home Assistant."""
