"""The device's command `crdt-sync`; `main` is its entry point."""
