"""What sources of imports said, and what people began a record with: remembered in the record itself."""
