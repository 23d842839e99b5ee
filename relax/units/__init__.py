"""What single units answer to: first filters, pictures that excite them, pictures made for them."""
