"""Whatever comes in from outside, it is taken or refused by name: it never crashes us, hangs us or is taken by half."""
