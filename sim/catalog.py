"""Which events and markets Gamma knows, open and closed, and how they are found."""

from collections import OrderedDict

from sim.ladders import ListedEvent, Listing

MAX_EVENTS = 256
"""Closed events beyond this are forgotten, the oldest first."""

Listed = tuple[ListedEvent, Listing]


class Catalog:
    """Events by id and slug; their markets by id, slug and condition id."""

    def __init__(self) -> None:
        self.events: OrderedDict[str, ListedEvent] = OrderedDict()
        self.event_by_slug: dict[str, ListedEvent] = {}
        self.markets: OrderedDict[str, Listed] = OrderedDict()
        self.market_by_slug: dict[str, Listed] = {}
        self.market_by_condition: dict[str, Listed] = {}

    def add(self, event: ListedEvent) -> None:
        """List an event with its markets; `ValueError` when its slug is taken."""
        if event.slug in self.event_by_slug:
            raise ValueError(f"event {event.slug} is listed")
        self.events[event.event_id] = event
        self.event_by_slug[event.slug] = event
        for listing in event.listings:
            self.markets[listing.market_id] = (event, listing)
            self.market_by_slug[listing.slug] = (event, listing)
            self.market_by_condition[listing.facts.condition_id] = (event, listing)
        if len(self.events) > MAX_EVENTS:
            self._forget(next(iter(self.events.values())))

    def renew(self, event: ListedEvent) -> None:
        """List an event, in place of what was listed under its slug before."""
        known = self.event_by_slug.get(event.slug)
        if known is not None:
            self._forget(known)
        self.add(event)

    def _forget(self, event: ListedEvent) -> None:
        del self.events[event.event_id], self.event_by_slug[event.slug]
        for listing in event.listings:
            del self.markets[listing.market_id], self.market_by_slug[listing.slug]
            del self.market_by_condition[listing.facts.condition_id]
