"""Downloads of public raw data, by data set: a module here is a NAME of `mammo-tf data fetch`.

No TensorFlow. Everything that comes over the network is checked before it is believed.
"""
