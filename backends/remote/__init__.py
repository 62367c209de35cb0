"""What it takes to ask another OpenAI-compatible server: the connection, its streams, its answers."""
