"""What is known about a request while it is served: its id, its log line, its metrics."""
