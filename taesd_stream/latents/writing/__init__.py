"""Writers of latents, one by one or region by region, in bounded memory."""
