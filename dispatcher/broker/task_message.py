"""A task without arguments, as Celery publishes it through Redis: its protocol 2 inside kombu's envelope.

``CeleryBell`` writes it with the connection that it has already. An application that only enqueues then loads neither
Celery nor kombu, which would cost it a sixth of its memory and of its start, and keeps no second connection. A test
compares every field with what the installed Celery publishes itself.
"""

from __future__ import annotations

import json
import os
import socket
from uuid import uuid4

_BODY = "W1tdLCB7fSwgeyJjYWxsYmFja3MiOiBudWxsLCAiZXJyYmFja3MiOiBudWxsLCAiY2hhaW4iOiBudWxsLCAiY2hvcmQiOiBudWxsfV0="
"""Base64 of ``[[], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]``: no arguments."""


def task_message(task: str, *, queue: str) -> str:
    """Return the text to push onto the queue's list."""
    id_ = str(uuid4())
    return json.dumps(
        {
            "body": _BODY,
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                "lang": "py",
                "task": task,
                "id": id_,
                "shadow": None,
                "eta": None,
                "expires": None,
                "group": None,
                "group_index": None,
                "retries": 0,
                "timelimit": [None, None],
                "root_id": id_,
                "parent_id": None,
                "argsrepr": "()",
                "kwargsrepr": "{}",
                "origin": f"gen{os.getpid()}@{socket.gethostname()}",
                "ignore_result": True,
                "replaced_task_nesting": 0,
                "stamped_headers": None,
                "stamps": {},
            },
            "properties": {
                "correlation_id": id_,
                "reply_to": "",
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": queue},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": str(uuid4()),
            },
        }
    )
