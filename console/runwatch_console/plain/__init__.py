"""The console in lines, for screen readers: one line a change, commands typed as lines."""
