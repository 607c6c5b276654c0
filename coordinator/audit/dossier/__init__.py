"""Dossiers for an ethics board, from a verified bundle alone: HTML, PDF and a registry form."""
