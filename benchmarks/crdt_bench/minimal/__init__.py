"""The smallest hosts of the core, for tests and the campaign: everything is done at once, in one thread."""
