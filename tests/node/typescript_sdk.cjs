// Talks to an MCP server as programs on the TypeScript SDK do, and prints what came of it as JSON.
// typescript_sdk.cjs PACKAGES sdk|client legacy|auto URL TOKEN

const { createRequire } = require("node:module");

const [packages, library, mode, url, token] = process.argv.slice(2);
const load = createRequire(`${packages}/`);
const CLIENT = { name: "typescript-sdk", version: "1" };
const CAPABILITIES = { capabilities: { elicitation: {}, sampling: {}, roots: {} } };
const ANSWERS = {
  "elicitation/create": () => ({ action: "accept", content: { name: "Ann", username: "ann", email: "ann@example.org" } }),
  "sampling/createMessage": () => ({ role: "assistant", model: "m", content: { type: "text", text: "a model's words" } }),
};

// Both generations of the SDK, told apart here and nowhere below.
function connection() {
  const asked = [];
  const changed = Promise.withResolvers();
  let client, Transport;
  if (library === "sdk") {
    const types = load("@modelcontextprotocol/sdk/types.js");
    ({ StreamableHTTPClientTransport: Transport } = load("@modelcontextprotocol/sdk/client/streamableHttp.js"));
    client = new (load("@modelcontextprotocol/sdk/client/index.js").Client)(CLIENT, CAPABILITIES);
    const schemas = { "elicitation/create": types.ElicitRequestSchema, "sampling/createMessage": types.CreateMessageRequestSchema };
    for (const [method, schema] of Object.entries(schemas)) {
      client.setRequestHandler(schema, () => (asked.push(method), ANSWERS[method]()));
    }
    client.setNotificationHandler(types.ToolListChangedNotificationSchema, () => changed.resolve(true));
  } else {
    const { Client, StreamableHTTPClientTransport } = load("@modelcontextprotocol/client");
    Transport = StreamableHTTPClientTransport;
    client = new Client(CLIENT, { ...CAPABILITIES, versionNegotiation: { mode } });
    for (const method of Object.keys(ANSWERS)) {
      client.setRequestHandler(method, () => (asked.push(method), ANSWERS[method]()));
    }
    client.setNotificationHandler("notifications/tools/list_changed", () => changed.resolve(true));
  }
  const requestInit = { headers: { Authorization: `Bearer ${token}` } };
  return { client, asked, changed: changed.promise, transport: new Transport(new URL(url), { requestInit }) };
}

const text = (result) => result.content.filter((part) => part.type === "text").map((part) => part.text).join("");

async function main() {
  const { client, asked, changed, transport } = connection();
  await client.connect(transport);
  const call = (name, args = {}, options = undefined) =>
    library === "sdk" ? client.callTool({ name, arguments: args }, undefined, options) : client.callTool({ name, arguments: args }, options);
  const said = { server: client.getServerVersion()?.name, capabilities: Object.keys(client.getServerCapabilities()).sort() };

  said.tools = (await client.listTools()).tools.map((tool) => tool.name);
  said.simple = text(await call("test_simple_text"));
  said.failing = (await call("test_error_handling")).isError;
  said.progress = [];
  await call("test_tool_with_progress", {}, { onprogress: ({ progress }) => said.progress.push(progress) });
  said.elicited = text(await call("test_input_required_result_elicitation"));
  said.sampled = text(await call("test_input_required_result_sampling"));
  said.routed = text(await call("test_x_mcp_header", { region: "ü b" }));
  said.asked = asked;

  said.resource = (await client.readResource({ uri: "test://static-text" })).contents[0].text;
  said.templated = (await client.readResource({ uri: "test://template/7/data" })).contents[0].text;
  said.prompts = (await client.listPrompts()).prompts.map((prompt) => prompt.name);
  said.prompt = (await client.getPrompt({ name: "test_prompt_with_arguments", arguments: { arg1: "x", arg2: "y" } })).messages[0].content.text;
  const ref = { type: "ref/prompt", name: "test_prompt_with_arguments" };
  said.completed = (await client.complete({ ref, argument: { name: "arg1", value: "par" } })).completion.values;
  said.unknown = await call("no_such_tool").then((result) => result.isError ?? false, (error) => error.code);

  const listening = mode === "auto" ? await client.listen({ toolsListChanged: true }) : undefined;
  await call("test_trigger_tool_change");
  said.changed = await Promise.race([changed, new Promise((late) => setTimeout(() => late(false), 15000))]);
  await listening?.close();
  await client.close();
  console.log(JSON.stringify(said));
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
