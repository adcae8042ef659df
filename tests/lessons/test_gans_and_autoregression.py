"""Facts that lesson 18 relies on."""
