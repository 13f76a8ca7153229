"""A program's command line as data, and what is made of it: completions and a manual page."""
