"""Domain results → the formats that callers ask for, once for all engines."""
