"""Training of diffusion networks and of the discriminator of their guidance."""
