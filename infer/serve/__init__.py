"""The serving of answers: the vLLM engine, and the constraints under which it decodes."""
