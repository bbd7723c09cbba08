"""The same job done by other queues, each as its own documentation says: row in, task, shared token, POST, row out."""
