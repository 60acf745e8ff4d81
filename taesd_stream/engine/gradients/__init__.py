"""Gradients of pictures by latents, and of latents by pictures, tile by tile.

A forward pass keeps nothing but its input. A backward pass computes every tile again, goes back
through it, and adds up what the halos of neighbours share (StreamingCNN, Pinckaers et al., TPAMI
2020, did so for classification networks): its memory is that of a tile, whatever the size.
"""
