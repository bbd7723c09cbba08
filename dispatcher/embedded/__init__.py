"""The whole stack on one machine, from wheels alone: Valkey, SQLite, sandbox, worker and clock; nothing is left behind.

`stack.py` starts and stops it; `home.py` is the folder it lives in; `child.py` and `leash.py` see to it that no process
outlives the one that started it. `reconcile.py` compares the sandbox's journal with the ledger. `demo/` is the demo.
"""
