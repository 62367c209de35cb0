"""The fleet file: what runs where, checked. Pure: pydantic, PyYAML and the contract."""

# The Ray label of a node, its value a key of `nodes`: what places select.
NODE_LABEL = "motley-node"

# The front door's application; every other one is a variant (`app_name`).
DOOR = "door"
