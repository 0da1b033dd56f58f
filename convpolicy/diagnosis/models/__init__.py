"""`why` for whole models: which module differs, what differs in it, and the line that changes it."""
