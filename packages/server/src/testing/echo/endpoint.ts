/** The endpoint `test/echo`. A real endpoint's file is in `endpoints/`. */
import { fileURLToPath } from "node:url";
import { defineEndpoint } from "../../endpoints/endpoint.ts";
import { EchoInput, EchoOutput, EchoOutputs } from "./schema.ts";

export const echo = defineEndpoint({
  name: "test/echo",
  category: "testing",
  about: "Repeats its input.",
  input: EchoInput,
  output: EchoOutput,
  files: [["attachment_url"]],
  command: "echo",
  program: fileURLToPath(new URL("program.mjs", import.meta.url)),
  outputs: EchoOutputs,
  failures: {
    media_unreadable: { status: 422, type: "image_load_error", field: "attachment_url", msg: "Not readable" },
  },
  toJob: ({ words, attachment_url: attachment }, { out }) => ({ words, attachment, out }),
  filesOf: ({ file }) => [file],
  endEarly: (outputs) => outputs,
  publish: async ({ words, file }, store) => ({ words, file: await store(file) }),
  billableUnits: ({ words }) => words.length,
});
