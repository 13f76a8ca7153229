"""What crosses a process boundary: records, lifecycles, wire forms; no tier is known here."""
