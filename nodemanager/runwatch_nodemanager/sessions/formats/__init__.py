"""What the transcripts of each agent mean, as events without numbers."""
