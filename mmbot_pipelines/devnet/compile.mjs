// Compiles contracts/*.sol to artifacts/<Contract>.json (`npm run compile`, or with `-- --out DIR`).
//
// Each file is compiled by itself, so that a new contract never changes another's bytecode,
// and without a metadata hash, so that the same source gives the same bytes anywhere.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import solc from "solc";

const here = import.meta.dirname ?? new URL(".", import.meta.url).pathname;
const contracts = join(here, "contracts");

const settings = {
  optimizer: { enabled: true, runs: 200 },
  evmVersion: "cancun",
  metadata: { bytecodeHash: "none", appendCBOR: false },
};

function compile(file) {
  const input = {
    language: "Solidity",
    sources: { [file]: { content: readFileSync(join(contracts, file), "utf8") } },
    settings: { ...settings, outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } } },
  };
  const read = (path) => ({ contents: readFileSync(join(contracts, basename(path)), "utf8") });
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: read }));
  const complaints = output.errors ?? [];
  if (complaints.length > 0) {
    throw new Error(complaints.map((c) => c.formattedMessage).join("\n"));
  }
  return Object.entries(output.contracts[file]);
}

const { values } = parseArgs({
  options: { out: { type: "string", default: join(here, "artifacts") } },
});
mkdirSync(values.out, { recursive: true });
for (const file of readdirSync(contracts).filter((name) => name.endsWith(".sol")).sort()) {
  for (const [name, { abi, evm }] of compile(file)) {
    if (evm.bytecode.object === "") continue; // an interface
    const artifact = {
      contract: name,
      source: `contracts/${file}`,
      compiler: { version: solc.version(), settings },
      abi,
      bytecode: `0x${evm.bytecode.object}`,
    };
    writeFileSync(join(values.out, `${name}.json`), `${JSON.stringify(artifact, null, 2)}\n`);
  }
}
