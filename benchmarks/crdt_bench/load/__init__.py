"""Load generators. They run in processes of their own and spend as little as they can."""
