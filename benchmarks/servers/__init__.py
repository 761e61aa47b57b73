"""What others would serve the same model with; each is started in a process of its own."""
