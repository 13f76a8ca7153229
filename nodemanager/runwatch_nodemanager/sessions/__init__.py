"""Agent sessions that were begun outside: found on this machine, followed, shown as runs."""
