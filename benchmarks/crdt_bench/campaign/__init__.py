"""The fault campaign: real files, real processes and hostile bytes, each part run from a seed."""
