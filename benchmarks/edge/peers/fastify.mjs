// @fastify/jwt with its token cache, @fastify/rate-limit per client, @fastify/reply-from over undici.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { modules, port, upstream, pem, issuer, limit } = JSON.parse(process.argv[2]);
const installed = createRequire(`${modules}/`);
const app = installed("fastify")();

await app.register(installed("@fastify/jwt"), {
  secret: { public: readFileSync(pem) },
  verify: { algorithms: ["RS256"], allowedIss: issuer, allowedAud: issuer, cache: 10000, cacheTTL: 60000 },
});
app.addHook("onRequest", (request) => request.jwtVerify());
await app.register(installed("@fastify/rate-limit"), {
  hook: "preHandler",
  max: limit,
  timeWindow: 60000,
  cache: 100000,
  keyGenerator: (request) => request.user.sub,
});
await app.register(installed("@fastify/reply-from"), {
  base: `http://127.0.0.1:${upstream}`,
  undici: { connections: 256 },
});
app.get("/*", (request, reply) => {
  reply.from(request.url);
});
await app.listen({ host: "127.0.0.1", port });
