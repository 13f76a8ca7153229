"""Who changed what, and who was refused: a chained file beside the database."""
