"""Calls as fast as each client can: no queue, no ledger. The ceiling of what stands on it."""

from __future__ import annotations

import asyncio
import json
import queue
import threading

from benchmarks.measuring import Bench, Figure, here

THREADS = 64
"""For requests; more of them are slower."""


def bare_aiohttp(bench: Bench) -> Figure:
    """Call with one aiohttp session."""
    import aiohttp

    async def run() -> None:
        left = iter(range(bench.messages))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def go() -> None:
                for n in left:
                    body = json.dumps({"recipient": f"+614{n:08d}", "message": "Your code is 123456"})
                    headers = {"Authorization": "Bearer t", "Idempotency-Key": str(n)}
                    async with session.post(f"{bench.api}/sendSMS", data=body, headers=headers) as answer:
                        await answer.json()

            await asyncio.gather(*(go() for _ in range(bench.in_flight)))

    return here(bench.messages, lambda: asyncio.run(run()))


def bare_requests(bench: Bench) -> Figure:
    """Call with threads, a requests session for each."""
    import requests

    def run() -> None:
        left: queue.SimpleQueue[int] = queue.SimpleQueue()
        for n in range(bench.messages):
            left.put(n)

        def go() -> None:
            with requests.Session() as session:
                while True:
                    try:
                        n = left.get_nowait()
                    except queue.Empty:
                        return
                    headers = {"Authorization": "Bearer t", "Idempotency-Key": str(n)}
                    body = {"recipient": f"+614{n:08d}", "message": "Your code is 123456"}
                    session.post(f"{bench.api}/sendSMS", json=body, headers=headers).json()

        threads = [threading.Thread(target=go) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return here(bench.messages, run)
