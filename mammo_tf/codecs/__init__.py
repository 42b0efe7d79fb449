"""JPEG 2000: one layered codestream that holds an image at many compression ratios.

`jpeg2000` makes and decodes the ladder, `measure` says what each ratio costs, `openjpeg` finds
the codec. No TensorFlow.
"""
