"""How nano, the decoder inside the package, was made: pictures, teacher, training, figures."""
