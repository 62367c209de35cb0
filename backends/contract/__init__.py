"""What the front door and the engines agree on. Pure: pydantic and the standard library only."""
