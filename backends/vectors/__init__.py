"""What every engine of vectors and scores needs, whatever computes them.

folder.py     what a model's folder says of itself: limits, pooling, prompts; revision of its weights
graph.py      what an ONNX file holds, without loading it
providers.py  how onnxruntime is to compute, by the vendor of the share
reading.py    texts → tokens, pairs of texts, padded batches
asked.py      one caller's task as a request for the batcher
serving.py    the options and the life of such an engine
on_torch.py   sentence-transformers and cross-encoders on torch; devices.py finds its device and dtype
"""
