// The Node baseline: what a usual bot does with a frame. Written for the bench and nothing else.
//
// JSON.parse, a Map of plain objects as state, prices as floats, and every trio of the market
// evaluated from the best quotes. With an URL it receives the frames itself, through `ws`.
//
//   node baseline.js CORPUS.json          things: parse/<corpus>, decide/<corpus>
//   node baseline.js ws://127.0.0.1:PORT  thing: receive
"use strict";
const fs = require("fs");
const readline = require("readline");

const STRIKES = 19;
const FEE = 0.07;
const WARM_FRAMES = 1000;

class Book {
  constructor() {
    this.bids = new Map();
    this.asks = new Map();
    this.bid = 0;
    this.ask = 1;
    this.bidSize = 0;
    this.askSize = 0;
  }
  replace(event) {
    this.bids = new Map(event.bids.map((l) => [Number(l.price), Number(l.size)]));
    this.asks = new Map(event.asks.map((l) => [Number(l.price), Number(l.size)]));
    this.best();
  }
  change(entry) {
    const side = entry.side === "BUY" ? this.bids : this.asks;
    const price = Number(entry.price);
    const size = Number(entry.size);
    if (size === 0) side.delete(price);
    else side.set(price, size);
    // What the venue says is best is cheaper than looking for it.
    if (entry.best_bid !== undefined) {
      this.bid = Number(entry.best_bid);
      this.ask = Number(entry.best_ask);
    } else this.best();
  }
  best() {
    this.bid = 0;
    this.ask = 1;
    for (const price of this.bids.keys()) if (price > this.bid) this.bid = price;
    for (const price of this.asks.keys()) if (price < this.ask) this.ask = price;
  }
}

// The ladder pair of the other rows: nineteen strikes, eighteen ranges; the market of the frames is
// the strike in the middle, which has a part in two trios, two complements and two ladders.
class Trader {
  constructor() {
    this.books = new Map();
    this.others = [];
    for (let i = 0; i < 4; i++) {
      const book = new Book();
      book.bid = 0.4;
      book.ask = 0.6;
      this.others.push(book);
    }
    this.found = 0;
  }
  book(token) {
    let book = this.books.get(token);
    if (book === undefined) this.books.set(token, (book = new Book()));
    return book;
  }
  take(text) {
    const decoded = JSON.parse(text);
    for (const event of Array.isArray(decoded) ? decoded : [decoded]) {
      if (event.event_type === "price_change") {
        for (const entry of event.price_changes) {
          const book = this.book(entry.asset_id);
          book.change(entry);
          this.evaluate(book); // token by token, as it was done
        }
      } else if (event.event_type === "book") {
        const book = this.book(event.asset_id);
        book.replace(event);
        this.evaluate(book);
      }
    }
  }
  evaluate(book) {
    const [lowerRange, upperRange, lower, upper] = this.others;
    this.trio(lower, lowerRange, book);
    this.trio(book, upperRange, upper);
  }
  trio(lower, range, upper) {
    const triangle = [lower.ask, 1 - range.bid, 1 - upper.bid];
    const complement = [1 - lower.bid, range.ask, upper.ask];
    const ladder = [lower.ask, 1 - upper.bid];
    this.worth(triangle, 2);
    this.worth(complement, 1);
    this.worth(ladder, 1);
  }
  worth(prices, payout) {
    let cost = 0;
    for (const price of prices) cost += price + FEE * price * (1 - price);
    if (payout - cost > 0.5) this.found++;
  }
}

function timed(call, inputs, group, count) {
  const found = [];
  let at = 0;
  while (found.length * group < count) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < group; i++) call(inputs[(at + i) % inputs.length]);
    found.push(Number(process.hrtime.bigint() - start) / group);
    at = (at + group) % inputs.length;
  }
  found.sort((a, b) => a - b);
  const last = found.length - 1;
  return {
    p50: found[found.length >> 1],
    p99: found[Math.floor((last * 99) / 100)],
    max: found[last],
    count: found.length,
  };
}

function inProcess(name, count, corpus) {
  const [what, which] = name.split("/");
  const frames = corpus.frames[which].map((text) => Buffer.from(text));
  const trader = new Trader();
  const calls = {
    parse: (frame) => JSON.parse(frame.toString()),
    decide: (frame) => trader.take(frame.toString()),
  };
  timed(calls[what], frames, 5, 5000); // let the compiler do its work first
  return timed(calls[what], frames, 5, count);
}

function overTheWire(url, count) {
  const WebSocket = require("ws");
  return new Promise((resolve, reject) => {
    const trader = new Trader();
    const link = new WebSocket(url, { perMessageDeflate: false });
    let left = count + WARM_FRAMES;
    let start;
    link.on("open", () => link.send(JSON.stringify({ frames: left })));
    link.on("error", reject);
    link.on("message", (data) => {
      trader.take(data.toString());
      left--;
      if (left === count) start = process.cpuUsage();
      else if (left === 0) {
        const used = process.cpuUsage(start);
        link.terminate();
        const ns = ((used.user + used.system) * 1000) / count;
        resolve({ p50: ns, p99: ns, max: ns, count });
      }
    });
  });
}

async function main() {
  const argument = process.argv[2];
  const remote = argument.startsWith("ws:");
  const corpus = remote ? null : JSON.parse(fs.readFileSync(argument, "utf8"));
  const say = (answer) => process.stdout.write(JSON.stringify(answer) + "\n");
  const version = `node ${process.version}`;
  say({ things: [], versions: { parse: version, decide: version, receive: version } });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { thing, count } = JSON.parse(line);
    try {
      if (remote) say(await overTheWire(argument, count));
      else say(inProcess(thing, count, corpus));
    } catch (error) {
      say({ error: String(error).slice(0, 110) });
    }
  }
}

main();
