"""Writers of small source files, one module an importer, written from the formats' descriptions and
independent of the importers. Each has `write(folder, *, clips, seed) -> source`.
"""
