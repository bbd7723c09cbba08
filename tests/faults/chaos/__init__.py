"""Chaos: the real system under load while everything around it fails, from one seed, and then the books.

    world     servers and processes: Redis or Valkey, PostgreSQL or SQLite, sandbox, workers, clocks, producers
    wires     TCP proxies in front of the API (with TLS) and of PostgreSQL, which can misbehave
    troubles  how each kind of trouble is made, and ended again
    faults    what can go wrong, by name: the catalogue
    plan      which of it goes wrong when: drawn from the seed alone
    books     what must hold afterwards, message by message

`python -m tests.faults.chaos --minutes 10 --seed 3` runs one; `make chaos` runs several.
"""
