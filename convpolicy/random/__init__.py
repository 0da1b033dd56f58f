"""Random streams with NumPy alone: how each framework turns a seed into numbers. Registered by `convpolicy.builtin.streams`."""
