"""A trained network made into a model that takes raw columns, in every form asked for, and published."""
