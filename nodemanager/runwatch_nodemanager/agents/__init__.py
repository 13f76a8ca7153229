"""What is executed: the command line of each agent, and its lines as events."""
