"""Programs that build the project's documents. They run from the root of the project and are not installed."""
