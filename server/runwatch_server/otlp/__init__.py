"""OpenTelemetry in: what agents export, as runs with events, usage and cost (contract 14)."""
