"""A door in a process of its own, which tests may end as they like: `python -m tests.api.door_alone PORT`,
with settings in the environment. Behind it is one model, `one`, of the fake engine."""

import sys

import uvicorn

from app.main import create_app
from app.settings import Settings
from app.upstream.local import LocalUpstream

from .doors import on_one_node

if __name__ == "__main__":
    fleet = on_one_node({"one": {"task": "chat", "engine": "fake", "source": "builtin://fake"}})
    app = create_app(Settings(_env_file=None), fleet, LocalUpstream.from_fleet(fleet))
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_config=None, loop="asyncio")
