"""Where to put the instance: legs, journeys, options and their ranking (all pure)."""
