"""Door two: measurement, by our own probes or by what other tools wrote."""
