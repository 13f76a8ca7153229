"""What a run changed in its workspace: how it was before, what differs after, as events."""
