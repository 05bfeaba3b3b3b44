"""Tests of the blueprints: their files, and automations that use them."""
