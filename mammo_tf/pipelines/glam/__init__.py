"""GLAM on images of any size: their place in its input, its maps in their own geometry."""
