"""The model test: a plain model of the ledger, and who acts on both in any order."""
