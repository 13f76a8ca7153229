"""Full-screen views of the console."""
