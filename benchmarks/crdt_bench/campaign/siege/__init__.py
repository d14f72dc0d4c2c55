"""Attacks on a running relay, beside honest devices that must not feel them."""
