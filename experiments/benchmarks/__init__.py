"""Is it fast, and does it give the same numbers?"""
