"""From similarities and masks to maps: sums, control variates, errors, and how many masks it takes."""
