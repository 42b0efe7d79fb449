"""The tests. A package, since a library (tf-keras-vis) installs one of the same name."""
