"""The quality of generated images: features, their moments, and the FID."""
