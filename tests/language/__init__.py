"""Of what people write: configuration, job files, units."""
