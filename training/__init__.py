"""The making of nano, the decoder inside the package: pictures, teacher, training, figures."""
