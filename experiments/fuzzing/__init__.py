"""Damaged files for every door of the package: samples, mutations, doors, a judge, and the process that may crash."""
