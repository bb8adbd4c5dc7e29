// A network as it is by the lake: a proxy in front of a real server, through which every byte takes its time, and which
// resets a share of the exchanges, at any byte of the request or of the answer.
"use strict";
const net = require("net");

/** Where a reset strikes: after so many bytes of the request, or else of the answer. */
const REQUEST_BYTES = 400000;
const ANSWER_BYTES = 300;

/** Bytes one way: each piece arrives `delay_ms` after it was sent, in their order. */
class Way {
  constructor(to, delay_ms) {
    Object.assign(this, { to, delay_ms, under_way: [] });
  }

  send(piece) {
    this.under_way.push(setTimeout(() => {
      this.under_way.shift();
      if (!this.to.destroyed) this.to.write(piece);
    }, this.delay_ms()));
  }

  /** What is under way is lost. */
  lose() {
    this.under_way.forEach(clearTimeout);
  }
}

class Chaos {
  /** In front of the server's port. Calm at first; `latency_ms` (there and back) and `resets` (of 1) from `storm` on. */
  static async start(port, storm) {
    const chaos = new Chaos();
    Object.assign(chaos, { port, storm, calm: true, exchanges: 0, resets: 0, sent_bytes: 0, open: new Set() });
    chaos.server = net.createServer((client) => chaos.serve(client));
    await new Promise((done) => chaos.server.listen(0, "127.0.0.1", done));
    chaos.base = `http://127.0.0.1:${chaos.server.address().port}`;
    return chaos;
  }

  serve(client) {
    const server = net.connect(this.port, "127.0.0.1");
    const delay_ms = () => (this.calm ? 0 : this.storm.latency_ms / 2);
    const exchange = { asking: false, request: Infinity, answer: Infinity };
    const [there, back] = [new Way(server, delay_ms), new Way(client, delay_ms)];
    const end = () => {
      [there, back].forEach((way) => way.lose());
      [client, server].forEach((socket) => socket.destroy());
    };
    const reset = () => {
      this.resets += 1;
      Object.assign(exchange, { request: Infinity, answer: Infinity });
      client.resetAndDestroy();
      back.lose();
      // Of what was under way to the server, all arrives or nothing.
      if (Math.random() < 0.5) setTimeout(end, delay_ms() + 50);
      else end();
    };
    this.open.add(client);
    client.on("data", (piece) => {
      if (!exchange.asking) this.begin(exchange);
      this.sent_bytes += piece.length;
      const passes = Math.min(piece.length, exchange.request);
      there.send(piece.subarray(0, passes));
      exchange.request -= passes;
      if (exchange.request === 0) reset();
    });
    server.on("data", (piece) => {
      exchange.asking = false;
      // A reset that the request was too short for strikes the answer.
      const most = exchange.request < Infinity ? 0 : exchange.answer;
      const passes = Math.min(piece.length, most);
      back.send(piece.subarray(0, passes));
      exchange.answer -= passes;
      if (passes === most) reset();
    });
    client.on("close", () => {
      this.open.delete(client);
      if (exchange.request !== Infinity || exchange.answer !== Infinity || this.calm) end();
      else setTimeout(end, delay_ms() + 50);
    });
    server.on("close", () => setTimeout(() => client.destroy(), delay_ms()));
    for (const socket of [client, server]) socket.on("error", () => undefined);
  }

  /** A new request: will it be reset, and where? */
  begin(exchange) {
    this.exchanges += 1;
    const struck = !this.calm && Math.random() < this.storm.resets;
    const inRequest = struck && Math.random() < 0.5;
    Object.assign(exchange, {
      asking: true,
      request: inRequest ? 1 + Math.floor(Math.random() * REQUEST_BYTES) : Infinity,
      answer: struck && !inRequest ? Math.floor(Math.random() * ANSWER_BYTES) : Infinity,
    });
  }

  async stop() {
    this.open.forEach((socket) => socket.destroy());
    await new Promise((done) => this.server.close(done));
  }
}

module.exports = { Chaos };
