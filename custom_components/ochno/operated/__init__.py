"""Client for the Ochno Operated cloud API."""
