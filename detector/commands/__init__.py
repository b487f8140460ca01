"""One file a command; each holds a typer callback and nothing that another command needs."""
