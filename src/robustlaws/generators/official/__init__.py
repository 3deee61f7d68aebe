"""Published EDM, PFGM++ and discriminator checkpoints: read without running code in them, and converted."""
