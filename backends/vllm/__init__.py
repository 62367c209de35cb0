"""Running `vllm serve` as a child: its flags, its log, its answers. vLLM itself is never imported here."""
