"""The sandbox, tested from outside: a real process, real sockets."""
