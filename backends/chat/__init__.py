"""What every engine that decodes chat answers in this process needs, whatever runs the model.

asked.py      an OpenAI chat body → `Asked`, or a refusal with `param`
messages.py   the conversation a chat template is given, without the caller's control tokens
turns.py      one thread that steps many generations in turn
stops.py      cut a text before its stop strings
chunks.py     pieces of text → OpenAI chunks and documents
"""
