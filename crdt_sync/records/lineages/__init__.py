"""Lineages: a record written into a fresh document, and what is still written into the old one carried over."""
