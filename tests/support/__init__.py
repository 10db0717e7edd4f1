"""What tests share: made-up records, data and servers."""
