"""What every engine that decodes chat answers in this process needs, whatever runs the model.

asked.py      an OpenAI chat body → `Asked`, or a refusal with `param`; fields.py reads by type
completions.py  the same for OpenAI's older completions, and their wire form
messages.py   the conversation a chat template is given, without the caller's control tokens
turns.py      one thread that steps many generations in turn
stops.py      cut a text before its stop strings
chunks.py     pieces of text → OpenAI chunks and documents
shapes.py     `response_format` → a schema in which nothing is endless
tools.py      tools and the choice among them; calls.py finds calls in text as it arrives
logits.py     log-probabilities, bias and penalties; spelling.py has the bytes of each token
genai.py      one ONNX GenAI model, and one choice in the making; genai_folder.py reads its files
"""
