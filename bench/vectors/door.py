"""The door under plain uvicorn, the hosts in its process: python -m bench.vectors.door FLEET PORT"""

import sys
from pathlib import Path

import uvicorn
import yaml

from app.main import create_app
from app.settings import Settings
from app.upstream.local import LocalUpstream
from backends.fleet.schema import Fleet

if __name__ == "__main__":
    fleet = Fleet.model_validate(yaml.safe_load(Path(sys.argv[1]).read_text()))
    app = create_app(Settings(_env_file=None), fleet, LocalUpstream.from_fleet(fleet))
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", access_log=False)
