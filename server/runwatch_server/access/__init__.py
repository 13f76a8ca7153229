"""Parts of who may do what: tokens, passwords, sessions, addresses, rates and the route table."""
