"""One part of the API a file."""
