"""Tests of the teacher: a scripted server, the client, the ledger and what replies cost."""
