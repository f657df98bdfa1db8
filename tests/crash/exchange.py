"""The simulated exchange with a busier counterparty: riskless sets are offered often and briefly.

An executor that lives for half a second has to find something to do. Everything else is
`python -m sim`.
"""

from sim import generator
from sim.__main__ import main

generator.LIFE_MIN_MS, generator.LIFE_MAX_MS = 80, 250
generator.REST_MS = 5
generator.LEG_SPREAD_MS = 2

if __name__ == "__main__":
    main()
