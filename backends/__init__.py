"""The engines and their hosting. Never imports `app` or FastAPI."""
