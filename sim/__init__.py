"""The simulated exchange: an independent implementation of the venue's protocol on localhost.

It imports nothing of ours but `shm.units` and `shm.errors`, and never a signer or a parser of the
other folders: two readings of one protocol are only worth something while they stay apart.
"""
