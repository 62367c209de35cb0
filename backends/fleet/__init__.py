"""The fleet file: what runs where, checked. Pure: pydantic, PyYAML and the contract."""
