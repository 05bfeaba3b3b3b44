"""The API client by itself, without Home Assistant."""
