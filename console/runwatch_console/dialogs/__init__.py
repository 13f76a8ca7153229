"""Questions of the console, each a modal screen with a typed answer."""
