"""What ships with Motley: the demo chat model and the MiniLM graph."""
