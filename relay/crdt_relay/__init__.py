"""The relay that devices sync through: a pure hub, a server around it, and a worker that integrates foreign bytes."""
