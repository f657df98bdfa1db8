"""The contract between the processes: what they share, in which units, and under whose pen."""
