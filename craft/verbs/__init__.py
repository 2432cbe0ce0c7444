"""The verbs of the command line: each adds its arguments, calls one function and prints. Heavy imports wait for its run."""
