"""The front door and the command line: HTTP in, contract out."""
