"""What leaks between the parts of a split: patients, images, copies. No TensorFlow."""
