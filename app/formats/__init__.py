"""Domain results → the formats a request asks for, once for all engines."""
