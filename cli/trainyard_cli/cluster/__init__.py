"""The commands for clusters. Only they import the `kubernetes` package, and only when one of them is used."""
