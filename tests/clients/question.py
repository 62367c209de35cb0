"""What rerankers are asked, by whichever client. The second document is the answer."""

MODEL = "minilm-reranker"
QUERY = "What is the capital of France?"
DOCUMENTS = [
    "Bread is baked from flour.",
    "Paris is the capital of France.",
    "France has many cheeses.",
    "Berlin is the capital of Germany.",
]
