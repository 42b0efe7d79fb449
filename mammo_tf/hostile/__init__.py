"""Files made to hurt a reader, and a worker process that can be hurt: for tests and tools/fuzz.py.

Nothing else of the library imports this.
"""
