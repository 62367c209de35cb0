"""The request shapes we accept, one file per endpoint."""
