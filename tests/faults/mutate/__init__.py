"""Mutations: what is broken on purpose, and the program that replays it."""
