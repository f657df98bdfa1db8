"""The named limits of the venue and of this process; nothing else states one.

Where protocol.md gives a number it is used; the others are ours and exist so that no client can
make the process grow without end.
"""

# Requests.
MAX_BODY_BYTES = 1 << 20
MAX_BATCH_ORDERS = 15
MAX_CANCEL_IDS = 1000
MAX_BOOKS_REQUEST = 500
MAX_CONDITION_IDS = 100
PAGE_ROWS = 100
GAMMA_PAGE_ROWS = 100

# Accounts and what is kept in memory for them.
MAX_API_KEYS = 1000
MAX_OPEN_ORDERS_PER_WALLET = 2000
MAX_FINISHED_ORDERS = 100_000
MAX_KNOWN_HASHES = 1_000_000
MAX_FINISHED_TRADES = 100_000

# Clocks.
AUTH_SKEW_S = 60
GTD_SAFETY_MS = 60_000
HEARTBEAT_SILENCE_MS = 10_000
HEARTBEAT_SWEEP_MS = 5_000
CONNECTION_WATCH_S = 0.02
"""How often a request that is never answered looks whether its client has gone."""

# Sockets.
MAX_SOCKETS = 256
MAX_MESSAGE_BYTES = 256 * 1024
SNAPSHOT_TOKENS = 500
MAX_SOCKET_TOKENS = 2000
MAX_SOCKET_MARKETS = 2000
MAX_UNSENT_BYTES = 16 << 20
FIRST_FRAME_WAIT_S = 30.0

# Files.
MAX_RECORDED_LINE_BYTES = 4 << 20
MAX_RECORDED_FRAMES = 2_000_000
