"""Built-in plugins, registered through the same hooks as a stranger's."""
