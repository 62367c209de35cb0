"""What was used: counted where a request ends, kept by the hour."""
