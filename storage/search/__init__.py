"""Full-text search over the archive: `index` writes, `find` reads, both in the archive's transactions."""
