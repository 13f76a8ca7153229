"""A made-up fleet, seeded, which lives without any server: real contract records through the same
seam. Nothing here is loaded unless it is asked for.
"""
