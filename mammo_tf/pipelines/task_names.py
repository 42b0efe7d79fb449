"""Names of the tasks of two classes; imports nothing."""

# In the order in which "auto" tries them.
BINARY_TASKS = ("pairs", "lesion", "patch", "whole")
# Those that cut patches: sizes are in millimetres, and no image is resized as a whole.
PATCH_TASKS = ("lesion", "patch")
