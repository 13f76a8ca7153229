"""The places every container of a run has."""

from typing import Final

WORKSPACE: Final = "/workspace"
"""The run's workspace, where the agent begins."""
HOME: Final = "/tmp"
"""Memory of the container's own, writable by whatever user it runs as."""
PLACES: Final = (WORKSPACE, HOME)
SHELL: Final = "/bin/sh"
"""What sets variables that the engine must not know, and tells all processes a signal."""
