"""OpenTelemetry in: recordings, orders, sessions, bodies."""
