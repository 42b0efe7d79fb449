"""Paint lesions with ciGAN and see whether they help a classifier, as Peterka et al. 2020."""
