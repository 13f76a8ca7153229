"""What the server does with its time, told by OpenTelemetry where that is configured."""
