"""Vision models as participants of a human study."""
