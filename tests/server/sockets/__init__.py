"""Tests of what open sockets are told: the monitor's feeds, and the events of runs."""
