"""The teacher: a larger model behind an OpenAI-compatible server, and the ledger of its replies."""
