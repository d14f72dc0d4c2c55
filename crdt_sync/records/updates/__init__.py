"""The bytes of updates, state vectors and delete sets: read, compared and written without building a document."""
