"""Other identity services, which say whom a token stands for."""
