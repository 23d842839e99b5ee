"""Links: which part of one picture is close to which part of another picture, or to which word of a text."""
