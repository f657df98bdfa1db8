"""Cancels that are declined, too late, or unanswered: hazard A26."""

from tests.sim.staged import batch, scenario, staged


@scenario
async def test_a26_a_cancel_is_declined_with_status_200():
    rule = {
        "at": "cancelling", "when": {"once": True}, "then": {"do": "decline", "reason": "busy"},
    }  # fmt: skip
    for method, path in (("DELETE", "/cancel-all"), ("DELETE", "/orders"), ("DELETE", "/order")):
        async with staged(rule) as stage:
            trader = await stage.client.trader()
            _, rows = await stage.post(trader, stage.buy(trader, price=3000, kind="GTC"))
            order_id = rows[0]["orderID"]
            bodies = {
                "/cancel-all": b"",
                "/orders": f'["{order_id}"]'.encode(),
                "/order": f'{{"orderID":"{order_id}"}}'.encode(),
            }
            reply = await stage.client.signed(trader, method, path, bodies[path])
            assert reply == (200, {"canceled": [], "not_canceled": {order_id: "busy"}})
            assert (await stage.outcome(order_id))["status"] == "LIVE"
            reply = await stage.client.signed(trader, method, path, bodies[path])
            assert reply[1]["canceled"] == [order_id]


@scenario
async def test_a26_one_cancel_of_several_is_declined():
    rule = {"at": "DELETE /orders", "when": {"leg": 2}, "then": {"do": "decline"}}
    async with staged(rule) as stage:
        trader = await stage.client.trader()
        bodies = [stage.buy(trader, price=3000 + n * 10, kind="GTC") for n in range(3)]
        ids = [row["orderID"] for row in (await stage.post(trader, *bodies))[1]]
        asked = batch(*(f'"{one}"'.encode() for one in ids))
        _, reply = await stage.client.signed(trader, "DELETE", "/orders", asked)
        assert reply["canceled"] == [ids[0], ids[2]]
        assert reply["not_canceled"] == {ids[1]: "order is being processed"}


@scenario
async def test_a26_a_cancel_of_a_filled_order_and_a_cancel_that_times_out():
    async with staged() as stage:
        trader = await stage.client.trader()
        filled, resting = stage.buy(trader), stage.buy(trader, price=3000, kind="GTC")
        ids = [row["orderID"] for row in (await stage.post(trader, filled, resting))[1]]
        asked = batch(*(f'"{one}"'.encode() for one in ids))
        await stage.script({"at": "DELETE /orders", "when": {"once": True}, "then": {"do": "lose"}})
        await stage.lost(trader, "DELETE", "/orders", asked)
        assert (await stage.outcome(ids[1]))["status"] == "CANCELED"
        _, reply = await stage.client.signed(trader, "DELETE", "/orders", asked)
        assert reply["canceled"] == []
        assert set(reply["not_canceled"]) == set(ids)
