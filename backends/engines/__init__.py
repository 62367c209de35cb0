"""One file an engine; heavy imports only inside `load()`."""
