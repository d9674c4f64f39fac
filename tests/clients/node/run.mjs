// Runs the unmodified OpenAI SDK for Node against a gateway and prints one JSON object: case → null or what went wrong.
// Everything it needs to know comes in the environment variable CLIENT_TEST as JSON; see tests/clients/test_node.py.

import assert from "node:assert/strict";
import OpenAI, { APIError } from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const { baseURL, key, narrowKey, model, embedder, target, cases: wanted } = JSON.parse(process.env.CLIENT_TEST);
const client = new OpenAI({ baseURL, apiKey: key, maxRetries: 0, timeout: 60_000 });
const messages = [{ role: "user", content: "What is the capital of France?" }];
const ask = { model, messages, max_tokens: 60, temperature: 0 };
const tool = {
  type: "function",
  function: {
    name: "set_points",
    parameters: {
      type: "object",
      properties: { junction: { type: "string" }, track: { type: "integer" } },
      required: ["junction", "track"],
      additionalProperties: false,
    },
  },
};
const callTool = { model, messages: [{ role: "user", content: "Use set_points for junction North." }], tools: [tool] };
const Answer = z.object({ city: z.enum(["Paris", "Lyon"]), country: z.enum(["France"]) });

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

async function refused(kind, status, code, call) {
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof kind, `${error}`);
    assert.equal(error.status, status);
    assert.equal(error.code, code);
    assert.ok(error.headers.get("x-pointsman-call-id"));
    return true;
  });
}

const cases = {
  async chat() {
    const answer = await client.chat.completions.create(ask);
    assert.ok(answer.choices[0].message.content);
    assert.ok(answer.usage.total_tokens > 0);
  },
  async stream() {
    const chunks = await collect(await client.chat.completions.create({ ...ask, stream: true }));
    assert.ok(chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join(""));
    assert.ok(chunks.every((chunk) => !chunk.usage && chunk.choices.length === 1));
    assert.ok(chunks.at(-1).choices[0].finish_reason);
  },
  async stream_usage() {
    const options = { stream: true, stream_options: { include_usage: true } };
    const chunks = await collect(await client.chat.completions.create({ ...ask, ...options }));
    assert.deepEqual(chunks.filter((chunk) => chunk.usage), [chunks.at(-1)]);
    assert.deepEqual(chunks.at(-1).choices, []);
  },
  async parse() {
    const format = { response_format: zodResponseFormat(Answer, "answer") };
    const answer = await client.chat.completions.parse({ ...ask, ...format });
    assert.equal(answer.choices[0].message.parsed.country, "France");
  },
  async streamed_parse() {
    const format = { response_format: zodResponseFormat(Answer, "answer") };
    const final = await client.chat.completions.stream({ ...ask, ...format }).finalChatCompletion();
    assert.equal(final.choices[0].message.parsed.country, "France");
  },
  async embeddings() {
    const answer = await client.embeddings.create({ model: embedder, input: ["north", "south"] });
    assert.equal(answer.data.length, 2);
    assert.equal(typeof answer.data[0].embedding[0], "number");
    assert.notDeepEqual(answer.data[0].embedding, answer.data[1].embedding);
  },
  async embeddings_float() {
    const input = { model: embedder, input: "north", encoding_format: "float" };
    assert.equal(typeof (await client.embeddings.create(input)).data[0].embedding[0], "number");
  },
  async models() {
    const listed = (await collect(await client.models.list())).map((one) => one.id);
    assert.ok([model, embedder, target].every((name) => listed.includes(name)), `${listed}`);
  },
  async headers() {
    const { data, response } = await client.chat.completions.create(ask).withResponse();
    assert.equal(response.headers.get("x-pointsman-target"), target);
    assert.equal(response.headers.get("x-pointsman-served-model"), data.model);
    assert.equal(response.headers.get("x-pointsman-attempts"), "1");
    assert.ok(Number(response.headers.get("x-pointsman-revision")) >= 1);
  },
  async not_found() {
    await refused(OpenAI.NotFoundError, 404, "model_not_found", client.chat.completions.create({ ...ask, model: "nobody" }));
  },
  async authentication() {
    const stranger = new OpenAI({ baseURL, apiKey: "pk-nobody", maxRetries: 0 });
    await refused(OpenAI.AuthenticationError, 401, "invalid_api_key", stranger.chat.completions.create(ask));
  },
  async permission() {
    const narrow = new OpenAI({ baseURL, apiKey: narrowKey, maxRetries: 0 });
    const call = narrow.chat.completions.create({ ...ask, model: target });
    await refused(OpenAI.PermissionDeniedError, 403, "model_not_allowed", call);
  },
  async close_early() {
    const stream = await client.chat.completions.create({ ...ask, stream: true });
    for await (const chunk of stream) {
      assert.ok(chunk.id);
      break;
    }
    assert.ok(await client.chat.completions.create(ask));
  },
  async tools() {
    const answer = await client.chat.completions.create(callTool);
    assert.equal(answer.choices[0].finish_reason, "tool_calls");
    assert.equal(answer.choices[0].message.tool_calls[0].function.name, "set_points");
    JSON.parse(answer.choices[0].message.tool_calls[0].function.arguments);
  },
  async streamed_tools() {
    const final = await client.chat.completions.stream(callTool).finalChatCompletion();
    const whole = await client.chat.completions.create(callTool);
    assert.deepEqual(
      final.choices[0].message.tool_calls.map((call) => call.function.arguments),
      whole.choices[0].message.tool_calls.map((call) => call.function.arguments),
    );
  },
  async stream_error() {
    const broken = { ...ask, model: "interrupting:premium-2026-01-15", stream: true };
    const seen = [];
    await assert.rejects(
      async () => {
        for await (const chunk of await client.chat.completions.create(broken)) seen.push(chunk);
      },
      (error) => error instanceof APIError && error.code === "stream_interrupted",
    );
    assert.ok(seen.length > 0);
  },
};

const results = {};
for (const name of wanted) {
  try {
    await cases[name]();
    results[name] = null;
  } catch (error) {
    results[name] = `${error?.stack ?? error}`;
  }
}
console.log(JSON.stringify(results));
