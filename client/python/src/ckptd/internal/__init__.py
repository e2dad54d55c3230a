"""How the client works inside; nothing here is for users."""
