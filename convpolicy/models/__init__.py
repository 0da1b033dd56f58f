"""Whole models of any framework: their modules, what each module computes, and a recording of one run."""
