"""Of the repository as a whole: linters, layers, documents, and packages."""
