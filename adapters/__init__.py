"""Everything that speaks a foreign protocol: platforms and models, an island each."""
