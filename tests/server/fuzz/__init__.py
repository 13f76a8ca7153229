"""Generated calls against every operation of the OpenAPI document."""
