"""Many sites on many machines: captures of a whole client to one dataset, and questions to it."""
