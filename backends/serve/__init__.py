"""Hosting on Ray Serve: the one deployment class, its applications, and a private cluster."""
