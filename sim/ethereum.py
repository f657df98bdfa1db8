"""eth-account, as the exchange uses it: the only file that imports it.

One of its dependencies (py_ecc) raises Python's recursion limit to 100,000 for the whole process.
The C stack holds far fewer calls: a body of 100,000 brackets would end the process where the
default limit ends only the request. So the limit is put back.
"""

import sys

_LIMIT = sys.getrecursionlimit()

from eth_account import Account  # noqa: E402
from eth_account.messages import SignableMessage, encode_typed_data  # noqa: E402

sys.setrecursionlimit(_LIMIT)

__all__ = ["Account", "SignableMessage", "encode_typed_data"]
